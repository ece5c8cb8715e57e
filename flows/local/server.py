"""What all servers of a checkout have in common: a record of the process that was started, and how it is started and ended."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import ClassVar
from urllib.parse import urlsplit

from flows.local.process import Running, http_ok, on_free_port, spawn

HOME = Path(".servers")


@dataclass(frozen=True)
class Launch:
    """The command that starts a server at a port."""

    argv: list[str]
    environment: dict[str, str]  # laid over this process's environment
    without: Collection[str] = ()  # variables of this process's environment that are kept from it
    query: str = ""  # of the server's url: a second port
    wait_s: float = 180.0  # until it must be healthy; 10 s on a quiet machine
    own_port: bool = True  # False where another process listens for it (Docker)


class LocalServer(ABC):
    """One server of this checkout; its record, its log and its data lie in `home`."""

    name: ClassVar[str]
    port: ClassVar[int]  # wanted; a free one where it is taken
    health: ClassVar[str] = "/health"  # answered with success once it is ready

    def __init__(self, home: Path = HOME, interrupted: Event | None = None) -> None:
        """`interrupted` ends a start: several servers start at once, in threads that hear no Ctrl-C."""
        self.home = home
        self._interrupted = interrupted or Event()

    @abstractmethod
    def launch(self, port: int) -> Launch:
        """How it is started. Raises RuntimeError when that cannot be prepared."""

    @abstractmethod
    def exports(self, running: Running) -> dict[str, str]:
        """Environment variables by which its users find it. Addresses alone: they are written to a file."""

    def lacking(self) -> str | None:
        """What this machine lacks to start it, with the remedy; None: nothing."""
        return None

    def started(self) -> Running | None:
        """The process that was started last and not stopped, whether it still runs or not."""
        return Running(**json.loads(self._record.read_text())) if self._record.is_file() else None

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
        running = on_free_port(self._spawn, port or self.port)
        aside = self._record.with_suffix(".fresh")
        aside.write_text(json.dumps(asdict(running), indent=1))
        os.replace(aside, self._record)
        return running

    def stop(self) -> bool:
        """End it, and what a dead one left. Returns whether it ran."""
        if (running := self.started()) is None:
            return False
        ran = running.alive()
        running.stop()
        self._record.unlink(missing_ok=True)
        return ran

    @property
    def _record(self) -> Path:
        return self.home / f"{self.name}.json"

    def _spawn(self, port: int) -> Running:
        launch, address = self.launch(port), f"http://127.0.0.1:{port}"

        def healthy() -> bool:
            if self._interrupted.is_set():
                raise KeyboardInterrupt
            return http_ok(address + self.health)

        return spawn(
            self.name,
            launch.argv,
            environment=launch.environment,
            without=launch.without,
            folder=self.home,
            url=address + launch.query,
            health=healthy,
            wait_s=launch.wait_s,
            own_port=launch.own_port,
        )
