"""All servers of this machine as one: start what does not run, stop what does, tell how each is."""

import os
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal

from filelock import FileLock

from crl.errors import CrlError
from flows.local.kind import HOME, Kind
from flows.local.process import Running
from flows.local.tracking import Mlflow, Prefect
from flows.local.vllm import VllmActor, VllmExtractor
from flows.local.weaviate import Weaviate

KINDS: tuple[type[Kind], ...] = (Weaviate, Prefect, Mlflow, VllmActor, VllmExtractor)
State = Literal["runs", "dead", "off", "left out", "failed"]
_LONGEST_S = 900.0  # that another start or stop of this checkout may take


@dataclass(frozen=True)
class Standing:
    """How one server is."""

    name: str
    state: State
    running: Running | None = None
    note: str = ""  # why it is so, and the remedy


class Fleet:
    """The chosen kinds of servers of one checkout."""

    def __init__(self, names: Sequence[str] = (), home: Path = HOME) -> None:
        self.home = home
        self._interrupted = Event()
        self.all = {kind.name: kind(home, self._interrupted) for kind in KINDS}
        if strangers := [name for name in names if name not in self.all]:
            raise ValueError(f"{', '.join(strangers)}: no such server. Remedy: choose from {', '.join(self.all)}")
        self.chosen = [kind for name, kind in self.all.items() if not names or name in names]

    def start(self, tell: Callable[[Standing], None] = lambda _: None) -> list[Standing]:
        """Start what does not run, all at once; `tell` hears of each when it stands. What runs is left alone."""
        with self._lock(), ThreadPoolExecutor(len(self.chosen)) as pool:
            waits = [pool.submit(self._start, kind) for kind in self.chosen]
            try:
                for done in as_completed(waits):
                    tell(done.result())
            except BaseException:  # Ctrl-C: what is starting ends, what stands goes on
                self._interrupted.set()
                raise
            finally:
                self._write_environment()
            return [wait.result() for wait in waits]

    def stop(self) -> list[Standing]:
        """End the chosen ones. Harmless where none runs."""
        with self._lock():
            found = [
                Standing(kind.name, "off", note="stopped" if kind.stop() else "did not run") for kind in self.chosen
            ]
            self._write_environment()
            return found

    def status(self) -> list[Standing]:
        return [_standing(kind) for kind in self.chosen]

    def environment(self) -> dict[str, str]:
        """The variables by which users find the servers that run, of all kinds."""
        found: dict[str, str] = {}
        for kind in self.all.values():
            running = kind.started()
            if running and running.alive():
                found |= kind.exports(running)
        return found

    def _start(self, kind: Kind) -> Standing:
        before = _standing(kind)
        if before.state == "runs":
            return before
        try:
            if reason := kind.lacking():
                return Standing(kind.name, "left out", note=reason)
            running = kind.start()
        except (RuntimeError, OSError, CrlError) as error:
            return Standing(kind.name, "failed", note=str(error))
        return Standing(kind.name, "runs", running, "restarted: it was dead" if before.state == "dead" else "started")

    def _lock(self) -> FileLock:
        self.home.mkdir(parents=True, exist_ok=True)
        return FileLock(self.home / "lock", timeout=_LONGEST_S)

    def _write_environment(self) -> None:
        """`set -a; . .servers/env` makes a shell's commands use the servers."""
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in self.environment().items()]
        aside = self.home / "env.fresh"
        aside.write_text("".join(lines))
        os.replace(aside, self.home / "env")


def _standing(kind: Kind) -> Standing:
    running = kind.started()
    if running is None:
        return Standing(kind.name, "off")
    if running.alive():
        return Standing(kind.name, "runs", running)
    return Standing(kind.name, "dead", running, f"it ended by itself; see {_near(running.log)}. Remedy: start it again")


def _near(path: str) -> str:
    with suppress(ValueError):
        return str(Path(path).resolve().relative_to(Path.cwd()))
    return path
