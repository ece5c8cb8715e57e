"""How far a stage is: a bar in the terminal and a progress artifact in Prefect's pages."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_PUBLISH_S = 2.0  # an update costs the server about 15 ms


class StageProgress:
    """Call it with (what, done, of), from any thread. `what` names the work at hand."""

    def __init__(self, stage: str, console: Console) -> None:
        self.stage, self.console = stage, console
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        named = TextColumn("{task.description:<22}")
        self._bar = Progress(named, *columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, int] = {}
        self._percent = 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        total = of or None  # 0: nobody knows
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
            if not self.console.is_terminal:
                self.console.print(f"{self.stage}: {what}", highlight=False)
        self._bar.update(self._tasks[what], completed=done, total=total)
        self._percent = 100.0 * done / of if of else 0.0

    def line(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextlib.asynccontextmanager
    async def shown(self) -> AsyncIterator["StageProgress"]:
        """Show the bar and publish the artifact for the time of the block."""
        key = self.stage.replace("_", "-")
        artifact = await acreate_progress_artifact(
            progress=0.0, key=f"{key}-progress", description=f"Progress of {self.stage}"
        )
        publisher = asyncio.create_task(self._publish(artifact))
        try:
            with self._bar:
                yield self
            await aupdate_progress_artifact(artifact_id=artifact, progress=100.0)
        finally:
            publisher.cancel()
            await asyncio.gather(publisher, return_exceptions=True)

    async def _publish(self, artifact) -> None:
        published = 0.0
        while True:
            await asyncio.sleep(_PUBLISH_S)
            if self._percent != published:
                published = self._percent
                await aupdate_progress_artifact(artifact_id=artifact, progress=published)
