"""Draws the picture of one co-evolution round for the README: `python docs/pictures/round.py [FILE]`."""

import sys
from importlib.resources import files
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from crl.report.canvas import STYLE, Ink, svg

WIDTH, HEIGHT = 12.0, 7.3  # data units; one unit is 0.8 inch
ACTOR, EXTRACTOR, BANK = Ink.FREE, Ink.C4, Ink.GUIDED
NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def draw() -> str:
    """The picture as a standalone SVG that follows the reader's light or dark scheme, on a ground of its own."""
    with mpl.rc_context(STYLE | {"svg.fonttype": "path"}):  # outlines: it looks the same wherever it is shown
        fig = Figure(figsize=(0.8 * WIDTH, 0.8 * HEIGHT))
        ax = fig.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, HEIGHT))
        ax.set_axis_off()
        _ground(ax)
        _main_loop(ax)
        _bank(ax)
        _background(ax)
        body = str(svg(fig, "round", "One co-evolution round: rollouts, the experience bank, and both models' updates"))
    theme = (files("crl.report") / "templates" / "style.css").read_text(encoding="utf-8").split("* {")[0]
    return body.replace("<svg ", f"<svg {NAMESPACES} ", 1).replace(">", f"><style>{theme}</style>", 1)


def _ground(ax: Axes) -> None:
    _box(ax, (0.06, 0.06), (WIDTH - 0.12, HEIGHT - 0.12), face=Ink.PAPER, edge=Ink.GRID, radius=0.25, width=1)
    _text(ax, 0.42, 6.86, "One round", 13, weight="bold")
    _text(
        ax,
        11.58,
        6.86,
        "the actor learns to act, the extractor learns what is worth remembering",
        8,
        Ink.MUTED,
        ha="right",
    )


def _main_loop(ax: Axes) -> None:
    _lane(ax, 5.35, "main loop", ACTOR)
    _box(ax, (1.35, 4.6), (3.3, 1.5), edge=ACTOR)
    _text(ax, 3.0, 5.82, "Rollouts", 10.5, weight="bold", ha="center")
    _half(ax, (1.52, 4.76), "guided", "shown experience", Ink.GUIDED)
    _half(ax, (3.06, 4.76), "free", "control half", Ink.FREE)
    _step(ax, 7.2, 5.35, "GRPO update", "advantages inside", "each half of a group", ACTOR)
    _step(ax, 10.25, 5.35, "New actor weights", "into the engine,", "version n + 1", ACTOR)
    _arrow(ax, (4.65, 5.35), (6.05, 5.35), ACTOR, "trajectories", (5.38, 5.53))
    _arrow(ax, (8.32, 5.35), (9.1, 5.35), ACTOR)
    _around(ax, 10.25, 3.0, 6.1, 6.4, ACTOR, "next round", 6.54)


def _bank(ax: Axes) -> None:
    _lane(ax, 3.55, "bank", BANK)
    _box(ax, (2.35, 3.0), (9.1, 1.1), edge=BANK, face=BANK, alpha=0.1)
    _box(ax, (2.35, 3.0), (9.1, 1.1), edge=BANK, face="none")
    _text(ax, 2.7, 3.72, "Experience bank", 10.5, weight="bold")
    _text(ax, 2.7, 3.36, "one writer, many readers; a durable ledger, a snapshot per round", 8, Ink.MUTED)
    _text(ax, 11.15, 3.72, "effect of each entry", 8.5, ha="right", weight="bold")
    _text(ax, 11.15, 3.36, "guided minus free success", 8, Ink.MUTED, ha="right")
    _arrow(ax, (2.75, 4.1), (2.75, 4.73), BANK, "retrieve", (2.95, 4.34), ha="left")
    _arrow(ax, (3.6, 2.43), (3.6, 2.97), EXTRACTOR, "add · update · merge", (3.8, 2.68), ha="left")


