"""The report's figures of the outcome, of the bank and of the tried tasks. Each is a `Plot`, or None where its data is missing."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from crl.evaluation.statistics import ALL, Estimate, EvaluationSummary
from crl.report.canvas import HALF_IN, WIDE_IN, Ink, Plot, figure, rounds_axis, svg
from crl.report.inputs import RoundsTable, Tried

BARS_UP_TO_ROUNDS = 64  # beyond it bars become thinner than their gaps


def outcome(summary: EvaluationSummary) -> Plot:
    """Dots and whiskers: success by task, without and with experience, before (hollow) and after (filled)."""
    tasks = [ALL, *(task for task in summary.tasks if task != ALL)]
    fig, ax = figure(WIDE_IN, 0.75 + 0.74 * len(tasks))
    kinds = [("before", "free", 0.27), ("after", "free", 0.09), ("before", "guided", -0.09), ("after", "guided", -0.27)]
    for row, task in enumerate(reversed(tasks)):
        for phase, arm, offset in kinds:
            cell = summary.cell(phase, arm, task)
            if cell is None:
                continue
            _whisker(ax, cell, row + offset, Ink.FREE if arm == "free" else Ink.GUIDED, filled=phase == "after")
    ax.axhspan(len(tasks) - 1.5, len(tasks) - 0.5, color=Ink.GRID, alpha=0.35, lw=0)
    ax.set_yticks(
        range(len(tasks)), ["all tasks" if task == ALL else task for task in reversed(tasks)], fontsize=9, color=Ink.INK
    )
    ax.set_ylim(-0.5, len(tasks) - 0.5)
    ax.set_xlim(-0.01, 1.06)
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    note = f"Whiskers: {100 * summary.confidence:.0f} % bootstrap intervals over levels. Hollow: before. Filled: after."
    return Plot("Success on held-out levels", note, svg(fig, "outcome", "Success by task with intervals"))


def _whisker(ax: Axes, cell: Estimate, y: float, ink: Ink, *, filled: bool) -> None:
    low, high = cell.success_low, cell.success_high
    width, alpha = (2.2, 1.0) if filled else (1.3, 0.75)
    ax.plot([low, high], [y, y], color=ink, lw=width, alpha=alpha, solid_capstyle="round")
    ax.plot(cell.success, y, "o", ms=6.5, mec=ink, mfc=ink if filled else Ink.CARD, mew=1.4)
    size, shade = (7.5, Ink.INK) if filled else (6.5, Ink.MUTED)
    text = f"{100 * cell.success:.0f} %"
    ax.annotate(text, (high, y), (7, 0), textcoords="offset points", va="center", fontsize=size, color=shade)


def bank(rounds: RoundsTable) -> tuple[Plot, ...]:
    """Size of the bank, and what was done to it."""
    return tuple(plot for plot in (_bank_size(rounds), _bank_operations(rounds)) if plot)


def _bank_size(rounds: RoundsTable) -> Plot | None:
    size = rounds.get("bank/size")
    if size is None:
        return None
    fig, ax = figure(HALF_IN, 2.15)
    x = np.arange(len(size))
    ax.fill_between(x, 0, size, color=Ink.GUIDED, alpha=0.14, lw=0)
    ax.plot(x, size, color=Ink.GUIDED, lw=1.9)
    ax.set_ylim(0, None)
    rounds_axis(ax, rounds.rounds)
    return Plot("Entries in the bank", "after each round", svg(fig, "size", "Entries by round"))


def _bank_operations(rounds: RoundsTable) -> Plot | None:
    up = (("add", Ink.GOOD, 1), ("repeat", Ink.C3, 1), ("update", Ink.C2, 1))
    kinds = (*up, ("merge", Ink.C4, -1), ("evict", Ink.BAD, -1))
    present = [
        (kind, column, ink, sign) for kind, ink, sign in kinds if (column := rounds.get(f"bank/{kind}")) is not None
    ]
    if not present:
        return None
    fig, ax = figure(HALF_IN, 2.15)
    for sign in (1, -1):
        _stack(ax, [(kind, sign * np.nan_to_num(column), ink) for kind, column, ink, s in present if s == sign])
    ax.axhline(0, color=Ink.MUTED, lw=0.8)
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _legend(ax, 5)
    rounds_axis(ax, rounds.rounds)
    note = "up: came in, was written again or changed; down: went away"
    return Plot("What happened to entries", note, svg(fig, "operations", "Bank operations by round"))


def seconds(layers: Sequence[tuple[str, np.ndarray]]) -> Plot:
    """Stacked by round: (what took the time, seconds by round), at most 7."""
    fig, ax = figure(WIDE_IN, 2.9)
    inks = (Ink.C1, Ink.C2, Ink.C3, Ink.C4, Ink.C5, Ink.C6, Ink.C7)
    _stack(ax, [(label, np.nan_to_num(column), ink) for (label, column), ink in zip(layers, inks, strict=False)])
    _legend(ax, len(inks))
    ax.set_ylabel("seconds")
    rounds_axis(ax, len(layers[0][1]))
    note = (
        "What each round waited for: its critical path. The last bar may be what was left to do after the last round."
    )
    return Plot("Time per round", note, svg(fig, "seconds", "Seconds by round and span"))


def _legend(ax: Axes, columns: int) -> None:
    """Above the plot, small squares."""
    ax.legend(
        ncols=columns, loc="lower left", bbox_to_anchor=(0, 1), fontsize=7.5, handlelength=0.9, handleheight=0.9,
        handletextpad=0.5, columnspacing=1.3, borderaxespad=0.3,
    )  # fmt: skip


def _stack(ax: Axes, layers: list[tuple[str, np.ndarray, Ink]]) -> None:
    if not layers:
        return
    x, bottom = np.arange(len(layers[0][1])), np.zeros(len(layers[0][1]))
    for label, height, ink in layers:
        if len(x) <= BARS_UP_TO_ROUNDS:
            ax.bar(x, height, 0.82, bottom, color=ink, label=label, lw=0)
        else:
            ax.fill_between(x, bottom, bottom + height, color=ink, label=label, lw=0, step="mid")
        bottom = bottom + height


def histogram(tried: Tried) -> Plot:
    """Tasks by their number of successes; filled bars are trained on."""
    fig, ax = figure(WIDE_IN, 2.3)
    for successes, count in enumerate(np.bincount(tried.successes, minlength=tried.n + 1)):
        kept = tried.keeps(successes)
        ax.bar(
            successes, count, width=0.8, fc=Ink.GOOD if kept else Ink.CARD, ec=Ink.GOOD if kept else Ink.MUTED, lw=1.2
        )
    ax.set_xlabel(f"successes in {tried.n} attempts")
    ax.set_ylabel("tasks")
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.xaxis.set_major_locator(MaxNLocator(17, integer=True))
    passes = ", ".join(f"pass@{k} {value:.0%}" for k, value in tried.pass_at.items())
    who = "the base actor" if tried.policy == "actor" else "a scripted policy of seeded, varied skill, not a model"
    note = f"Played by {who}. {passes}. Filled: {tried.kept} of {len(tried.successes)} tasks are trained on."
    return Plot(f"{tried.entry}: tasks by pass rate", note, svg(fig, f"tried-{tried.entry}", "Tasks by successes"))
