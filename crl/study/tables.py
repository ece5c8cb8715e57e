"""A comparison as tables of text, for the terminal and for the page alike."""

from collections.abc import Iterator
from dataclasses import dataclass

from crl.study.comparison import Comparison, interval_text
from crl.study.metrics import METRICS, Metric
from crl.study.results import ALL
from crl.study.statistics import CONFIDENCE

SUCCESS: tuple[Metric, ...] = ("half_without", "half_with", "end_without", "end_with", "gain_end")
SPEED: tuple[Metric, ...] = (
    "area_without",
    "area_with",
    "steps_without",
    "steps_with",
    "actions_without",
    "actions_with",
)
AGAINST: tuple[Metric, ...] = ("half_with", "end_without", "end_with", "area_with", "steps_with", "actions_with")


@dataclass(frozen=True)
class Rows:
    """A table: its title, how to read it, its header, its rows."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        lines = [self.header, tuple("---" for _ in self.header), *self.rows]
        return "\n".join([f"**{self.title}.** {self.note}", "", *(f"| {' | '.join(line)} |" for line in lines)])


def tables(made: Comparison) -> Iterator[Rows]:
    """Success, speed, and the differences to the reference; below each figure's name stands what it is of."""
    of = "all tasks" if made.task == ALL else made.task
    note = f"Interquartile mean over seeds [{CONFIDENCE:.0%} interval]; {_panel(made)}."
    yield Rows(f"Success, {of}", note, ("arm", "seeds", *_titles(SUCCESS)), tuple(_arm_rows(made, SUCCESS)))
    level = f" The level is {made.study.level:.0%}; a run that does not reach it counts with the budget."
    yield Rows(f"Speed, {of}", note + level, ("arm", "seeds", *_titles(SPEED)), tuple(_arm_rows(made, SPEED)))
    if made.against:
        header = ("arm minus " + made.study.reference, "seeds", *_titles(AGAINST, difference=True))
        how = f" Paired by seed. p: how likely a run of the arm is better than one of {made.study.reference}."
        yield Rows(f"Against {made.study.reference}, {of}", note + how, header, tuple(_against_rows(made)))


def _panel(made: Comparison) -> str:
    return f"budget {made.budget:,.0f} environment steps; panel, code and seeds `{made.digest}`"


def _titles(metrics: tuple[Metric, ...], *, difference: bool = False) -> Iterator[str]:
    for metric in metrics:
        shown = METRICS[metric]
        yield f"{shown.title} ({'points' if difference and shown.unit == '%' else shown.unit})"


def _arm_rows(made: Comparison, metrics: tuple[Metric, ...]) -> Iterator[tuple[str, ...]]:
    for arm, found in made.arms.items():
        cells = (interval_text(METRICS[metric], found[metric], signed=metric == "gain_end") for metric in metrics)
        yield arm, str(len(made.runs[arm])), *cells


def _against_rows(made: Comparison) -> Iterator[tuple[str, ...]]:
    for arm, rows in made.against.items():
        if rows:
            cells = (
                f"{interval_text(METRICS[metric], rows[metric].difference, signed=True)}, p {rows[metric].improvement.value:.2f}"
                for metric in AGAINST
            )
            yield arm, str(rows[AGAINST[0]].difference.seeds), *cells
