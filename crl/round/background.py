"""Work beside the critical path: started now, awaited later within a deadline, never forgotten."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from crl.errors import RunStopped


class Background:
    """Named tasks. An error in one surfaces at the next `settle`, not in a log nobody reads."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task] = {}

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        if name in self._tasks and not self._tasks[name].done():
            work.close()
            raise RunStopped(f"background work {name!r} is still running. Remedy: raise rounds.background_wait_s")
        self._tasks[name] = asyncio.create_task(work, name=name)

    def running(self, name: str) -> bool:
        return name in self._tasks and not self._tasks[name].done()

    async def done(self, name: str) -> None:
        """Wait for this one, however long it takes, if it was started; raises what it raised."""
        if task := self._tasks.get(name):
            await asyncio.wait({task})
            task.result()

    async def settle(self, deadline_s: float, *, unless: str) -> None:
        """Wait for all tasks but those whose names start with `unless`. Raises what they raised, and RunStopped at the deadline."""
        awaited = {name: task for name, task in self._tasks.items() if not name.startswith(unless)}
        if awaited:
            await asyncio.wait(awaited.values(), timeout=deadline_s)
        self.collect()
        if late := [name for name in awaited if name in self._tasks]:
            raise RunStopped(
                f"{', '.join(late)} still running after rounds.background_wait_s = {deadline_s}. Remedy: raise it; the same "
                "command resumes from the last round"
            )

    def collect(self) -> None:
        """Drop finished tasks, raising the first error among them."""
        for name in [name for name, task in self._tasks.items() if task.done()]:
            self._tasks.pop(name).result()

    async def cancel(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
