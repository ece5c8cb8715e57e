"""The closing screen of `make run`: what was learned, and where to look and go next."""

from collections.abc import Sequence

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from crl.evaluation.statistics import ARMS, Estimate, EvaluationSummary
from crl.replies.printable import plain
from crl.report.inputs import read_effects, read_evaluation
from crl.report.verdict import EXPERIENCES, experiences, verdict
from crl.round.report import EffectRow
from flows.local import prefect_server
from flows.stage import lineage
from flows.stage.paths import EFFECTS, REPORTS, metrics_of
from flows.tracking.recording import SPOOL, tracking_page
from flows.tracking.spool import journals


def show(console: Console | None = None) -> None:
    console = console or Console()
    summary = read_evaluation(metrics_of("evaluate"))
    said = (learned(summary), *contrasts(summary), *helping(read_effects(EFFECTS)), where(), following())
    console.print(Panel(Group(*said), title="What was learned"))


def learned(summary: EvaluationSummary) -> Table:
    """Held-out success before and after, free and guided."""
    table = Table("held-out levels", "experience", "before", "after", "difference", box=None, padding=(0, 2))
    for task in (*(name for name in summary.tasks if name != "all"), "all"):
        for arm in ARMS:
            before, after = summary.cell("before", arm, task), summary.cell("after", arm, task)
            change = summary.difference("after_minus_before", arm, task)
            style = "bold" if task == "all" else ""
            name = task if arm == ARMS[0] else ""
            table.add_row(name, _ARMS[arm], _rate(before), _rate(after), _change(change), style=style)
    return table


def contrasts(summary: EvaluationSummary) -> list[str]:
    """What experience is worth, and whether the intervals carry the claim."""
    lines = ["", verdict(summary).headline]
    for phase in ("before", "after"):
        if row := summary.difference("guided_minus_free", phase):
            lines.append(f"Experience {phase} training is worth {_change(row)} success.")
    lines.append(f"Intervals: {summary.confidence:.0%}, {summary.samples:,} resamples of the levels; * excludes 0.")
    return lines


def helping(effects: Sequence[EffectRow]) -> list[str]:
    """Which experiences help or do harm. Their texts are a model's: they are shown, not interpreted."""
    return ["", EXPERIENCES, *(f"  {escape(plain(line))}" for line in experiences(effects))]


def where() -> Table:
    """The report and the two tools' pages."""
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_row("report", str(REPORTS / "report.html"))
    table.add_row("MLflow", tracking_page())
    table.add_row("Prefect", prefect_server.pages() or "http://127.0.0.1:4200 (`make prefect`)")
    if run := lineage.load():
        table.add_row("records", f"MLflow runs tagged crl.pipeline = {run.id}")
    if waiting := sum(journal.unsent_bytes for journal in journals(SPOOL)):
        table.add_row("spool", f"{waiting} bytes wait for MLflow: python -m flows.tracking.recording drain")
    return table


def following() -> str:
    return (
        "\nNext, after `source .venv/bin/activate`:\n"
        "  crl bank ls                      the experiences, by what they changed\n"
        "  crl play --player model --model models/actor --observation slots\n"
        "  python -m flows.run rounds.count=80   a longer run; compare with dvc exp show\n"
        "  make lab                         the profile `laptop`\n"
        "The same command again does nothing: every stage is up to date."
    )


_ARMS = {"free": "without", "guided": "with"}


def _rate(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.success:.0%} [{estimate.success_low:.0%}, {estimate.success_high:.0%}]"


def _change(one: Estimate | None) -> str:
    if one is None:
        return "-"
    return f"{one.success:+.0%} [{one.success_low:+.0%}, {one.success_high:+.0%}]{'*' if one.excludes_zero else ''}"


if __name__ == "__main__":
    show()
