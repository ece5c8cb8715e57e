"""Stage `evaluate`: held-out levels, before and after, with and without experience.

Reads `data/mix/`, `runs/warm_start/actor`, `models/actor` and `bank/`; writes `metrics/evaluate.json`,
`metrics/held_out.json`, `plots/evaluate.csv` and `records/evaluation_transcripts.jsonl`.
"""

import asyncio
import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from crl.checkpoint import write_json
from crl.config import Config, load
from crl.evaluate import EvaluationReport, candidates, evaluate
from crl.statistics import ARMS, PHASES, EvaluationSummary
from crl.task_sets import TaskSets
from flows.paths import BANK, BASE, CELLS, EVALUATION_TRANSCRIPTS, HEADLINE, MIX, MODELS, metrics_of
from flows.progress import StageProgress
from flows.stage import PARAMS, console, main, run_name
from flows.tracking import flatten, recorded


@task(retries=1, cache_policy=NO_CACHE)  # evaluation draws from streams of its own: a repeat gives the same figures
async def play_held_out(config: Config, progress) -> EvaluationReport:
    phases = candidates(BASE, MODELS, BANK, config.rounds.bank_warmup)
    return await asyncio.to_thread(evaluate, config, TaskSets.read(MIX, config.tasks.mix).evaluation, phases, progress)


@flow(name="evaluate", flow_run_name=run_name)
async def evaluate_flow(params: Path = PARAMS) -> None:
    """Play every held-out level four times: base and trained actor, free and guided.

    Cost: about a minute on 2 cores for the profile `quick`.
    """
    config = load(params)
    with recorded(config, "evaluate") as (record, _):
        async with StageProgress("evaluate", console).shown() as progress:
            report = await play_held_out(config, progress)
        body = report.summary.as_json()
        write_json(metrics_of("evaluate"), body)
        write_json(HEADLINE, headline(report.summary))
        rows = list(cell_rows(report))
        write_rows(CELLS, rows)
        lines = [json.dumps(asdict(transcript), sort_keys=True) for transcript in report.transcripts]
        EVALUATION_TRANSCRIPTS.parent.mkdir(parents=True, exist_ok=True)
        EVALUATION_TRANSCRIPTS.write_text("".join(f"{line}\n" for line in lines))
        record.metrics({f"eval/{name.replace('.', '/')}": value for name, value in flatten(body)})
        for name, tasks in TaskSets.read(MIX, config.tasks.mix).held_out.items():
            record.dataset(f"{name} eval", MIX / name / "eval.parquet", context="evaluation", rows=len(tasks))
        record.files(CELLS, "plots")
        await acreate_table_artifact(rows, key="evaluation", description="Success on held-out levels")


def headline(summary: EvaluationSummary) -> dict[str, float]:
    """The few figures that `dvc metrics diff` and `dvc exp show` have room for; all of them are in evaluate.json."""
    cells = {f"{arm}_{phase}": summary.cell(phase, arm) for arm in ARMS for phase in PHASES}
    gains = {arm: summary.difference("after_minus_before", arm) for arm in ARMS}
    figures = {name: cell.success for name, cell in cells.items() if cell}
    return figures | {f"{arm}_gain_low": gain.estimate.success_low for arm, gain in gains.items() if gain}


def cell_rows(report: EvaluationReport) -> Iterator[dict[str, str | float]]:
    """One row per cell, for `dvc plots` and the artifact."""
    for cell in report.summary.cells:
        yield {"cell": f"{cell.phase}, {cell.arm}", "task": cell.task, **asdict(cell.estimate)}


def write_rows(path: Path, rows: list[dict[str, str | float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(evaluate_flow)
