"""Where a run's time went, by round and span: a page of its own, since seconds differ from machine to machine.

It lies beside the run's working state and never among what DVC hashes.
"""

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

from crl.report import plots
from crl.report.canvas import STYLE
from crl.report.inputs import RoundsTable
from crl.report.templating import environment
from crl.spans import SPANS

DRAWN = 6  # spans with a colour of their own; the others are drawn as one


@dataclass(frozen=True, slots=True)
class SpanTime:
    """Seconds of one span, of the whole run."""

    name: str
    waited_s: float  # on the critical path
    worked_s: float  # there and beside it, over all threads


def write_times_page(timings: RoundsTable, lineage: str, file: Path) -> None:
    """`timings`: the metrics `time/*` by round, as `timings.csv` holds them."""
    rounds_s = _column(timings, "time/round_s")
    spans = by_span(timings)
    page = environment(escaped=True).get_template("times.html").render(
        lineage=lineage,
        rounds=timings.rounds,
        total_s=rounds_s.sum(),
        median_s=np.median(rounds_s),
        spans=spans,
        between_s=rounds_s.sum() - sum(span.waited_s for span in spans),
        plot=_drawn(timings, spans) if spans else None,
    )  # fmt: skip
    file.write_text(page, encoding="utf-8", newline="\n")


def by_span(timings: RoundsTable) -> list[SpanTime]:
    """Those that took time, the longest wait first."""
    spans = [SpanTime(name, timings.total(f"time/{name}_s"), timings.total(f"time/{name}_total_s")) for name in SPANS]
    return sorted((span for span in spans if span.worked_s > 0), key=lambda span: -span.waited_s)


def _drawn(timings: RoundsTable, spans: list[SpanTime]) -> plots.Plot:
    columns = [(span.name, _column(timings, f"time/{span.name}_s")) for span in spans]
    if others := [column for _, column in columns[DRAWN:]]:
        columns[DRAWN:] = [("others", np.sum(others, axis=0))]
    with mpl.rc_context(STYLE):
        return plots.seconds(columns)


def _column(timings: RoundsTable, name: str) -> np.ndarray:
    """Float64 [rounds]; 0 where nothing was measured."""
    column = timings.get(name)
    return np.zeros(timings.rounds) if column is None else np.nan_to_num(column)
