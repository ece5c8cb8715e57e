"""What all servers of a checkout have in common: a record of the process that was started, and how it is started and ended."""

import logging
from abc import ABC, abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from crl.files import read_json, write_json
from flows.local.process import Launch, Running, Unanswered, on_free_port, spawn
from flows.stage import paths

HOME = paths.HOME / ".servers"

log = logging.getLogger(__name__)


class LocalServer(ABC):
    """One server of this checkout; its record, its log and its data lie in `home`."""

    name: str
    port: int  # wanted; a free one where it is taken
    variable: str  # of the environment, by which its users find it
    path: ClassVar[str] = ""  # of the address in that variable
    health: ClassVar[str] = "/health"  # answered with success once it is ready
    may_hang: ClassVar[bool] = False  # at its start, for no fault of ours: it is started once more

    def __init__(self, home: Path = HOME) -> None:
        self.home = home
        self._record = home / f"{self.name}.json"

    @abstractmethod
    def launch(self, port: int) -> Launch:
        """How it is started. Raises RuntimeError when that cannot be prepared."""

    def lacking(self) -> str | None:
        """What this machine lacks to start it, with the remedy; None: nothing."""
        return None

    def exports(self, running: Running) -> dict[str, str]:
        """Addresses alone: they are written to a file."""
        return {self.variable: running.url + self.path}

    def started(self) -> Running | None:
        """The process that was started last and not stopped, whether it still runs or not."""
        return Running(**read_json(self._record)) if self._record.is_file() else None

    def current(self) -> Running | None:
        """The process, if it runs."""
        running = self.started()
        return running if running and running.alive() else None

    def start(self, port: int | None = None) -> Running:
        """Start it and wait until it is healthy; a dead one at its old port, so that who knows its address finds it again.

        Raises RuntimeError.
        """
        if before := self.started():
            before.kill()  # children that outlived it hold its port
            port = port or urlsplit(before.url).port
        try:
            running = on_free_port(self._spawn, port or self.port)
        except Unanswered as error:
            if not self.may_hang:
                raise
            log.warning("%s\nIt is started once more", error)
            running = on_free_port(self._spawn, port or self.port)
        write_json(self._record, asdict(running))
        return running

    def keep(self) -> None:  # noqa: B027  nothing is to be done for most
        """What runs is to run until `stop`, whoever started it. All but Prefect's do anyway."""

    def stop(self) -> bool:
        """End it, and what a dead one left. Returns whether it ran."""
        if (running := self.started()) is None:
            return False
        ran = running.alive()
        running.stop()
        self._record.unlink(missing_ok=True)
        return ran

    def _spawn(self, port: int) -> Running:
        return spawn(self.name, self.launch(port), folder=self.home, port=port, health=self.health)
