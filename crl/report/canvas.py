"""Drawing for pages that are light by day and dark by night: matplotlib figures as inline SVG with CSS colours.

Figures are drawn in placeholder colours; in the SVG each becomes a CSS variable that the page's theme defines.
"""

import io
import re
from dataclasses import dataclass
from enum import StrEnum

from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

WIDE_IN, HALF_IN = 9.6, 4.7  # figure widths in inches: the page's whole column, or one of two


class Ink(StrEnum):
    """Placeholder colours; the name, in lower case, is the CSS variable."""

    INK = "#010001"
    MUTED = "#010002"
    GRID = "#010003"
    PAPER = "#010004"
    CARD = "#010009"
    FREE = "#010005"
    GUIDED = "#010006"
    GOOD = "#010007"
    BAD = "#010008"
    C1 = "#010011"
    C2 = "#010012"
    C3 = "#010013"
    C4 = "#010014"
    C5 = "#010015"
    C6 = "#010016"
    C7 = "#010017"


STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "text.color": Ink.INK,
    "text.parse_math": False,  # labels may hold untrusted text; a lone $ is a dollar sign
    "axes.labelcolor": Ink.MUTED,
    "axes.edgecolor": Ink.GRID,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": Ink.GRID,
    "grid.linewidth": 0.6,
    "xtick.color": Ink.MUTED,
    "ytick.color": Ink.MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: sharp, selectable, in the page's own font
    "svg.hashsalt": "crl",  # the same figure gives the same bytes
}


def figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, without pyplot's global state."""
    fig = Figure(figsize=(width_in, height_in), layout="constrained")
    return fig, fig.add_subplot()


def rounds_axis(ax: Axes, rounds: int) -> None:
    """Whole rounds from 0, with the half width of a bar on both sides."""
    ax.set_xlim(-0.6, max(rounds - 0.4, 1))
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ax.set_xlabel("round")


@dataclass(frozen=True, slots=True)
class Plot:
    title: str
    note: str  # how to read it
    svg: Markup


def svg(fig: Figure, name: str, description: str) -> Markup:
    """The figure as an SVG element for inlining: themed, scalable, ids prefixed by `name` so that none clash."""
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', _root(description), text, count=1)
    text = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font-size: \1", text)
    for ink in Ink:
        text = text.replace(ink.value, f"var(--{ink.name.lower()})")
    return Markup(text)  # safe: matplotlib escapes every label, and a test feeds it script tags


def _root(description: str) -> str:
    label = str(escape(description)).replace("\\", "\\\\")
    return rf'<svg viewBox="\g<1>" role="img" aria-label="{label}" stroke-linejoin="round">'
