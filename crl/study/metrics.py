"""What one run of a study amounts to: figures of its curve over environment steps. Rates are shares from 0 to 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Metric = Literal[
    "half_without", "half_with", "end_without", "end_with", "area_without", "area_with", "gain_end",
    "steps_without", "steps_with", "actions_without", "actions_with",
]  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """One run on the held-out panel, at P points of its training, for the tasks together or for one of them."""

    steps: np.ndarray  # (P,) environment steps of training so far, ascending from 0
    without: np.ndarray  # (P,) success without experience
    with_: np.ndarray  # (P,) success with experience
    actions_without: float  # at the last point: actions of all episodes per success, as if there were one at least
    actions_with: float

    def at(self, steps: float) -> tuple[float, float]:
        """Success without and with experience after so many steps, on straight lines between the points."""
        return float(np.interp(steps, self.steps, self.without)), float(np.interp(steps, self.steps, self.with_))


def area(curve: np.ndarray, steps: np.ndarray, budget: float) -> float:
    """Mean of a curve over [0, budget]: the area under its straight lines, divided by the budget."""
    inside = steps < budget
    x = np.append(steps[inside], budget)
    y = np.append(curve[inside], np.interp(budget, steps, curve))
    return float(np.trapezoid(y, x) / budget)


def steps_to(curve: np.ndarray, steps: np.ndarray, level: float, budget: float) -> float:
    """Steps until the curve is first at the level, on its straight lines; the budget where it is not reached within it."""
    if curve[0] >= level:
        return 0.0
    for (x0, y0), (x1, y1) in zip(zip(steps, curve, strict=True), zip(steps[1:], curve[1:], strict=True), strict=False):
        if y1 >= level:
            return float(min(budget, x0 + (x1 - x0) * (level - y0) / (y1 - y0)))
    return float(budget)


def figures(curve: Curve, *, budget: float, level: float) -> dict[Metric, float]:
    """Every metric of a run. `budget`: environment steps that all compared runs have spent."""
    half, end = curve.at(budget / 2), curve.at(budget)
    return {
        "half_without": half[0],
        "half_with": half[1],
        "end_without": end[0],
        "end_with": end[1],
        "area_without": area(curve.without, curve.steps, budget),
        "area_with": area(curve.with_, curve.steps, budget),
        "gain_end": end[1] - end[0],
        "steps_without": steps_to(curve.without, curve.steps, level, budget),
        "steps_with": steps_to(curve.with_, curve.steps, level, budget),
        "actions_without": curve.actions_without,
        "actions_with": curve.actions_with,
    }


@dataclass(frozen=True, slots=True)
class Shown:
    """How a metric is told."""

    title: str
    unit: Literal["%", "points", "steps", "actions"]
    less_is_more: bool = False

    def text(self, value: float, *, signed: bool = False) -> str:
        scale = 100 if self.unit in ("%", "points") else 1
        digits = 1 if self.unit == "actions" else 0
        return f"{scale * value:{'+' if signed else ''},.{digits}f}" if np.isfinite(value) else "-"


METRICS: Mapping[Metric, Shown] = {
    "half_without": Shown("success at half the budget, without experience", "%"),
    "half_with": Shown("success at half the budget, with experience", "%"),
    "end_without": Shown("success at the end, without experience", "%"),
    "end_with": Shown("success at the end, with experience", "%"),
    "area_without": Shown("mean success over the budget, without experience", "%"),
    "area_with": Shown("mean success over the budget, with experience", "%"),
    "gain_end": Shown("with minus without experience at the end", "points"),
    "steps_without": Shown("environment steps to the level, without experience", "steps", less_is_more=True),
    "steps_with": Shown("environment steps to the level, with experience", "steps", less_is_more=True),
    "actions_without": Shown("actions per success, without experience", "actions", less_is_more=True),
    "actions_with": Shown("actions per success, with experience", "actions", less_is_more=True),
}
