"""What a report is made from: typed values, read strictly from the files that the stages leave behind."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from crl.episode.transcripts import Transcript
from crl.errors import DataError
from crl.evaluation.statistics import EvaluationSummary
from crl.report.tasks import MixEntry, Tried
from crl.round.report import EffectRow

T = TypeVar("T")
MAX_TRANSCRIPTS = 1000  # a file with more is not a sample; reading stops with an error instead of filling memory


@dataclass(frozen=True, slots=True)
class RoundsTable:
    """One row per round; columns are metric names. A metric that a round did not measure is NaN."""

    columns: tuple[str, ...]
    values: np.ndarray  # (rounds, columns)

    @property
    def rounds(self) -> int:
        return len(self.values)

    @property
    def played(self) -> int:
        """Rounds with episodes: the last row may tell what was done after them."""
        episodes = self.get("rollout/episodes")
        return self.rounds if episodes is None else int(np.isfinite(episodes).sum())

    def get(self, name: str) -> np.ndarray | None:
        """The metric by round; None where it was never measured."""
        if name not in self.columns:
            return None
        column = self.values[:, self.columns.index(name)]
        return None if np.isnan(column).all() else column

    def total(self, name: str) -> float:
        column = self.get(name)
        return 0.0 if column is None else float(np.nansum(column))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of the configuration; `reference` is its value in the profile, None for a field the profile lacks."""

    name: str
    value: str
    reference: str | None

    @property
    def changed(self) -> bool:
        return self.value != self.reference


@dataclass(frozen=True, slots=True)
class Version:
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Where the figures come from, and how to get them again."""

    lineage: str
    profile: str
    schedule: str
    seed: int
    machine: str
    versions: tuple[Version, ...] = ()
    commands: tuple[str, ...] = ()  # shell lines that reproduce the run


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """All that a report is made of; what has a default may be missing from it."""

    evaluation: EvaluationSummary
    rounds: RoundsTable
    run: RunFacts
    effects: tuple[EffectRow, ...] = ()
    transcripts: tuple[Transcript, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    mix: tuple[MixEntry, ...] = ()
    tried: tuple[Tried, ...] = ()


def read_evaluation(path: Path) -> EvaluationSummary:
    return EvaluationSummary.from_json(_json(_text(path), str(path)))


def read_rounds(path: Path) -> RoundsTable:
    """A CSV with a header; empty cells and `nan` are missing values."""
    header, *lines = list(csv.reader(_text(path).splitlines())) or [[]]
    values = np.full((len(lines), len(header)), np.nan)
    for i, line in enumerate(lines):
        at = f"{path} line {i + 2}"
        if len(line) != len(header):
            raise DataError(f"{at}: {len(line)} cells, header has {len(header)}. Remedy: run co_evolve again")
        for j, cell in enumerate(line):
            try:
                values[i, j] = float(cell) if cell.strip() else np.nan
            except ValueError:
                what = f"{at}, {header[j]} = {cell[:40]!r}: not a number"
                raise DataError(f"{what}. Remedy: run co_evolve again") from None
    return RoundsTable(tuple(header), values)


def read_effects(path: Path) -> tuple[EffectRow, ...]:
    """A JSON list of entries with their measured effect."""
    return _valid(tuple[EffectRow, ...], _json(_text(path), str(path)), str(path))


def read_transcripts(path: Path) -> tuple[Transcript, ...]:
    """JSON lines, one episode each."""
    lines = [line for line in _text(path).split("\n") if line.strip()]
    if len(lines) > MAX_TRANSCRIPTS:
        raise DataError(
            f"{path}: {len(lines)} episodes, at most {MAX_TRANSCRIPTS} are read. Remedy: lower record.transcripts"
        )
    where = [f"{path} episode {i + 1}" for i in range(len(lines))]
    return tuple(_valid(Transcript, _json(line, at), at) for line, at in zip(lines, where, strict=True))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"{path}: cannot be read ({fault}). Remedy: run the stage that writes it again") from fault


def _json(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as fault:
        raise DataError(f"{where}: not JSON ({fault}). Remedy: run the stage that writes it again") from fault


def _valid(kind: type[T], body: object, where: str) -> T:
    try:
        return TypeAdapter(kind).validate_python(body)
    except ValidationError as fault:
        first = fault.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DataError(f"{where}, {field}: {first['msg']}. Remedy: run the stage that writes it again") from fault
