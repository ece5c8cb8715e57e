"""What the run played: the entries of the mix, what was left out, and how often each tried task was solved before training."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from crl.errors import DataError
from crl.report.canvas import WIDE_IN, Ink, Plot, figure, svg


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
    seconds: float
    above: float
    at_most: float

    @property
    def kept(self) -> int:
        return sum(self.above < c / self.n <= self.at_most for c in self.successes)


def read_mix(path: Path) -> tuple[MixEntry, ...]:
    """The stage `filter`'s table. Raises DataError."""
    try:
        return tuple(MixEntry(**row) for row in json.loads(path.read_text()).values())
    except (OSError, ValueError, TypeError, AttributeError) as fault:
        raise DataError(f"{path}: cannot be read ({fault}). Remedy: run the stage filter again") from fault


def read_tried(path: Path, *, policy: str, above: float, at_most: float) -> tuple[Tried, ...]:
    """The stage `pass_rate`'s table, by entry. Raises DataError."""
    import pandas as pd

    from crl.evaluation.pass_rate import KS

    try:
        table = pd.read_parquet(path)
        return tuple(
            Tried(
                entry, policy, int(rows.n.max()), tuple(map(int, rows.c)),
                {k: float(rows[f"pass_{k}"].mean()) for k in KS if k <= rows.n.max()}, float(rows.seconds.sum()),
                above, at_most,
            )
            for entry, rows in table.groupby("name", sort=False)
        )  # fmt: skip
    except (OSError, ValueError, KeyError, AttributeError) as fault:
        raise DataError(f"{path}: cannot be read ({fault}). Remedy: run the stage pass_rate again") from fault


def histograms(tried: Sequence[Tried]) -> tuple[Plot, ...]:
    """Tasks by their number of successes; filled bars are trained on."""
    return tuple(_histogram(each) for each in tried)


def _histogram(tried: Tried) -> Plot:
    fig, ax = figure(WIDE_IN, 2.3)
    counts = np.bincount(tried.successes, minlength=tried.n + 1)
    for c, count in enumerate(counts):
        kept = tried.above < c / tried.n <= tried.at_most
        ax.bar(c, count, width=0.8, fc=Ink.GOOD if kept else Ink.CARD, ec=Ink.GOOD if kept else Ink.MUTED, lw=1.2)
    ax.set_xlabel(f"successes in {tried.n} attempts")
    ax.set_ylabel("tasks")
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.xaxis.set_major_locator(MaxNLocator(17, integer=True))
    passes = ", ".join(f"pass@{k} {value:.0%}" for k, value in tried.pass_at.items())
    who = "the base actor" if tried.policy == "actor" else "a scripted policy of seeded, varied skill, not a model"
    note = f"Played by {who}. {passes}. Filled: {tried.kept} of {len(tried.successes)} tasks are trained on."
    return Plot(f"{tried.entry}: tasks by pass rate", note, svg(fig, f"tried-{tried.entry}", "Tasks by successes"))
