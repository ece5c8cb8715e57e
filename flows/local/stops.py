"""Ctrl-C and SIGTERM: what works is cancelled and given a while to end in order; then the process ends as it is.

Python runs a signal's handler in the main thread, wherever that is. An exception that strikes in a callback of asyncio's loop is
logged and forgotten, and whoever waits for that callback waits for ever; so the loop has a thread of its own, and the main one
listens. Ending at once loses nothing: the disk is as after a kill -9, locks go with their process, and environments, containers,
the gates' process and the Prefect server end when they see that their owner has gone.
"""

import asyncio
import contextvars
import os
import signal
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")
LISTEN_S = 0.2  # how late a signal may be heard that did not wake the main thread
GRACE_S = 8.0  # from the signal to the end; below the leash's, and below what Slurm and Kubernetes give


class Stopped(KeyboardInterrupt):
    """A signal asks this process to end; `code` is the exit status by which shells know it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


@contextmanager
def heard(grace_s: float = GRACE_S) -> Iterator[None]:
    """SIGINT and SIGTERM raise Stopped in the main thread; a second one, or `grace_s` after the first, ends the process.

    What is ignored stays ignored: a shell does so for jobs in its background. In other threads than the main one: no change.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        if stopped:
            os._exit(128 + number)
        stopped.append(number)
        latest = threading.Timer(grace_s, os._exit, [128 + number])
        latest.daemon = True
        latest.start()
        raise Stopped(number)

    wanted = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in wanted}
    try:
        yield
    finally:
        if not stopped:  # else it is about to end, and a second signal means at once
            for number, handler in before.items():
                signal.signal(number, handler)


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in a thread of its own. A signal cancels the work and is raised once that has ended.

    Threads that the work leaves behind (an update, an evaluation) are not waited for here: `heard` ends them with the process.
    """
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task]] = Future()
    ended: Future[T] = Future()

    async def working() -> None:
        begun.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        try:
            ended.set_result(await work)
        except BaseException as error:  # noqa: BLE001  handed on
            ended.set_exception(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(asyncio.run, working()), name="crl-work")
    try:
        thread.start()  # in here: it works from now on, and a signal may come before this returns
        _wait(ended)
    except KeyboardInterrupt:
        loop, task = begun.result()
        with suppress(RuntimeError):  # it ended just now
            loop.call_soon_threadsafe(task.cancel)
        _wait(ended)
        raise
    thread.join()
    return ended.result()


def _wait(ended: Future) -> None:
    """Sleeps a moment at a time: a signal that another thread takes, or that comes as this one is about to sleep, wakes nobody."""
    while True:
        with suppress(TimeoutError):
            ended.exception(LISTEN_S)
            return
