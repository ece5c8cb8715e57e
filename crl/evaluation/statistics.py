"""Evaluation figures with honest intervals: success and actions on held-out levels, and their differences.

**The unit is the level.** Episodes on one level share its map, so levels are resampled (a cluster bootstrap), each
with all its episodes, in every phase and arm at once; differences are therefore paired over the same levels. Each
level counts the same. `all` pools the levels of all tasks and resamples within each task (the tasks are fixed, their
levels are drawn).

**No interval collapses.** Where every level succeeds (or fails) a bootstrap returns one point, which claims a certainty
that n levels cannot give. So each success interval is the percentile bootstrap, widened where it is narrower than an
analytic interval that stays honest at the edge: Wilson's (1927) for a rate, at the effective number of episodes; Bonett
and Price's (2012, "add one pair of each kind") for a paired difference; tasks combined in quadrature for `all` (MOVER,
Zou and Donner 2008). At 0 of 120 levels the 95 % interval is 0 to 3.1 %. Coverage is measured in
`tests/evaluation/test_statistics.py`. Actions have no natural bound: if all episodes took equally long, their interval is a point.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from statistics import NormalDist
from typing import Literal

import numpy as np

from crl.errors import DataError
from crl.evaluation.intervals import bonett_price, bootstrap, combined, wilson
from crl.seeding import stream

Arm = Literal["free", "guided"]
Phase = Literal["before", "after"]
PHASES: tuple[Phase, ...] = ("before", "after")
ARMS: tuple[Arm, ...] = ("free", "guided")
ALL = "all"  # the row that pools all tasks; no task may bear this name


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One evaluation episode, as the statistics need it."""

    task: str
    level_id: str
    arm: Arm
    phase: Phase
    success: bool
    actions: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean success and mean number of actions with their intervals; `episodes` counts both sides of a difference."""

    success: float
    success_low: float
    success_high: float
    actions: float
    actions_low: float
    actions_high: float
    episodes: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One phase, arm and task of the evaluation."""

    phase: Phase
    arm: Arm
    task: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired contrast: `kind` says what is subtracted, `within` which arm (or phase) it is subtracted in."""

    kind: Literal["after_minus_before", "guided_minus_free"]
    within: str
    task: str
    estimate: Estimate

    @property
    def excludes_zero(self) -> bool:
        return self.estimate.success_low > 0 or self.estimate.success_high < 0


@dataclass(frozen=True, slots=True)
class EvaluationSummary:
    """All cells and differences, tasks in order of name with `all` last."""

    tasks: tuple[str, ...]
    cells: tuple[Cell, ...]
    differences: tuple[Difference, ...]
    confidence: float
    samples: int

    def cell(self, phase: str, arm: str, task: str = ALL) -> Estimate | None:
        """The estimate of one cell; None where nothing was played."""
        wanted = (phase, arm, task)
        return next((c.estimate for c in self.cells if (c.phase, c.arm, c.task) == wanted), None)

    def difference(self, kind: str, within: str, task: str = ALL) -> Difference | None:
        """One contrast; None where its two sides share no level."""
        wanted = (kind, within, task)
        return next((d for d in self.differences if (d.kind, d.within, d.task) == wanted), None)

    def as_json(self) -> dict[str, object]:
        """The content of `metrics/evaluate.json`: phase, arm, task, figure; then the differences."""
        body: dict = {phase: {arm: {} for arm in ARMS} for phase in PHASES}
        for cell in self.cells:
            body[cell.phase][cell.arm][cell.task] = asdict(cell.estimate)
        body["difference"] = {"after_minus_before": {}, "guided_minus_free": {}}
        for row in self.differences:
            body["difference"][row.kind].setdefault(row.within, {})[row.task] = asdict(row.estimate)
        body["intervals"] = {"confidence": self.confidence, "samples": self.samples}
        return body

    @classmethod
    def from_json(cls, body: dict) -> "EvaluationSummary":
        """The inverse of `as_json`; DataError names what is missing."""
        try:
            cells = tuple(
                Cell(phase, arm, task, Estimate(**values))
                for phase, arm in product(PHASES, ARMS)
                for task, values in body[phase][arm].items()
            )
            differences = tuple(
                Difference(kind, within, task, Estimate(**values))
                for kind, parts in body["difference"].items()
                for within, tasks in parts.items()
                for task, values in tasks.items()
            )
            intervals = body["intervals"]
            tasks = sorted({cell.task for cell in cells} - {ALL})
            return cls((*tasks, ALL), cells, differences, intervals["confidence"], intervals["samples"])
        except (KeyError, TypeError, AttributeError) as fault:
            raise DataError(
                f"evaluation figures do not have the expected shape ({fault!r}). Remedy: run evaluate again"
            ) from fault


def summarise(rows: Iterable[EpisodeRow], *, samples: int, confidence: float, seed: int) -> EvaluationSummary:
    """Estimates, intervals and paired differences for each task and for all; the rows' order does not matter."""
    strata = _strata(rows)
    draws = [
        stream(seed, "bootstrap", s.task).multinomial(s.levels, np.full(s.levels, 1 / s.levels), size=samples)
        for s in strata
    ]
    cells, differences = [], []
    scopes = [(s.task, [s], [w]) for s, w in zip(strata, draws, strict=True)] + [(ALL, strata, draws)]
    for task, members, weights in scopes:
        scope = _Scope(members, weights, confidence)
        for p, a in product(range(2), range(2)):
            if estimate := scope.rate(p, a):
                cells.append(Cell(PHASES[p], ARMS[a], task, estimate))
        for a in range(2):
            if estimate := scope.contrast((1, a), (0, a)):
                differences.append(Difference("after_minus_before", ARMS[a], task, estimate))
        for p in range(2):
            if estimate := scope.contrast((p, 1), (p, 0)):
                differences.append(Difference("guided_minus_free", PHASES[p], task, estimate))
    cells.sort(key=lambda cell: (PHASES.index(cell.phase), ARMS.index(cell.arm)))  # the order of the JSON
    differences.sort(key=lambda row: (row.kind, (*ARMS, *PHASES).index(row.within)))
    tasks = (*(s.task for s in strata), ALL)
    return EvaluationSummary(tasks, tuple(cells), tuple(differences), confidence, samples)


