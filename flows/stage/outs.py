"""What `co_evolve` leaves for DVC, written when the run is complete.

Measured seconds stay out of these files: the same commit gives the same bytes in lockstep, and so the same
`dvc.lock`. Seconds are in MLflow, in the round's artifact and in `runs/co_evolve/timings.csv`.
"""

import csv
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from crl.files import write_json
from crl.round.report import RoundReport
from flows.stage.paths import BANK, EFFECTS, ROUNDS, TIMINGS, TRANSCRIPTS, metrics_of

# The last figures that `dvc metrics diff` and `dvc exp show` have room for; all of them are in ROUNDS.
_HEADLINE = (
    "rollout/success_free",
    "rollout/success_guided",
    "distil/valid_share",
    "extractor/score_mean",
    "bank/size",
    "actor/flat_share",
)


def is_known(metrics: Mapping[str, float], name: str) -> bool:
    """Whether the round measured it (absent figures are NaN)."""
    return math.isfinite(metrics.get(name, math.nan))


def is_timing(metric: str) -> bool:
    """Whether a metric depends on the clock, or on what the process had done before (a resumed run starts with cold caches)."""
    return metric.startswith("time/") or metric.endswith(("_s", "_ms", "/cache_hits"))


def publish(reports: Sequence[RoundReport], snapshots: Path) -> None:
    """Everything but the models, which their learners export."""
    shutil.rmtree(BANK, ignore_errors=True)
    shutil.copytree(snapshots, BANK)
    _write_table(ROUNDS, reports, lambda name: not is_timing(name))
    _write_table(TIMINGS, reports, is_timing)
    last, figures = reports[-1], {}
    for report in reports[-2:] if last.closing else reports[-1:]:
        figures |= {name: report.metrics[name] for name in _HEADLINE if is_known(report.metrics, name)}
    write_json(metrics_of("co_evolve"), figures)
    write_json(EFFECTS, [asdict(row) for row in (*last.best, *last.worst)])
    TRANSCRIPTS.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(asdict(transcript), sort_keys=True) for report in reports for transcript in report.transcripts]
    TRANSCRIPTS.write_text("".join(f"{line}\n" for line in lines))


def _write_table(path: Path, reports: Sequence[RoundReport], wanted) -> None:
    """One row per report; a metric that it did not measure is an empty cell."""
    names = sorted({name for report in reports for name in report.metrics if wanted(name)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["round", *names])
        for report in reports:
            writer.writerow([report.round, *(_cell(report.metrics.get(name)) for name in names)])


def _cell(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(value)
