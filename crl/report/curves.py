"""Learning curves: small multiples of a few metrics over the training rounds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from crl.report.canvas import HALF_IN, Ink, Plot, figure, rounds_axis, svg
from crl.report.inputs import RoundsTable


@dataclass(frozen=True, slots=True)
class Series:
    column: str
    label: str
    ink: Ink


@dataclass(frozen=True, slots=True)
class Panel:
    """A learning curve: one or more metrics over the rounds."""

    name: str
    title: str
    series: tuple[Series, ...]
    note: str
    share: bool = False  # an axis from 0 to 100 %


ACTOR, EXTRACTOR = Ink.C3, Ink.C4


def _both(name: str, title: str, actor: str, extractor: str, note: str) -> Panel:
    return Panel(name, title, (Series(actor, "actor", ACTOR), Series(extractor, "extractor", EXTRACTOR)), note)


SUCCESS = (Series("rollout/success_free", "free", Ink.FREE), Series("rollout/success_guided", "guided", Ink.GUIDED))
VALID = (Series("distil/valid_share", "valid", EXTRACTOR),)
TURNS = (Series("rollout/turns", "turns", ACTOR),)
REWARD_NOTE = "actor: mean per episode; extractor: mean per sample"
STALENESS_NOTE = "versions between sampling and update, worst sample"
PANELS = (
    Panel("success", "Success in training", SUCCESS, "share of a round's episodes", share=True),
    Panel(
        "valid", "Valid replies of the extractor", VALID, "share of distillations that the parser accepted", share=True
    ),
    _both("reward", "Reward", "rollout/reward", "extractor/score_mean", REWARD_NOTE),
    Panel("turns", "Turns per episode", TURNS, "mean of a round's episodes"),
    _both("loss", "Loss", "actor/loss", "extractor/loss", "of the round's updates"),
    _both("grad", "Gradient norm", "actor/grad_norm", "extractor/grad_norm", "before clipping"),
    _both("staleness", "Staleness", "actor/staleness_max", "extractor/staleness_max", STALENESS_NOTE),
)


def curves(rounds: RoundsTable) -> tuple[Plot, ...]:
    """Small multiples of the training rounds, utility right after success."""
    drawn = [_curve(rounds, panel) for panel in PANELS]
    drawn.insert(1, _utility(rounds))
    return tuple(plot for plot in drawn if plot)


def rolling(series: np.ndarray, window: int) -> np.ndarray:
    """Trailing mean over up to `window` rounds, missing rounds left out; (rounds,) -> (rounds,)."""
    return pd.Series(series).rolling(window, min_periods=1).mean().to_numpy()


def rolling_window(rounds: int) -> int:
    return max(2, rounds // 8)


def _curve(rounds: RoundsTable, panel: Panel) -> Plot | None:
    present = [(series, rounds.get(series.column)) for series in panel.series]
    present = [(series, values) for series, values in present if values is not None]
    if not present:
        return None
    fig, ax = figure(HALF_IN, 2.15)
    for series, values in present:
        _line(ax, values, series)
    if panel.share:
        ax.set_ylim(-0.02, 1.02)
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    _label_ends(ax, present)
    rounds_axis(ax, rounds.rounds)
    return Plot(panel.title, panel.note, svg(fig, panel.name, panel.title))


def _line(ax: Axes, values: np.ndarray, series: Series) -> None:
    known = ~np.isnan(values)  # an update that runs every few rounds is still one line
    x, mean = np.arange(len(values)), rolling(values, rolling_window(len(values)))
    ax.plot(x[known], values[known], color=series.ink, lw=0.8, alpha=0.35, marker="o", ms=1.6, mew=0)
    ax.plot(x[known], mean[known], color=series.ink, lw=1.9, solid_capstyle="round")


def _label_ends(ax: Axes, present: list[tuple[Series, np.ndarray]]) -> None:
    """Name each line at its end instead of in a legend; names keep apart where lines meet."""
    if len(present) == 1:
        return
    low, high = ax.get_ylim()
    gap = 0.11 * (high - low)
    ends = [(_last(rolling(values, rolling_window(len(values)))), series) for series, values in present]
    place = -np.inf
    for value, series in sorted(ends, key=lambda end: end[0]):
        place = max(value, place + gap)
        at = (len(present[0][1]) - 1, place)
        ax.annotate(
            series.label, at, (6, 0), textcoords="offset points", va="center", color=series.ink, annotation_clip=False
        )


def _last(series: np.ndarray) -> float:
    return float(series[~np.isnan(series)][-1])


def _utility(rounds: RoundsTable) -> Plot | None:
    free, guided = rounds.get("rollout/success_free"), rounds.get("rollout/success_guided")
    if free is None or guided is None:
        return None
    gain, x = 100 * (guided - free), np.arange(rounds.rounds)
    known = ~np.isnan(gain)
    if not known.any():
        return None
    mean = rolling(gain, rolling_window(len(gain)))
    fig, ax = figure(HALF_IN, 2.15)
    ax.fill_between(x, 0, mean, where=mean >= 0, color=Ink.GOOD, alpha=0.16, lw=0, interpolate=True)
    ax.fill_between(x, 0, mean, where=mean <= 0, color=Ink.BAD, alpha=0.16, lw=0, interpolate=True)
    ax.plot(x, gain, "o", color=Ink.MUTED, ms=2, mew=0, alpha=0.55)
    ax.plot(x[known], mean[known], color=Ink.INK, lw=1.7)
    ax.axhline(0, color=Ink.MUTED, lw=0.8)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:+.0f}".replace("-", "−") if value else "0")
    rounds_axis(ax, rounds.rounds)
    note = "guided minus free success, in points"
    return Plot("Utility of experience", note, svg(fig, "utility", "Guided minus free success by round"))
