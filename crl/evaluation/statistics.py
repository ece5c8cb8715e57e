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
Side = tuple[Phase, Arm]
# Kind of a difference -> the arm or phase that it is taken in -> from what is subtracted, and what.
CONTRASTS: dict[str, dict[str, tuple[Side, Side]]] = {
    "after_minus_before": {arm: (("after", arm), ("before", arm)) for arm in ARMS},
    "guided_minus_free": {phase: ((phase, "guided"), (phase, "free")) for phase in PHASES},
}


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

    @property
    def excludes_zero(self) -> bool:
        """Of a difference: whether it can be told from chance."""
        return self.success_low > 0 or self.success_high < 0


@dataclass(frozen=True, slots=True)
class EvaluationSummary:
    """All cells and paired differences, tasks in order of name with `all` last."""

    tasks: tuple[str, ...]
    cells: dict[tuple[str, str, str], Estimate]  # (phase, arm, task)
    differences: dict[tuple[str, str, str], Estimate]  # (kind, the arm or phase it is subtracted in, task)
    confidence: float
    samples: int

    def cell(self, phase: str, arm: str, task: str = ALL) -> Estimate | None:
        """The estimate of one cell; None where nothing was played."""
        return self.cells.get((phase, arm, task))

    def difference(self, kind: str, within: str, task: str = ALL) -> Estimate | None:
        """One contrast: `kind` is a key of `CONTRASTS`. None where its two sides share no level."""
        return self.differences.get((kind, within, task))

    def as_json(self) -> dict[str, object]:
        """The content of `metrics/evaluate.json`: phase, arm, task, figure; then the differences."""
        body: dict = {phase: {arm: {} for arm in ARMS} for phase in PHASES}
        body["difference"] = {kind: {} for kind in CONTRASTS}
        for (phase, arm, task), estimate in self.cells.items():
            body[phase][arm][task] = asdict(estimate)
        for (kind, within, task), estimate in self.differences.items():
            body["difference"][kind].setdefault(within, {})[task] = asdict(estimate)
        body["intervals"] = {"confidence": self.confidence, "samples": self.samples}
        return body

    @classmethod
    def from_json(cls, body: dict) -> "EvaluationSummary":
        """The inverse of `as_json`; DataError names what is missing."""
        try:
            cells = _estimates({phase: {arm: body[phase][arm] for arm in ARMS} for phase in PHASES})
            tasks = sorted({task for _, _, task in cells} - {ALL})
            return cls((*tasks, ALL), cells, _estimates(body["difference"]), **body["intervals"])
        except (KeyError, TypeError, AttributeError) as fault:
            raise DataError(
                f"evaluation figures do not have the expected shape ({fault!r}). Remedy: run evaluate again"
            ) from fault


def _estimates(body: dict) -> dict[tuple[str, str, str], Estimate]:
    return {
        (outer, inner, task): Estimate(**figures)
        for outer, parts in body.items()
        for inner, tasks in parts.items()
        for task, figures in tasks.items()
    }


def summarise(rows: Iterable[EpisodeRow], *, samples: int, confidence: float, seed: int) -> EvaluationSummary:
    """Estimates, intervals and paired differences for each task and for all; the rows' order does not matter."""
    strata = _strata(rows, samples, seed)
    scopes = {**{stratum.task: [stratum] for stratum in strata}, ALL: strata}
    cells = {
        (phase, arm, task): estimate
        for phase, arm in product(PHASES, ARMS)
        for task, members in scopes.items()
        if (estimate := _estimate(members, confidence, (phase, arm)))
    }
    differences = {
        (kind, within, task): estimate
        for kind, sides in CONTRASTS.items()
        for within, (first, second) in sides.items()
        for task, members in scopes.items()
        if (estimate := _estimate(members, confidence, first, second))
    }
    return EvaluationSummary(tuple(scopes), cells, differences, confidence, samples)


@dataclass(frozen=True, slots=True)
class _Stratum:
    """One task's levels."""

    task: str
    sides: dict[Side, np.ndarray]  # (3, levels): means of success and actions, NaN where not played; episodes
    weights: np.ndarray  # (samples, levels): how often each resample drew each level


def _strata(rows: Iterable[EpisodeRow], samples: int, seed: int) -> list[_Stratum]:
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
    return [_stratum(task, by_task[task], samples, seed) for task in sorted(by_task)]


def _stratum(task: str, rows: Sequence[EpisodeRow], samples: int, seed: int) -> _Stratum:
    position = {level: i for i, level in enumerate(sorted({row.level_id for row in rows}))}
    levels = len(position)
    sides = {side: np.zeros((3, levels)) for side in product(PHASES, ARMS)}
    for row in rows:
        sides[row.phase, row.arm][:, position[row.level_id]] += (row.success, row.actions, 1)
    with np.errstate(invalid="ignore"):
        for sums in sides.values():
            sums[:2] /= sums[2]
    weights = stream(seed, "bootstrap", task).multinomial(levels, np.full(levels, 1 / levels), size=samples)
    return _Stratum(task, sides, weights)


def _estimate(
    strata: Sequence[_Stratum], confidence: float, first: Side, second: Side | None = None
) -> Estimate | None:
    """Of the cell `first`, or of `first` minus `second` over the levels that both were played on."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    success, actions, weights, floors, episodes = [], [], [], [], 0
    for stratum in strata:
        rates, steps, counts = stratum.sides[first]
        if second:
            other = stratum.sides[second]
            rates, steps, counts = rates - other[0], steps - other[1], counts + other[2]
        played = ~np.isnan(rates)
        success.append(rates[played])
        actions.append(steps[played])
        weights.append(stratum.weights[:, played])
        count = int(counts[played].sum())
        episodes += count
        if played.any():
            floors.append(bonett_price(success[-1], z) if second else wilson(success[-1], count, z))
    if not floors:
        return None
    drawn = np.concatenate(weights, axis=1)
    rate, low, high = bootstrap(drawn, np.concatenate(success), confidence)
    floor_low, floor_high = combined(rate, success, floors)
    return Estimate(
        rate, min(low, floor_low), max(high, floor_high),
        *bootstrap(drawn, np.concatenate(actions), confidence), episodes,
    )  # fmt: skip