def _background(ax: Axes) -> None:
    _lane(ax, 1.68, "background", EXTRACTOR)
    _box(ax, (1.35, 0.93), (3.3, 1.5), edge=EXTRACTOR)
    _text(ax, 3.0, 2.08, "Distillation", 10.5, weight="bold", ha="center")
    _text(ax, 3.0, 1.67, "the extractor reads episodes,", 8, Ink.MUTED, ha="center")
    _text(ax, 3.0, 1.36, "writes operations", 8, Ink.MUTED, ha="center")
    _step(ax, 7.2, 1.68, "CISPO update", "once the buffer is full,", "beside the rollouts", EXTRACTOR)
    _step(ax, 10.25, 1.68, "New extractor weights", "into the engine,", "version m + 1", EXTRACTOR)
    _arrow(ax, (1.75, 4.6), (1.75, 2.46), ACTOR, "finished\nepisodes", (1.62, 3.55), ha="right")
    _arrow(ax, (4.65, 1.68), (6.05, 1.68), EXTRACTOR, "completions", (5.38, 1.86))
    _arrow(ax, (7.2, 3.0), (7.2, 2.46), BANK, "reward: did episodes that saw the text succeed?", (7.4, 2.68), ha="left")
    _arrow(ax, (8.32, 1.68), (9.1, 1.68), EXTRACTOR)
    _around(ax, 10.25, 3.0, 0.93, 0.6, EXTRACTOR, "next distillation", 0.44)


def _lane(ax: Axes, y: float, name: str, ink: Ink) -> None:
    ax.text(0.55, y, name, rotation=90, ha="center", va="center", fontsize=8.5, color=ink, weight="bold")


def _step(ax: Axes, x: float, y: float, title: str, first: str, second: str, ink: Ink) -> None:
    _box(ax, (x - 1.12, y - 0.75), (2.24, 1.5), edge=ink)
    _text(ax, x, y + 0.34, title, 9, weight="bold", ha="center")
    _text(ax, x, y - 0.06, first, 8, Ink.MUTED, ha="center")
    _text(ax, x, y - 0.36, second, 8, Ink.MUTED, ha="center")


def _half(ax: Axes, corner: tuple[float, float], title: str, note: str, ink: Ink) -> None:
    x, y = corner
    _box(ax, corner, (1.44, 0.78), face=ink, edge="none", alpha=0.16, radius=0.1)
    _text(ax, x + 0.72, y + 0.52, title, 9, ink, ha="center", weight="bold")
    _text(ax, x + 0.72, y + 0.24, note, 7, Ink.MUTED, ha="center")


def _box(
    ax: Axes,
    corner: tuple[float, float],
    size: tuple[float, float],
    *,
    edge: str,
    face: str = Ink.CARD,
    alpha: float = 1.0,
    radius: float = 0.16,
    width: float = 1.4,
) -> None:
    style = f"round,pad=0,rounding_size={radius}"
    ax.add_patch(FancyBboxPatch(corner, *size, boxstyle=style, fc=face, ec=edge, lw=width, alpha=alpha))


def _text(ax: Axes, x: float, y: float, text: str, size: float, ink: Ink = Ink.INK, **more: str) -> None:
    ax.text(x, y, text, fontsize=size, color=ink, va="center", **more)


def _arrow(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    ink: Ink,
    label: str = "",
    at: tuple[float, float] = (0, 0),
    ha: str = "center",
) -> None:
    ax.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, lw=1.7, color=ink, shrinkA=0, shrinkB=0)
    )
    _text(ax, *at, label, 7.5, ink, ha=ha)


def _around(ax: Axes, x: float, back: float, edge: float, height: float, ink: Ink, label: str, label_y: float) -> None:
    """The way back: out of a box, along the lane's outer side, into the lane's first box."""
    ax.plot([x, x, back], [edge, height, height], color=ink, lw=1.3, ls=(0, (1, 1.6)), dash_capstyle="round")
    ax.add_patch(
        FancyArrowPatch((back, height), (back, edge), arrowstyle="-|>", mutation_scale=10,
                        lw=1.3, color=ink, shrinkA=0, shrinkB=0)
    )  # fmt: skip
    _text(ax, 7.2, label_y, label, 7.5, ink, ha="center")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg")
    target.write_text(draw(), encoding="utf-8", newline="\n")
