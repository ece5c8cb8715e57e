"""What a round looks like in Prefect's pages. Experience texts are model output: escaped and cut."""

from collections.abc import Iterable, Mapping

from crl.round.report import EffectRow, RoundReport

_LONGEST_TEXT = 160
_SIGNS = str.maketrans(
    {"|": "\\|", "<": "&lt;", ">": "&gt;", "`": "'", "[": "\\[", "]": "\\]", "*": "\\*", "_": "\\_", "\n": " "}
)
_LEARNED = (
    "rollout/success_free",
    "rollout/success_guided",
    "actor/loss",
    "actor/flat_share",
    "extractor/loss",
    "extractor/score_mean",
    "distil/valid_share",
    "bank/size",
)
_COUNTS = ("rollout/episodes", "env/steps", "generate/tokens")
_SHORTEST_S = 0.005  # spans that a round's cost names


def round_markdown(report: RoundReport, rounds_total: int, lineage: str) -> str:
    """What was learned, what it cost, which experiences helped."""
    figures = report.metrics
    learned = [name for name in figures if name in _LEARNED]
    spans = [name for name in figures if name.startswith("time/") and not name.endswith("_total_s")]
    cost = [name for name in _COUNTS if name in figures] + [name for name in spans if figures[name] >= _SHORTEST_S]
    return "\n".join(
        [
            f"# Round {report.round + 1} of {rounds_total}",
            f"{report.learned}\n",
            f"Lineage `{lineage}`\n",
            *("## Learned", *_metric_table(figures, learned)),
            *("## Cost", *_metric_table(figures, cost)),
            *("## Experiences that helped", *_effect_table(report.best)),
            *("## Experiences that hurt", *_effect_table(report.worst)),
        ]
    )


def effect_rows(report: RoundReport) -> list[dict[str, str | int]]:
    """Best and worst entries as rows of a table artifact."""
    rows = [("helped", row) for row in report.best] + [("hurt", row) for row in report.worst]
    return [
        {
            "": side,
            "task": row.task,
            "experience": safe(row.text),
            "effect": f"{row.mean:+.2f}",
            "interval": _interval(row),
            "groups": row.groups,
            "shown": row.shown,
            "id": row.id,
        }
        for side, row in rows
    ]


def safe(text: str) -> str:
    """A text as one line of Markdown without markup of its own."""
    short = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
    return short.translate(_SIGNS)


def _metric_table(figures: Mapping[str, float], names: Iterable[str]) -> list[str]:
    return ["| metric | value |", "|---|---|", *(f"| {name} | {figures[name]:,.3f} |" for name in names), ""]


def _effect_table(rows: Iterable[EffectRow]) -> list[str]:
    lines = [f"| {row.task} | {safe(row.text)} | {row.mean:+.2f} | {_interval(row)} | {row.groups} |" for row in rows]
    if not lines:
        return ["None was measured yet.", ""]
    return ["| task | experience | effect on success | interval | groups |", "|---|---|---|---|---|", *lines, ""]


def _interval(row: EffectRow) -> str:
    return f"{row.low:+.2f} to {row.high:+.2f}"
