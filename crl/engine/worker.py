"""The asynchronous schedule: a thread that serves whatever has arrived, step by step."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crl.engine.session import Request
from crl.errors import EngineError

Serve = Callable[[list[Request]], list[Request]]


class Worker:
    """Calls `serve` on a thread of its own, again and again, for as long as there is work.

    `serve` takes the requests in line, makes one step and returns those still in line; `busy` tells
    whether others are running. Every other thread only submits, pauses and closes.
    """

    def __init__(self, serve: Serve, busy: Callable[[], bool], name: str) -> None:
        self._serve = serve
        self._busy = busy
        self._line: list[Request] = []  # not under way yet
        self._pauses = 0
        self._closing = False
        self._changed = threading.Condition()
        self._stepping = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Put a request in line; a resting thread takes it at the next `wake`, a busy one after its step."""
        with self._changed:
            if self._closing:
                raise EngineError("the engine is closed. Remedy: finish all sessions before closing it")
            self._line.append(request)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold the thread between two steps. Announced first: a plain lock would let a busy thread win every race."""
        with self._changed:
            self._pauses += 1
        try:
            with self._stepping:
                yield
        finally:
            with self._changed:
                self._pauses -= 1
                self._changed.notify()

    def close(self) -> list[Request]:
        """End the thread after its current step; returns the requests that were in line."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        return self._line

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or (not self._pauses and (self._line or self._busy())))
                if self._closing:
                    return
                line, self._line = self._line, []
            with self._stepping:
                left = self._serve(line)
            with self._changed:
                self._line = left + self._line
