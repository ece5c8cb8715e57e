"""The parent's side of one environment worker: batches calls, watches for death and hangs."""

import asyncio
import itertools
import shutil
import subprocess
import tempfile
import time
import weakref
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from crl.concurrency import end_child, start_child
from crl.config.play import EnvsConfig
from crl.envs.errors import EnvCrash, EnvError, EnvTimeout
from crl.envs.hosting.messages import STARTING, Progress, Reply, Request

_CLOSE_WAIT_S = 2.0
_START_WAIT_S = 120.0  # importing is no hang, on a busy machine either


class WorkerProcess:
    """One process, replaced when it dies or hangs.

    Calls made in one iteration of the event loop travel as one message, and a new message is sent
    only when all of the last one is answered: pickling is paid per batch, and `send` never blocks on a
    busy worker. `slots` are the episodes that live here; a failure loses them all.
    """

    def __init__(self, config: EnvsConfig) -> None:
        self._config = config
        self._call_timeout_s = config.call_timeout_s
        self._numbers = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.slots: set[int] = set()
        self._start()

    async def call(self, method: str, *arguments: Any) -> Any:
        """What this method of the worker's `EnvHost` returns. Raises what it raised, EnvCrash or EnvTimeout."""
        self._prepare()
        number = self._enqueue(method, arguments)
        future = self._futures[number] = self._loop.create_future()
        try:
            return await future
        finally:
            self._futures.pop(number, None)

    def tell(self, method: str, *arguments: Any) -> None:
        """A call without an answer; sent with the next message."""
        self._enqueue(method, arguments)

    def close(self) -> None:
        """Hang up, which ends the worker; insist after a moment. Waiting calls get EnvCrash."""
        self._end(EnvCrash("the environment pool was closed during this call"), wait_s=_CLOSE_WAIT_S)

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="crl-env-"))  # its TMPDIR: a kill leaves engine files behind
        progress_file = self._folder / "progress"
        self._progress = Progress(progress_file)
        self._process, self._connection = start_child(
            "crl.envs.hosting.worker", str(progress_file), self._config.model_dump_json(),
            environment={"TMPDIR": str(self._folder)},
        )  # fmt: skip
        self._outbox: list[Request] = []
        self._in_flight = 0  # requests that were sent and are not answered yet
        self._futures: dict[int, asyncio.Future] = {}
        self._flush_due = False
        self._running = True
        self._finalizer = weakref.finalize(self, _destroy, self._process, self._connection, self._folder, 0.0)

    def _prepare(self) -> None:
        """Start anew after a failure; follow the caller to its event loop."""
        if not self._running:
            self._start()
            self._loop = None
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        self._loop, self._flush_due = loop, False
        self._futures.clear()  # of a loop that is gone
        loop.add_reader(self._connection.fileno(), self._receive)
        if self._in_flight:
            self._watch()

    def _enqueue(self, method: str, arguments: tuple) -> int:
        number = next(self._numbers)
        self._outbox.append(Request(number, method, arguments))
        if not self._flush_due and not self._in_flight and not self._loop.is_closed():
            self._flush_due = True
            self._loop.call_soon(self._flush)
        return number

    def _flush(self) -> None:
        self._flush_due = False
        if self._in_flight or not self._outbox or not self._running:
            return
        batch, self._outbox = self._outbox, []
        try:
            self._connection.send(batch)
        except OSError:
            self._died()
            return
        self._in_flight = len(batch)
        self._watch()

    def _receive(self) -> None:
        try:
            replies: list[Reply] = self._connection.recv()
        except (EOFError, OSError):
            self._died()
            return
        self._in_flight -= len(replies)
        for reply in replies:
            future = self._futures.get(reply.number)
            if future is None or future.done():
                continue  # a release, or its caller gave up
            if reply.error is not None:
                future.set_exception(reply.error)
            else:
                future.set_result(reply.value)
        if not self._in_flight:
            self._timer.cancel()
            self._flush()

    def _watch(self) -> None:
        self._seen, self._seen_since = self._progress.get(), time.monotonic()
        self._timer = self._loop.call_later(self._call_timeout_s / 4, self._check_progress)

    def _check_progress(self) -> None:
        """The clock runs per request, not per message: time spent queueing is no hang."""
        number, now = self._progress.get(), time.monotonic()
        if number != self._seen:
            self._seen, self._seen_since = number, now
        starting = number == STARTING
        limit_s = max(self._call_timeout_s, _START_WAIT_S) if starting else self._call_timeout_s
        if now - self._seen_since < limit_s:
            self._timer = self._loop.call_later(self._call_timeout_s / 4, self._check_progress)
            return
        if starting:
            self._end(
                EnvTimeout(
                    f"the environment worker took longer than {limit_s:g} s to import what it needs; it was killed"
                )
            )
            return
        if (culprit := self._futures.get(number)) is not None and not culprit.done():
            culprit.set_exception(
                EnvTimeout(
                    f"an environment call took longer than envs.call_timeout_s = {self._call_timeout_s}; its worker "
                    "was killed. Remedy: raise the limit if the environment is merely slow"
                )
            )
        self._end(EnvCrash("its worker was killed, because another episode's environment call hung"))

    def _died(self) -> None:
        self._end(EnvCrash(f"the environment worker (pid {self._process.pid}) died"))

    def _end(self, error: EnvError, wait_s: float = 0.0) -> None:
        if not self._running:
            return
        self._running = False
        self.slots.clear()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._connection.fileno())
            if self._in_flight:
                self._timer.cancel()
            for future in self._futures.values():
                if not future.done():
                    future.set_exception(error)
        self._progress.close()
        self._finalizer.detach()
        _destroy(self._process, self._connection, self._folder, wait_s)


def _destroy(process: subprocess.Popen, connection: Connection, folder: Path, wait_s: float) -> None:
    """End the process and remove what it may have left behind."""
    end_child(process, connection, wait_s)
    shutil.rmtree(folder, ignore_errors=True)
