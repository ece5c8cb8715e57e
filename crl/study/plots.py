"""The curves of a study: success on the held-out panel over environment steps, by task, without and with experience."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from crl.evaluation.statistics import ALL
from crl.study.comparison import Comparison
from crl.study.metrics import Curve
from crl.study.statistics import CONFIDENCE, of_one

POINTS = 21  # of a drawn curve
COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860", "#da8bc3", "#8c8c8c")


def draw(comparisons: Mapping[str, Comparison], file: Path) -> None:
    """One column per comparison (all tasks first), one row without and one with experience; bands are intervals over seeds."""
    names = list(comparisons)
    fig = Figure(figsize=(3.4 * len(names) + 0.4, 5.6), layout="constrained")
    axes = fig.subplots(2, len(names), sharex=True, sharey=True, squeeze=False)
    for column, name in enumerate(names):
        made = comparisons[name]
        for row, experience in enumerate((False, True)):
            axis = axes[row, column]
            for colour, arm in zip(_colours(made), made.curves, strict=True):
                _line(axis, made.curves[arm], made.budget, colour, arm, experience=experience)
            _dress(axis)
        axes[0, column].set_title("all tasks" if name == ALL else name, fontsize=10)
        axes[1, column].set_xlabel("environment steps of training")
    for row, told in enumerate(("without experience", "with experience")):
        axes[row, 0].set_ylabel(f"success, {told}")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6), frameon=False, fontsize=9)
    made = next(iter(comparisons.values()))
    seeds = {len(runs) for runs in made.runs.values()}
    told = f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else f"{min(seeds)}"
    fig.suptitle(
        f"{made.study.name}: interquartile mean of {told} seeds, {CONFIDENCE:.0%} intervals; panel, code, seeds {made.digest}",
        fontsize=9,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(file, dpi=110, metadata={"Software": None})


def _colours(made: Comparison) -> tuple[str, ...]:
    """One for each arm that was played: the same in every panel, whoever else was played."""
    places = list(made.study.arms)
    return tuple(COLOURS[places.index(arm) % len(COLOURS)] for arm in made.curves)


def _line(axis: Axes, runs: Mapping[int, Curve], budget: float, colour: str, arm: str, *, experience: bool) -> None:
    steps = np.linspace(0, budget, POINTS)
    found = [of_one([curve.at(x)[experience] for curve in runs.values()]) for x in steps]
    axis.plot(steps, [each.value for each in found], color=colour, lw=1.8, label=arm)
    if len(runs) > 1:
        axis.fill_between(steps, [e.low for e in found], [e.high for e in found], color=colour, alpha=0.15, lw=0)


def _dress(axis: Axes) -> None:
    axis.set_ylim(0, 1)
    axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g} k" if value else "0"))
    axis.grid(alpha=0.3, lw=0.6)
    axis.spines[["top", "right"]].set_visible(False)