@dataclass(frozen=True, slots=True)
class _Stratum:
    """One task's levels. Means are NaN where a phase and arm was not played on a level."""

    task: str
    success: np.ndarray  # (phase 2, arm 2, levels) mean over the level's episodes
    actions: np.ndarray  # (2, 2, levels)
    episodes: np.ndarray  # (2, 2, levels)

    @property
    def levels(self) -> int:
        return self.success.shape[-1]


def _strata(rows: Iterable[EpisodeRow]) -> list[_Stratum]:
    by_task: dict[str, list[EpisodeRow]] = {}
    for row in rows:
        by_task.setdefault(row.task, []).append(row)
    if not by_task:
        raise DataError(
            "there are no evaluation episodes. Remedy: raise tasks.eval_levels or look at the failed episodes"
        )
    if ALL in by_task:
        raise DataError(
            f"task = {ALL!r}: the name is kept for the pooled figures. Remedy: rename the task in tasks.mix"
        )
    return [_stratum(task, by_task[task]) for task in sorted(by_task)]


def _stratum(task: str, rows: Sequence[EpisodeRow]) -> _Stratum:
    position = {level: i for i, level in enumerate(sorted({row.level_id for row in rows}))}
    sums = np.zeros((3, 2, 2, len(position)))
    for row in rows:
        where = (PHASES.index(row.phase), ARMS.index(row.arm), position[row.level_id])
        sums[(slice(None), *where)] += (row.success, row.actions, 1)
    with np.errstate(invalid="ignore"):
        return _Stratum(task, sums[0] / sums[2], sums[1] / sums[2], sums[2])


class _Scope:
    """The levels that one row of the results is about, with their bootstrap weights."""

    def __init__(self, strata: Sequence[_Stratum], weights: Sequence[np.ndarray], confidence: float) -> None:
        self._strata = strata
        self._weights = weights  # per task (samples, levels): how often each level was drawn
        self._confidence = confidence
        self._z = NormalDist().inv_cdf((1 + confidence) / 2)

    def rate(self, phase: int, arm: int) -> Estimate | None:
        where = (phase, arm)
        played = [s.episodes[where] > 0 for s in self._strata]
        success = [s.success[where][p] for s, p in zip(self._strata, played, strict=True)]
        actions = [s.actions[where][p] for s, p in zip(self._strata, played, strict=True)]
        episodes = [int(s.episodes[where].sum()) for s in self._strata]
        floors = [wilson(y, n, self._z) for y, n in zip(success, episodes, strict=True) if n]
        return self._estimate(played, success, actions, floors, sum(episodes))

    def contrast(self, first: tuple[int, int], second: tuple[int, int]) -> Estimate | None:
        """`first` minus `second`, over the levels that both were played on."""
        played = [(s.episodes[first] > 0) & (s.episodes[second] > 0) for s in self._strata]
        pairs = list(zip(self._strata, played, strict=True))
        success = [(s.success[first] - s.success[second])[p] for s, p in pairs]
        actions = [(s.actions[first] - s.actions[second])[p] for s, p in pairs]
        episodes = sum(int((s.episodes[first] + s.episodes[second])[p].sum()) for s, p in pairs)
        floors = [bonett_price(y, self._z) for y in success if len(y)]
        return self._estimate(played, success, actions, floors, episodes)

    def _estimate(
        self,
        played: list[np.ndarray],
        success: list[np.ndarray],
        actions: list[np.ndarray],
        floors: list[tuple[float, float]],
        episodes: int,
    ) -> Estimate | None:
        if not floors:
            return None
        weights = np.concatenate([w[:, p] for w, p in zip(self._weights, played, strict=True)], axis=1)
        rate, low, high = bootstrap(weights, np.concatenate(success), self._confidence)
        floor_low, floor_high = combined(rate, success, floors)
        steps = bootstrap(weights, np.concatenate(actions), self._confidence)
        return Estimate(rate, min(low, floor_low), max(high, floor_high), *steps, episodes)
