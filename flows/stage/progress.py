"""How far a stage is: in the terminal or the log, and as a progress artifact in Prefect's pages."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import copy_context
from uuid import UUID

from prefect import get_client
from prefect.artifacts import acreate_progress_artifact
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from crl.cli.progress import Display

_PUBLISH_S = 10.0  # between two updates of the artifact: each costs the server about 15 ms, and is an event
_END_S = 5.0  # for the last update, or for any


class StageProgress(Display):
    """`Display(stage, console, whole)`, and the artifact beside it."""

    @contextlib.asynccontextmanager
    async def shown(self) -> AsyncIterator["StageProgress"]:
        """Show the bar and publish the artifact for the time of the block."""
        page, ending, well = _Page(self.line), threading.Event(), threading.Event()
        await page.open(f"{self.name.replace('_', '-')}-progress", self.said)

        def publish() -> None:
            last = 0.0, self.said
            while not ending.wait(_PUBLISH_S):
                now = self.percent, self.said
                if now != last:
                    page.put(*now)
                    last = now
            if well.is_set():
                page.put(100.0, self.said)
            page.close()

        # In lockstep models generate on the event loop, so it is a thread; with the settings of this context, as it has none.
        publishing = threading.Thread(target=copy_context().run, args=(publish,), name="crl-publish", daemon=True)
        publishing.start()
        try:
            with self.drawn():
                yield self
            well.set()
            ending.set()
            await asyncio.to_thread(publishing.join, _END_S)
        finally:
            ending.set()

    def warn(self, text: str) -> None:
        """Also in the run's log: below the level that Prefect prints beside our own line."""
        super().warn(text)
        with contextlib.suppress(MissingContextError):  # no flow's run
            get_run_logger().info(text)


class _Page:
    """The stage's progress artifact. Whatever Prefect raises ends no run: it is told once, and the next update is tried."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._told = tell, False
        self._artifact: UUID | None = None
        self._client: SyncPrefectClient | None = None

    async def open(self, key: str, said: str) -> None:
        try:
            self._artifact = await acreate_progress_artifact(progress=0.0, key=key, description=said)
        except Exception as error:  # noqa: BLE001  see the class
            self._say(error)

    def put(self, percent: float, said: str) -> None:
        if self._artifact is None:
            return
        try:
            if self._client is None:
                self._client = get_client(httpx_settings={"timeout": _END_S}, sync_client=True).__enter__()
            self._client.update_artifact(self._artifact, ArtifactUpdate(data=percent, description=said))
        except Exception as error:  # noqa: BLE001  see the class
            self._say(error)

    def close(self) -> None:
        if self._client is not None:
            self._client.__exit__(None, None, None)

    def _say(self, error: Exception) -> None:
        if not self._told:
            self._tell(f"Prefect's page of this progress stands still: {type(error).__name__}: {error}")
            self._told = True
