"""What ends together: tasks, of which the first error is what the caller gets, and processes with the one that started them.

A child has an executable of its own rather than a fork by `multiprocessing`, so that the parent's main module is never
imported there; it holds one end of a socket, whose hang-up tells it that the parent has gone, however that came.
"""

import asyncio
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

T = TypeVar("T")

_PARENT_CHECK_MS = 1000


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """An `asyncio.TaskGroup` that raises the first error as it is, a task's or the body's, not inside an ExceptionGroup."""
    bodys = None
    try:
        async with asyncio.TaskGroup() as group:
            try:
                yield group
            except Exception as error:
                if not asyncio.current_task().cancelling():  # else a task has failed before
                    bodys = error
                raise
    except BaseExceptionGroup as failures:
        first = bodys or failures.exceptions[0]
        raise first from first.__cause__


async def run_all(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run them at once in one group; values in the order of `works`."""
    async with task_group() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]


def start_child(
    module: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> tuple[subprocess.Popen, Connection]:
    """Run `python -m module FD arguments`, the file descriptor FD being the other end of the connection."""
    ours, theirs = socket.socketpair()
    search_path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    process = subprocess.Popen(
        (sys.executable, "-m", module, str(theirs.fileno()), *arguments),
        pass_fds=[theirs.fileno()],
        env={**os.environ, **environment, "PYTHONPATH": search_path},
        stdin=subprocess.DEVNULL,
    )
    theirs.close()
    return process, Connection(ours.detach())


def end_child(process: subprocess.Popen, connection: Connection, wait_s: float) -> None:
    """Hang up, which ends it; insist after `wait_s`."""
    connection.close()
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_with_parent(fd: int, folder: Path) -> None:
    """In a child: from now on leave as soon as the parent hangs up at `fd`, whatever hangs here, and remove `folder`."""
    threading.Thread(target=_await_end, args=(fd, os.getppid(), folder), daemon=True).start()


def _await_end(fd: int, parent: int, folder: Path) -> None:
    """The process id is checked, too, since a fork of the parent may hold the other end open."""
    poll = select.poll()
    poll.register(fd, 0)  # hang-up is always reported
    while not poll.poll(_PARENT_CHECK_MS) and os.getppid() == parent:
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)
