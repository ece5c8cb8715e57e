"""All arms of a study compared: figures with intervals, differences to the reference, and which aims they support."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from crl.errors import DataError
from crl.evaluation.statistics import ALL
from crl.study.definition import Aim, Study
from crl.study.metrics import METRICS, Curve, Metric, Shown, figures
from crl.study.results import curves, digest
from crl.study.statistics import Estimate, difference, improvement, of_one

Figures = Mapping[int, Mapping[Metric, float]]  # seed -> the run's figures
Verdict = Literal["supported", "not supported", "open"]


@dataclass(frozen=True)
class Against:
    """An arm minus the reference, over the seeds that both have played."""

    difference: Estimate
    improvement: Estimate  # how likely a run of the arm is the better one


@dataclass(frozen=True)
class Finding:
    aim: Aim
    estimate: Estimate
    verdict: Verdict

    def text(self) -> str:
        metric, found, aim = METRICS[self.aim.metric], self.estimate, self.aim
        whose = f"{aim.arm} minus {aim.against}" if aim.against else aim.arm
        bound = f"at least {metric.text(aim.at_least)}, " if aim.at_least else ""
        unit = "points" if metric.unit == "%" else metric.unit
        wanted = "not all below 0" if aim.kind == "not_less" else f"{bound}all above 0"
        figure = interval_text(metric, found, signed=True)
        of = "" if aim.task == ALL else f" in {aim.task}"
        return f"{self.verdict}: {whose}, {metric.title}{of}: {figure} {unit}, {found.seeds} seeds (aim: {wanted})"


def interval_text(metric: Shown, found: Estimate, *, signed: bool = False) -> str:
    value, low, high = (metric.text(number, signed=signed) for number in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]" if found.seeds > 1 else value


@dataclass(frozen=True)
class Comparison:
    """Of one task of the study, or of all together."""

    study: Study
    task: str
    digest: str  # of panel, code and seeds
    budget: float  # environment steps that every run has spent
    curves: dict[str, dict[int, Curve]]
    runs: dict[str, Figures]
    arms: dict[str, dict[Metric, Estimate]]
    against: dict[str, dict[Metric, Against]]


def compare(study: Study, table: pd.DataFrame, task: str = ALL) -> Comparison:
    """Raises DataError where there is no run of the reference."""
    budget, found, runs = _played(study, table, task)
    return Comparison(
        study=study,
        task=task,
        digest=digest(table),
        budget=budget,
        curves=found,
        runs=runs,
        arms={arm: {metric: of_one(_values(of_arm, metric)) for metric in METRICS} for arm, of_arm in runs.items()},
        against={arm: _against(runs[arm], runs[study.reference]) for arm in runs if arm != study.reference},
    )


def findings(study: Study, table: pd.DataFrame) -> Iterator[Finding]:
    """Each aim whose arms were played, in the order of the study. Raises DataError where there is no run of the reference."""
    for aim in study.aims:
        _, _, runs = _played(study, table, aim.task)
        if {aim.arm, aim.against or aim.arm} <= runs.keys():
            yield _finding(aim, runs)


def _played(
    study: Study, table: pd.DataFrame, task: str
) -> tuple[float, dict[str, dict[int, Curve]], dict[str, Figures]]:
    """The budget, curves and figures of the runs that have ended, arms in the order of the study."""
    found = curves(table, task)
    found = {arm: dict(sorted(found[arm].items())) for arm in study.arms if arm in found}
    if study.reference not in found:
        raise DataError(
            f"study {study.name}: no run of {study.reference} has ended. Remedy: python -m flows.study {study.name}"
        )
    budget = min(curve.steps[-1] for of_arm in found.values() for curve in of_arm.values())
    runs = {
        arm: {seed: figures(curve, budget=budget, level=study.level) for seed, curve in of_arm.items()}
        for arm, of_arm in found.items()
    }
    return budget, found, runs


def _against(first: Figures, second: Figures) -> dict[Metric, Against]:
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return {}
    rows = {}
    for metric, shown in METRICS.items():
        sides = _values(first, metric, shared), _values(second, metric, shared)
        rows[metric] = Against(difference(*sides), improvement(*sides, less_is_more=shown.less_is_more))
    return rows


def _finding(aim: Aim, runs: Mapping[str, Figures]) -> Finding:
    if aim.against is None:
        estimate = of_one(_values(runs[aim.arm], aim.metric))
    else:
        shared = sorted(runs[aim.arm].keys() & runs[aim.against].keys())
        estimate = difference(*(_values(runs[arm], aim.metric, shared) for arm in (aim.arm, aim.against)))
    return Finding(aim, estimate, _verdict(aim, estimate))


def _verdict(aim: Aim, estimate: Estimate) -> Verdict:
    """`open` where the interval leaves room for either, or where one run is all there is."""
    if estimate.seeds < 2:
        return "open"
    if aim.kind == "not_less":
        return "not supported" if estimate.high < 0 else "supported"
    if estimate.low > 0 and estimate.value >= aim.at_least:
        return "supported"
    return "not supported" if estimate.high <= 0 or estimate.high < aim.at_least else "open"


def _values(figures_: Figures, metric: Metric, seeds: list[int] | None = None) -> list[float]:
    return [figures_[seed][metric] for seed in (seeds if seeds is not None else sorted(figures_))]
