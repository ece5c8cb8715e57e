"""Stage `pass_rate`: every task of the chosen entries is tried n times, before anything is trained.

Reads `data/tasks/` and the base actor; keeps each attempt in `runs/pass_rate/<digest>/`, from which a killed stage goes on;
writes `data/pass_rate.parquet` (a row per task: n, c, rate, pass@k, steps and tokens) and `metrics/pass_rate.json`. Measured
seconds stay out of both, so that the same commit gives the same `dvc.lock`: they are in MLflow and in `runs/pass_rate/timings.csv`.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pandas as pd
from prefect import flow
from prefect.artifacts import acreate_table_artifact

from crl.config import Config, load
from crl.evaluation.attempts import try_tasks
from crl.evaluation.code import attempt_key
from crl.evaluation.pass_rate import COLUMNS, TIMINGS, AttemptLog, by_name, chosen, table, timings
from crl.files import digest_folder, write_json
from crl.tasks.sets import TaskSets
from crl.types import Task
from flows.prefect.entry import PARAMS, console, main, run_name
from flows.prefect.units import in_thread
from flows.stage.hold import held
from flows.stage.paths import ATTEMPT_TIMINGS, ATTEMPTS, BASE, PASS_RATE, TASKS, metrics_of
from flows.stage.progress import StageProgress
from flows.tracking.recording import recorded
from flows.tracking.stage_record import StageRecord

Rows = Sequence[Mapping]  # one per task


@flow(name="pass_rate", flow_run_name=run_name)
async def pass_rate_flow(params: Path = PARAMS) -> None:
    """Estimate how often the base model solves each task of `pass_rate.tasks`.

    Cost: nothing when that is empty; otherwise n episodes per task, each kept as soon as it ends. More attempts, or other
    bounds of the filter, play nothing again.
    """
    config = load(params)
    with recorded(config, "pass_rate") as (record, _):
        tasks = chosen(config, TaskSets.read(TASKS, config.tasks.mix))
        async with StageProgress("pass_rate", console, stall_s=config.run.stall_s).shown() as progress:
            rows, seconds = await _played(config, tasks, progress) if tasks else ([], [])
        publish(rows, seconds)
        record_figures(rows, seconds, record)
        shown = [{**row, "seconds": cost["seconds"]} for row, cost in zip(rows, seconds, strict=True)]
        await acreate_table_artifact(
            shown or [{"tasks": 0}], key="pass-rate", description=f"{config.pass_rate.policy}, by task"
        )


async def _played(config: Config, tasks: Sequence[Task], progress: StageProgress) -> tuple[Rows, Rows]:
    folder = ATTEMPTS / attempt_key(config, tasks, digest_folder(BASE / "actor"))
    async with held(folder, progress.line):
        return await in_thread(play_attempts, config, tasks, folder, progress)


def play_attempts(config: Config, tasks: Sequence[Task], folder: Path, progress) -> tuple[Rows, Rows]:
    """Of each task its figures, and its seconds."""
    with closing(AttemptLog(folder / "attempts.jsonl")) as log:
        try_tasks(config, tasks, BASE / "actor", log, progress)
        tried = log.of(tasks, config.pass_rate.attempts)
        return table(tasks, tried, config.evaluate.confidence), timings(tasks, tried)


def publish(rows: Rows, seconds: Rows) -> None:
    """What DVC tracks; beside it, in no out, what the clock said."""
    for path in (PASS_RATE, ATTEMPT_TIMINGS):
        path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=COLUMNS).to_parquet(PASS_RATE, index=False)
    pd.DataFrame(seconds, columns=TIMINGS).to_csv(ATTEMPT_TIMINGS, index=False)
    write_json(metrics_of("pass_rate"), {name: summarise(group) for name, group in by_name(rows).items()})


def record_figures(rows: Rows, seconds: Rows, record: StageRecord) -> None:
    costs = by_name(seconds)
    for name, group in by_name(rows).items():
        figures = summarise(group) | {"seconds": sum(row["seconds"] for row in costs[name])}
        record.metrics({f"eval/{name}_{key}": value for key, value in figures.items()})
    record.file(PASS_RATE, "pass_rate")
    record.file(ATTEMPT_TIMINGS, "pass_rate")


def summarise(rows: Rows) -> dict[str, float]:
    """Of one entry: tasks, mean rate and pass@k."""
    means = {name: sum(row[name] for row in rows) / len(rows) for name in ("rate", "pass_1", "pass_16")}
    return {"tasks": float(len(rows)), **means}


if __name__ == "__main__":
    main(pass_rate_flow)
