"""What a kind of server is: how it is told whether it can start here, started, ended, and what it exports."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import ClassVar

from flows.local.process import Running, on_free_port

HOME = Path(".servers")


class Kind(ABC):
    """One kind of server of this checkout; its record and its data lie in `home`."""

    name: ClassVar[str]
    port: ClassVar[int]  # wanted; a free one where it is taken

    def __init__(self, home: Path = HOME, interrupted: Event | None = None) -> None:
        self.home = home
        self._interrupted = interrupted or Event()

    @abstractmethod
    def lacking(self) -> str | None:
        """What this machine lacks to start it, with the remedy; None: nothing."""

    @abstractmethod
    def exports(self, running: Running) -> dict[str, str]:
        """Environment variables by which its users find it. Addresses alone: they are written to a file."""

    @abstractmethod
    def _spawn(self, port: int) -> Running:
        """Start it at the port and wait until it is healthy. Raises RuntimeError."""

    def started(self) -> Running | None:
        """The one that was started last and not stopped, whether it still runs or not."""
        file = self._record
        return Running(**json.loads(file.read_text())) if file.is_file() else None

    def start(self) -> Running:
        """Start it, a dead one at its old port if that is free: who knows its address finds it again."""
        before = self.started()
        if before:
            before.kill()  # children that outlived it hold its port
        running = on_free_port(self._spawn, _port(before.url) if before else self.port)
        self.home.mkdir(parents=True, exist_ok=True)
        aside = self._record.with_suffix(".fresh")
        aside.write_text(json.dumps(asdict(running), indent=1))
        os.replace(aside, self._record)
        return running

    def stop(self) -> bool:
        """End it, and what a dead one left. Returns whether it ran."""
        running = self.started()
        if running is None:
            return False
        ran = running.alive()
        running.stop()
        self._record.unlink(missing_ok=True)
        return ran

    @property
    def _record(self) -> Path:
        return self.home / f"{self.name}.json"

    def _unless_interrupted(self, health: Callable[[], bool]) -> Callable[[], bool]:
        """The health check, ended by Ctrl-C: several servers start at once, in threads that hear no signal."""

        def ask() -> bool:
            if self._interrupted.is_set():
                raise KeyboardInterrupt
            return health()

        return ask


def _port(url: str) -> int:
    return int(url.partition("?")[0].rpartition(":")[2])
