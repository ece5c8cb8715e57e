"""A round's episodes as a file that grows turn by turn, for people who look on (`crl watch`). Nothing reads it to go on.

One line of JSON per beginning, turn and end, of all episodes in turn. A round that is played anew has a new file. Its size is
bounded, and so is that of all: the oldest rounds' files go first.
"""

import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from crl.episode.plan import EpisodeSpec
from crl.episode.spectators import Spectator
from crl.errors import DataError
from crl.types import Episode, EpisodeFailure, Guidance, Turn

ROUND_BYTES = 2**26  # of one round's file; what comes after it is not written down
RUN_BYTES = 2**28  # of all files of a run

_NAME = re.compile(r"round_(\d{4,})\.jsonl")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    line: ClassVar = "opened"
    round: int
    planned: int  # episodes, before the round is refilled


@dataclass(frozen=True, slots=True)
class Began:
    line: ClassVar = "began"
    episode: str
    task: str
    instance: str
    guided: bool
    goal: str
    decision: str | None  # of the gate; None for a free episode
    shown: str | None  # the experience, as it stands in the prompt


@dataclass(frozen=True, slots=True)
class Took:
    line: ClassVar = "turn"
    episode: str
    turn: int  # from 1
    kind: str
    observation: str
    reply: str
    action: str | None  # or the question to the ask tool
    reward: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Ended:
    line: ClassVar = "ended"
    episode: str
    guided: bool
    outcome: str | None  # None: lost to infrastructure, and never scored
    reward: float
    turns: int
    last: str  # the last observation, or what the episode was lost to


@dataclass(frozen=True, slots=True)
class Closed:
    line: ClassVar = "closed"
    full: bool = False  # closed before the round was over


Row = Opened | Began | Took | Ended | Closed
_KINDS = {kind.line: kind for kind in (Opened, Began, Took, Ended, Closed)}


def journal_file(folder: Path, round_: int) -> Path:
    return folder / f"round_{round_:04d}.jsonl"


def rounds_of(folder: Path) -> list[int]:
    """Rounds that have a journal in `folder`, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for file in folder.iterdir() if (match := _NAME.fullmatch(file.name)))


def forget_after(folder: Path, round_: int) -> None:
    """Remove the journals of later rounds."""
    for later in rounds_of(folder):
        if later > round_:
            journal_file(folder, later).unlink(missing_ok=True)


class Journal(Spectator):
    """Writes one round's. A disk that takes no more ends the journal, with a warning, and not the run."""

    def __init__(self, folder: Path, round_: int, planned: int) -> None:
        self._file, self._left = journal_file(folder, round_), ROUND_BYTES
        self._running: dict[str, int] = {}  # turns taken, by episode
        try:
            _make_room(folder, self._file)
            self._stream = self._file.open("xb", buffering=0)  # whoever looks on sees a line as soon as it is written
        except OSError as error:
            self._stream = None
            self._warn(error)
        self._write(Opened(round_, planned))

    def began(self, spec: EpisodeSpec, goal: str, guidance: Guidance | None) -> None:
        key, decision = str(spec.key), guidance.decision if guidance else None
        self._running[key] = 0
        shown = guidance.shown if guidance else None
        self._write(Began(key, spec.task.name, spec.task.id, spec.guided, goal, decision, shown))

    def took(self, spec: EpisodeSpec, turn: Turn) -> None:
        key, said = str(spec.key), turn.completion
        self._running[key] += 1
        row = (turn.kind, turn.observation, said.text, turn.action, turn.reward, len(said.token_ids))
        self._write(Took(key, self._running[key], *row))

    def ended(self, end: Episode | EpisodeFailure) -> None:
        key, lost = str(end.key), isinstance(end, EpisodeFailure)
        if key not in self._running:  # it was played elsewhere, or lost before its first prompt stood
            spec = EpisodeSpec(end.key, end.task, end.guided)
            self.began(spec, *(("", None) if lost else (end.goal, end.guidance)))
            for turn in () if lost else end.turns:
                self.took(spec, turn)
        del self._running[key]
        if lost:
            self._write(Ended(key, end.guided, None, 0.0, 0, f"{end.cause}: {end.detail}"))
        else:
            last = end.final_observation
            self._write(Ended(key, end.guided, end.outcome, end.reward, len(end.turns), last))

    def close(self) -> None:
        self._write(Closed())
        self._shut()

    def _write(self, row: Row) -> None:
        if self._stream is None:
            return
        line = json.dumps({"line": row.line} | {name: getattr(row, name) for name in row.__slots__}).encode() + b"\n"
        if full := len(line) > self._left:
            line = json.dumps({"line": Closed.line, "full": True}).encode() + b"\n"
        self._left -= len(line)
        try:
            if self._stream.write(line) < len(line):
                raise OSError("the line was cut")
        except OSError as error:
            self._warn(error)
            self._shut()
        if full:
            self._shut()

    def _shut(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _warn(self, error: OSError) -> None:
        log.warning("%s: %s: what is played is not written down for `crl watch`; the run goes on", self._file, error)


def _make_room(folder: Path, file: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # whoever reads the former one sees that the name has another file now
    files = [journal_file(folder, round_) for round_ in rounds_of(folder)]
    sizes = [each.stat().st_size for each in files]
    while files and sum(sizes) > RUN_BYTES - ROUND_BYTES:
        files.pop(0).unlink()
        sizes.pop(0)


class Reader:
    """Reads a journal while it may grow. Close it."""

    def __init__(self, file: Path) -> None:
        """Raises FileNotFoundError."""
        self._file, self._lines = file, 0
        self._stream = file.open("rb")

    def rows(self) -> Iterator[Row]:
        """What has come since the last call; a line that is still being written comes with the next one.

        Raises DataError for a line that is none.
        """
        while True:
            place = self._stream.tell()
            line = self._stream.readline()
            if not line.endswith(b"\n"):
                self._stream.seek(place)
                return
            self._lines += 1
            try:
                values = json.loads(line)
                row = _KINDS[values.pop("line")](**values)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(
                    f"{self._file}:{self._lines}: no line of a journal ({error}). Remedy: remove it; no run reads it"
                ) from None
            yield row

    @property
    def replaced(self) -> bool:
        """Whether the round was begun anew, so that its journal is another file by now."""
        try:
            return not os.path.samestat(self._file.stat(), os.fstat(self._stream.fileno()))
        except FileNotFoundError:
            return True

    def close(self) -> None:
        self._stream.close()
