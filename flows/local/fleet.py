"""All servers of this machine as one: start what does not run, stop what does, tell how each is."""

import os
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock

from crl.errors import CrlError
from flows.local.mlflow_server import MlflowServer
from flows.local.prefect_server import PrefectServer
from flows.local.process import INTERRUPTED, Running
from flows.local.server import HOME, LocalServer
from flows.local.vllm import Vllm
from flows.local.weaviate import Weaviate

NAMES = ("weaviate", "prefect", "mlflow", "actor", "extractor")
_LONGEST_S = 900.0  # that another start or stop of this checkout may take


@dataclass(frozen=True)
class Standing:
    """How one server is."""

    name: str
    state: Literal["runs", "dead", "off", "left out", "failed"]
    running: Running | None = None
    note: str = ""  # why it is so, and the remedy

    @classmethod
    def of(cls, server: LocalServer) -> "Standing":
        running = server.started()
        if running is None:
            return cls(server.name, "off")
        if running.alive():
            return cls(server.name, "runs", running)
        return cls(server.name, "dead", running, f"it ended by itself; see {running.log}. Remedy: start it again")


class Fleet:
    """The chosen servers of one checkout."""

    def __init__(self, names: Sequence[str] = (), home: Path = HOME) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self._lock = home, FileLock(home / "lock", timeout=_LONGEST_S)
        models = (Vllm("actor", 8000, home), Vllm("extractor", 8001, home))
        self.all = (Weaviate(home), PrefectServer(), MlflowServer(home), *models)  # Prefect's is where stages find it
        if strangers := [name for name in names if name not in NAMES]:
            raise ValueError(f"{', '.join(strangers)}: no such server. Remedy: choose from {', '.join(NAMES)}")
        self.chosen = [server for server in self.all if not names or server.name in names]

    def start(self, tell: Callable[[Standing], None] = lambda _: None) -> list[Standing]:
        """Start what does not run, all at once; `tell` hears of each when it stands. What runs is left alone."""
        with self._lock, ThreadPoolExecutor(len(self.chosen)) as pool:
            waits = [pool.submit(_started, server) for server in self.chosen]
            try:
                for done in as_completed(waits):
                    tell(done.result())
            except BaseException:  # Ctrl-C: what is starting ends, what stands goes on
                INTERRUPTED.set()
                raise
            finally:
                self._write_environment()
            return [wait.result() for wait in waits]

    def stop(self) -> list[Standing]:
        """End the chosen ones. Harmless where none runs."""
        with self._lock:
            notes = {server.name: "stopped" if server.stop() else "did not run" for server in self.chosen}
            self._write_environment()
            return [Standing(name, "off", note=note) for name, note in notes.items()]

    def status(self) -> list[Standing]:
        return [Standing.of(server) for server in self.chosen]

    def environment(self) -> dict[str, str]:
        """The variables by which users find the servers that run, of all kinds."""
        found: dict[str, str] = {}
        for server in self.all:
            if running := server.current():
                found |= server.exports(running)
        return found

    def _write_environment(self) -> None:
        """`set -a; . .servers/env` makes a shell's commands use the servers."""
        aside = self.home / "env.fresh"
        aside.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in self.environment().items()))
        os.replace(aside, self.home / "env")


def _started(server: LocalServer) -> Standing:
    before = Standing.of(server)
    if before.state == "runs":
        server.keep()
        return before
    try:
        if reason := server.lacking():
            return Standing(server.name, "left out", note=reason)
        running = server.start()
    except (RuntimeError, OSError, CrlError) as error:
        return Standing(server.name, "failed", note=str(error))
    return Standing(server.name, "runs", running, "restarted: it was dead" if before.state == "dead" else "started")
