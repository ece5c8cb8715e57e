"""Tables and lines that DVC tracks, and what `co_evolve` leaves when the run is complete.

Measured seconds stay out of these files: the same commit gives the same bytes in lockstep, and so the same
`dvc.lock`. Seconds are in MLflow, in the round's artifact and in `runs/co_evolve/<lineage>/timings.csv`.
"""

import json
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from crl.files import write_json
from crl.round.report import RoundReport
from flows.stage.paths import BANK, EFFECTS, ROUNDS, TRANSCRIPTS, metrics_of, timings_of

# The last figures that `dvc metrics diff` and `dvc exp show` have room for; all of them are in ROUNDS.
_HEADLINE = (
    "rollout/success_free",
    "rollout/success_guided",
    "distil/valid_share",
    "extractor/score_mean",
    "bank/size",
    "actor/flat_share",
)


def is_timing(metric: str) -> bool:
    """Whether a metric depends on the clock, or on what the process had done before (a resumed run starts with cold caches)."""
    return metric.startswith("time/") or metric.endswith(("_s", "_ms", "/cache_hits"))


def publish(reports: Sequence[RoundReport], snapshots: Path, lineage: str) -> None:
    """Everything but the models, which their learners export."""
    shutil.rmtree(BANK, ignore_errors=True)
    shutil.copytree(snapshots, BANK)
    write_table(ROUNDS, _rows(reports, lambda name: not is_timing(name)))
    write_table(timings_of(lineage), _rows(reports, is_timing))
    last, figures = reports[-1], {}
    for report in reports[-2:] if last.closing else reports[-1:]:
        known = {name: value for name, value in report.metrics.items() if math.isfinite(value)}  # absent ones are NaN
        figures |= {name: known[name] for name in _HEADLINE if name in known}
    write_json(metrics_of("co_evolve"), figures)
    write_json(EFFECTS, [asdict(row) for row in (*last.best, *last.worst)])
    write_lines(TRANSCRIPTS, (transcript for report in reports for transcript in report.transcripts))


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """A CSV file; a value that is missing or not a number is an empty cell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, dtype=object).to_csv(path, index=False, lineterminator="\n")


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """A line of JSON for each dataclass."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(asdict(value), sort_keys=True) + "\n" for value in values))


def _rows(reports: Sequence[RoundReport], wanted: Callable[[str], bool]) -> list[dict[str, float]]:
    """One row per report, with a cell for every metric that one of them measured."""
    names = sorted({name for report in reports for name in report.metrics if wanted(name)})
    return [{"round": report.round} | {name: report.metrics.get(name) for name in names} for report in reports]
