"""Renders the report. Texts of models are untrusted: escaped everywhere, bounded, without control characters."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np

from crl.episode.transcripts import Transcript
from crl.evaluation.statistics import ALL, ARMS, PHASES
from crl.replies.printable import plain
from crl.report import plots
from crl.report.canvas import STYLE
from crl.report.curves import PANELS, curves, rolling_window
from crl.report.inputs import ReportInputs, RoundsTable
from crl.report.templating import environment
from crl.report.verdict import EXPERIENCES, experiences, percent, points, signed, training, verdict
from crl.round.report import EffectRow

MAX_LINES = 160  # of one transcript
MAX_TRANSCRIPTS = 24
ENTRIES_SHOWN = 6  # best and worst entries, each
SPARKS = "▁▂▃▄▅▆▇█"
# The last two: addresses become links by themselves.
MARKDOWN_SIGNS = re.compile(r"[\\`*_\[\]<>#|~&$@]|:(?=//)|(?<=www)\.")


def write_report(inputs: ReportInputs, folder: Path) -> None:
    """Write `report.html` (one self-contained page) and `report.md`; the same inputs give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("report.html", render_html(inputs)), ("report.md", render_markdown(inputs))):
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def render_html(inputs: ReportInputs) -> str:
    with mpl.rc_context(STYLE):  # a figure takes it up while its parts are made, so the whole drawing goes inside
        figures = {
            "tried_plots": [plots.histogram(tried) for tried in inputs.tried],
            "outcome_plot": plots.outcome(inputs.evaluation),
            "curves": curves(inputs.rounds),
            "bank_plots": plots.bank(inputs.rounds),
        }
    return _render("report.html", inputs, window=rolling_window(inputs.rounds.rounds), **figures)


def render_markdown(inputs: ReportInputs) -> str:
    return _render("report.md", inputs)


def _render(template: str, inputs: ReportInputs, **more: object) -> str:
    engine = environment(escaped=template.endswith(".html"))
    engine.filters |= {
        "percent": percent, "points": points, "signed": signed, "plain": plain, "md": markdown_text, "fence": fenced,
        "transcript_text": transcript_text,
    }  # fmt: skip
    best, worst = best_and_worst(inputs.effects)
    return engine.get_template(template).render(
        report=inputs,
        verdict=verdict(inputs.evaluation),
        training=training(inputs.rounds),
        experiences_said=EXPERIENCES,
        experiences=experiences(inputs.effects) if inputs.effects else (),
        tasks=[ALL, *(task for task in inputs.evaluation.tasks if task != ALL)],
        phases=PHASES,
        arms=ARMS,
        best=best,
        worst=worst,
        transcripts=chosen(inputs.transcripts),
        sparks=sparks(inputs.rounds),
        max_lines=MAX_LINES,
        **more,
    )


def markdown_text(text: str) -> str:
    """Untrusted text on one line of Markdown, as literal text: every sign that could mark anything up is an entity."""
    return MARKDOWN_SIGNS.sub(lambda sign: f"&#{ord(sign[0])};", " ".join(plain(text).split()))


def transcript_text(transcript: Transcript) -> str:
    """An episode as plain text, for Markdown."""
    lines = [f"{line.role}: {plain(line.text)}" for line in transcript.lines[:MAX_LINES]]
    left = len(transcript.lines) - len(lines)
    advice = [f"experience: {plain(transcript.advice)}"] if transcript.advice else []
    return "\n".join([*advice, *lines, *([f"... {left} more lines"] if left > 0 else [])])


def fenced(text: str, language: str = "text") -> str:
    """Untrusted text as a code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def best_and_worst(effects: tuple[EffectRow, ...]) -> tuple[list[EffectRow], list[EffectRow]]:
    """Entries by the cautious bound of their effect, so that luck in few groups does not lead; none comes twice."""
    best = sorted(effects, key=lambda row: (-row.low, -row.mean, row.id))[:ENTRIES_SHOWN]
    rest = [row for row in effects if row not in best]
    return best, sorted(rest, key=lambda row: (row.high, row.mean, row.id))[:ENTRIES_SHOWN]


def chosen(transcripts: tuple[Transcript, ...]) -> list[Transcript]:
    """A bounded sample for the page: by phase and arm in turn, so that each kind is there."""
    kinds: dict[tuple[str, str], list[Transcript]] = {}
    for transcript in transcripts:
        kinds.setdefault((transcript.phase, transcript.arm), []).append(transcript)
    in_turn = sorted(
        ((place, t) for members in kinds.values() for place, t in enumerate(members)), key=lambda pair: pair[0]
    )
    order = {"before": 0, "train": 1, "after": 2}
    sample = [transcript for _, transcript in in_turn[:MAX_TRANSCRIPTS]]
    return sorted(sample, key=lambda t: (t.task, order.get(t.phase, len(order)), t.arm))


def sparks(rounds: RoundsTable) -> list[tuple[str, str, str]]:
    """(metric, line of blocks, first and last value) of the main curves, for the Markdown page."""
    rows = []
    for panel in PANELS:
        for series in panel.series:
            values = rounds.get(series.column)
            if values is not None:
                known = values[~np.isnan(values)]
                rows.append((series.column, _spark(known), f"{known[0]:.3g} → {known[-1]:.3g}"))
    return rows


def _spark(known: np.ndarray) -> str:
    low, span = known.min(), known.max() - known.min()
    step = max(1, len(known) // 40)
    return "".join(SPARKS[int((value - low) / span * 7.999)] if span else SPARKS[3] for value in known[::step])
