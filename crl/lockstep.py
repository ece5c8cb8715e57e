"""The lockstep schedule: requests are served only when every participant waits, all of them at once, in a fixed order.

Batched numerics depend on who shares the batch. In lockstep the batch must not depend on timing, so whoever serves
batches (the engines, the retriever) only collects requests, and serves them when the turnstile says so: once all
running episodes and distillations ("participants") wait for an answer. Whoever still waits for an environment, say,
is not waiting here and holds the gate shut. All of it lives on one asyncio loop: no locks.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

T = TypeVar("T")


class Turnstile:
    """Counts participants and waiters; has requests served in the order in which their servers were registered."""

    def __init__(self) -> None:
        self._serve: list[Callable[[], None]] = []
        self._participants = 0
        self._waiting = 0

    def register(self, serve: Callable[[], None]) -> None:
        """`serve` answers all requests that it holds (maybe none), sorted by their keys: it resolves their futures
        before it returns."""
        self._serve.append(serve)

    @contextmanager
    def participant(self) -> Iterator[None]:
        """Whoever will make requests takes part for as long as the block lasts."""
        self._participants += 1
        try:
            yield
        finally:
            self._participants -= 1
            self._serve_if_all_wait()

    def hold(self) -> Callable[[], None]:
        """Keep the gate shut for participants still to come; call the returned function to let go."""
        block = ExitStack()
        block.enter_context(self.participant())
        return block.close

    async def wait(self, future: "asyncio.Future[T]") -> T:
        """Wait for an answer; whoever gives it must hold the request by now."""
        self._waiting += 1
        self._serve_if_all_wait()
        try:
            return await future
        finally:
            self._waiting -= 1

    def _serve_if_all_wait(self) -> None:
        if self._waiting and self._waiting == self._participants:
            asyncio.get_running_loop().call_soon(self._serve_all)

    def _serve_all(self) -> None:
        # A resolved waiter runs only after this callback, so the counts cannot change in between;
        # a participant that joined meanwhile keeps the gate shut until it waits, too.
        if self._waiting and self._waiting == self._participants:
            for serve in self._serve:
                serve()
