"""The gates of a running co-evolution, in a process of their own: `python -m flows.gates.worker PARAMS DOCS`.

Great Expectations takes seconds to import and a good part of a second for a round's checks; the training process only
writes a small file and waits for the verdict while it does other work. Requests and answers are JSON lines.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from crl.config import Config, load
from crl.errors import CrlError, RunStopped
from crl.types import Episode, EpisodeFailure
from flows.gates import GateFailed, Gates, bank_snapshots, gates, rollouts

_ANSWER_WAIT_S = 120.0
_STOP_WAIT_S = 2.0  # of a run that is stopped: nobody reads its pages
_CALLED = {"rollouts": "episodes", "snapshot": "bank"}


class RunGates:
    """Checks of one run. Use as an async context manager; leaving it draws the pages."""

    def __init__(self, config: Config, params: Path, docs: Path) -> None:
        self._config, self._docs = config, docs
        self._command = [sys.executable, "-m", "flows.gates.worker", str(params), str(docs)]
        self._lock = asyncio.Lock()
        self._snapshot: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "RunGates":
        self._folder = TemporaryDirectory(prefix="crl-gates-")
        path = os.pathsep.join(part or os.getcwd() for part in sys.path)
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24,
            env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        try:
            if kind is None:
                await self._caught_up()
        finally:
            if self._snapshot is not None:  # of a run that failed: nobody waits for its verdict any more
                self._snapshot.cancel()
                await asyncio.gather(self._snapshot, return_exceptions=True)
            self._process.stdin.close()
            stopped = kind is not None and not issubclass(kind, Exception)
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_WAIT_S if stopped else _ANSWER_WAIT_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
            self._folder.cleanup()

    async def rollouts(self, round_: int, ends: Sequence[Episode | EpisodeFailure]) -> None:
        """A round's episodes, before anything learns from them. Raises GateFailed, also for the bank before it."""
        await self._caught_up()
        file = Path(self._folder.name) / "rollouts.parquet"
        rollouts.frame_of(ends).to_parquet(file, index=False)
        await self._ask("rollouts", round_, file)

    def snapshot(self, round_: int, file: Path) -> None:
        """The bank as a round left it, beside the next round's rollouts; the next call raises GateFailed if it must."""
        before = self._snapshot

        async def check() -> None:
            if before is not None:
                await before
            await self._ask("snapshot", round_, file)

        self._snapshot = asyncio.create_task(check())

    async def _caught_up(self) -> None:
        if self._snapshot is not None:
            await self._snapshot

    async def _ask(self, kind: str, round_: int, file: Path) -> None:
        name = f"{_CALLED[kind]} of round {round_}"
        request = json.dumps({"kind": kind, "round": round_, "file": str(file), "name": name})
        async with self._lock:
            self._process.stdin.write(request.encode() + b"\n")
            try:
                line = await asyncio.wait_for(self._process.stdout.readline(), _ANSWER_WAIT_S)
            except (TimeoutError, ConnectionError):
                line = b""
        if not line:
            raise RunStopped(
                f"the gates' process gave no verdict on {name}. Remedy: run the same command, which resumes from the "
                "last round; no data enter training unchecked"
            )
        if fault := json.loads(line).get("fault"):
            raise GateFailed(fault, (), self._docs)


def _answer(opened: Gates, config: Config, kind: str, round: int, file: str, name: str) -> dict[str, str | None]:
    try:
        if kind == "rollouts":  # as a frame: of that the gate keeps bad rows
            opened.check(pd.read_parquet(file), rollouts.suite(config), name=name)
        else:
            opened.check(Path(file), bank_snapshots.suite(config, round), name=name)
    except CrlError as error:
        return {"fault": str(error)}
    return {"fault": None}


def main(params: Path, docs: Path) -> None:
    # Ctrl-C reaches the whole group; the run decides, and closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    config = load(params)
    with gates(docs) as opened:
        for line in sys.stdin:
            print(json.dumps(_answer(opened, config, **json.loads(line))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
