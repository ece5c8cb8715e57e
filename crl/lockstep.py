"""The lockstep schedule: stations work only when every participant waits, in a fixed order.

Batched numerics depend on who shares the batch. In lockstep the batch must not depend on timing, so
engines and the retriever ("stations") collect requests and fire only once all running episodes and
distillations ("participants") wait at some station. Whoever still waits for an environment, say, is
not waiting here and holds the gate shut. All of it lives on one asyncio loop: no locks.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Turnstile:
    """Counts participants and waiters; fires stations in their order of registration."""

    def __init__(self) -> None:
        self._stations: list[Callable[[], None]] = []
        self._participants = 0
        self._waiting = 0

    def register(self, fire: Callable[[], None]) -> None:
        """Add a station. `fire` serves all requests it holds (maybe none), sorted by their keys,
        and resolves their futures before it returns."""
        self._stations.append(fire)

    @contextmanager
    def participant(self) -> Iterator[None]:
        """Whoever will wait at stations takes part for as long as the block lasts."""
        self._participants += 1
        try:
            yield
        finally:
            self._participants -= 1
            self._fire_if_all_wait()

    def hold(self) -> Callable[[], None]:
        """Keep the gate shut for participants still to come; call the returned function to let go."""
        block = self.participant()
        block.__enter__()
        held = [block]

        def release() -> None:
            if held:
                held.pop().__exit__(None, None, None)

        return release

    async def wait(self, future: "asyncio.Future[T]") -> T:
        """Wait for a station's answer; the request must have been queued at the station before."""
        self._waiting += 1
        self._fire_if_all_wait()
        try:
            return await future
        finally:
            self._waiting -= 1

    def _fire_if_all_wait(self) -> None:
        if self._waiting and self._waiting == self._participants:
            asyncio.get_running_loop().call_soon(self._fire)

    def _fire(self) -> None:
        # A resolved waiter runs only after this callback, so the counts cannot change in between;
        # a participant that joined meanwhile keeps the gate shut until it waits, too.
        if self._waiting and self._waiting == self._participants:
            for station in self._stations:
                station()
