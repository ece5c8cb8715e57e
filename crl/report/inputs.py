"""What a report is made from: typed values, read strictly from the files that the stages leave behind.

Every reader raises DataError for a file that is missing, damaged or of another shape.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from crl.episode.transcripts import Transcript
from crl.errors import DataError
from crl.evaluation.pass_rate import KS
from crl.evaluation.statistics import EvaluationSummary
from crl.round.report import EffectRow

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
class RunFacts:
    """Where the figures come from, and how to get them again."""

    lineage: str
    profile: str
    schedule: str
    seed: int
    machine: str
    versions: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()  # shell lines that reproduce the run
    levels: str | None = None  # digest of the held-out levels
    times: str | None = None  # the page of seconds, in the checkout that played the run


@dataclass(frozen=True, slots=True)
class MixEntry:
    """One entry: its training tasks before and after the filter, its held-out ones; why it was left out, if it was."""

    entry: str
    train: int
    before: int = 0
    held_out: int = 0
    left_out: str | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """One entry's tried tasks: successes c of n attempts each, mean pass@k, the filter's bounds."""

    entry: str
    policy: str  # "actor" | "scripted"
    n: int
    successes: tuple[int, ...]  # by task
    pass_at: Mapping[int, float]  # k -> mean over tasks
    above: float
    at_most: float

    def keeps(self, successes: int) -> bool:
        """Whether the filter keeps tasks with so many successes."""
        return self.above < successes / self.n <= self.at_most

    @property
    def kept(self) -> int:
        return sum(map(self.keeps, self.successes))


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
    bank_page: str | None = None  # address of the bank's page, as seen from the report's


def read_evaluation(path: Path) -> EvaluationSummary:
    with reading(path, "evaluate"):
        return EvaluationSummary.from_json(json.loads(_text(path)))


def read_rounds(path: Path) -> RoundsTable:
    """A CSV with a header; empty cells and `nan` are missing values."""
    with reading(path, "co_evolve"):
        header, *lines = list(csv.reader(_text(path).splitlines())) or [[]]
    values = np.full((len(lines), len(header)), np.nan)
    for row, cells in enumerate(lines):
        with reading(f"{path} line {row + 2}", "co_evolve"):
            values[row] = [float(cell.strip() or "nan") for _, cell in zip(header, cells, strict=True)]
    return RoundsTable(tuple(header), values)


def read_effects(path: Path) -> tuple[EffectRow, ...]:
    """A JSON list of entries with their measured effect."""
    with reading(path, "co_evolve"):
        return TypeAdapter(tuple[EffectRow, ...]).validate_python(json.loads(_text(path)))


def read_transcripts(path: Path) -> tuple[Transcript, ...]:
    """JSON lines, one episode each: a sample, so not more than MAX_TRANSCRIPTS."""
    found = tuple(islice(stored_transcripts(path, "evaluate"), MAX_TRANSCRIPTS + 1))
    if len(found) > MAX_TRANSCRIPTS:
        raise DataError(f"{path}: more than {MAX_TRANSCRIPTS} episodes. Remedy: lower record.transcripts")
    return found


def stored_transcripts(path: Path, stage: str) -> Iterator[Transcript]:
    """One after the other, as this stage wrote them."""
    with reading(path, stage):
        lines = _text(path).split("\n")
    for number, line in enumerate(lines, start=1):
        with reading(f"{path} episode {number}", stage):
            if line.strip():
                yield TypeAdapter(Transcript).validate_python(json.loads(line))


def read_mix(path: Path) -> tuple[MixEntry, ...]:
    """The stage `filter`'s table."""
    with reading(path, "filter"):
        return tuple(TypeAdapter(dict[str, MixEntry]).validate_python(json.loads(_text(path))).values())


def read_tried(path: Path, *, policy: str, above: float, at_most: float) -> tuple[Tried, ...]:
    """The stage `pass_rate`'s table, by entry."""
    import pandas as pd

    tried = []
    with reading(path, "pass_rate"):
        for entry, rows in pd.read_parquet(path).groupby("name", sort=False):
            n = int(rows.n.max())
            pass_at = {k: float(rows[f"pass_{k}"].mean()) for k in KS if k <= n}
            tried.append(Tried(entry, policy, n, tuple(map(int, rows.c)), pass_at, above, at_most))
    return tuple(tried)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@contextmanager
def reading(what: Path | str, stage: str) -> Iterator[None]:
    """Raises DataError where the block finds a file of this stage missing, damaged or of another shape."""
    try:
        yield
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{what}, {where}: {first['msg']}. Remedy: run the stage {stage} again") from fault
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise DataError(f"{what}: cannot be read ({fault}). Remedy: run the stage {stage} again") from fault
