"""Stage `filter`: which tasks are trained on, by pass rate; and the gates that they pass before it.

Reads `data/tasks/` and `data/pass_rate.parquet`; writes `data/mix/`, `metrics/filter.json` and the data docs' pages.
"""

from collections.abc import Sequence
from pathlib import Path
from shutil import copytree, rmtree

import pandas as pd
from prefect import flow
from prefect.artifacts import acreate_table_artifact

from crl.config import Config, load
from crl.errors import DataError
from crl.evaluation.pass_rate import chosen, kept
from crl.files import write_json
from crl.tasks.sets import SPLITS, UNAVAILABLE, TaskSets, write
from crl.types import Task
from flows.gates import Entry, gates, pass_rates, task_sets
from flows.prefect.entry import PARAMS, console, main, run_name
from flows.prefect.units import in_thread
from flows.stage.paths import DATA_DOCS, MIX, PASS_RATE, TASKS, metrics_of
from flows.tracking.recording import recorded


@flow(name="filter", flow_run_name=run_name)
async def filter_flow(params: Path = PARAMS) -> None:
    """Keep the tasks with a pass rate within the bounds; stop here when a data set is not what it must be.

    Cost: ten seconds, most of them Great Expectations' import. Other bounds play nothing again.
    """
    config = load(params)
    with recorded(config, "filter") as (record, _):
        table = await in_thread(filter_tasks, config)
        results = await in_thread(check_data, config)
        write_json(metrics_of("filter"), {row["entry"]: row for row in table})
        record.metrics({f"env/{row['entry']}_tasks": float(row["train"]) for row in table})
        for name, tasks in TaskSets.read(MIX, config.tasks.mix).train.items():
            record.dataset(f"{name} train", MIX / name / "train.parquet", context="training", rows=len(tasks))
        await acreate_table_artifact(table, key="mix", description="Tasks that are trained on")
        checked = [{"data set": r.name, "rows": r.rows, "expectations": r.rules} for r in results]
        await acreate_table_artifact(checked, key="gates", description=f"Data sets that passed; pages in {DATA_DOCS}")
        console.print(f"gates: {len(results)} data sets passed, pages in {DATA_DOCS}/index.html", highlight=False)


def filter_tasks(config: Config) -> list[dict]:
    """Write the mix; one row per entry, for people. Raises DataError when nothing is left of an entry."""
    rates = {row["task_id"]: row["rate"] for row in pd.read_parquet(PASS_RATE).to_dict("records")}
    sets, rows = TaskSets.read(TASKS, config.tasks.mix), []
    rmtree(MIX, ignore_errors=True)
    for name, reason in sets.unavailable.items():
        _leave_out(name, reason)
        rows.append({"entry": name, "train": 0, "left_out": reason})
    for name, train in sets.train.items():
        copytree(TASKS / name, MIX / name)
        left = _keep(config, name, train, rates) if name in config.pass_rate.tasks else len(train)
        rows.append({"entry": name, "before": len(train), "train": left, "held_out": len(sets.held_out[name])})
    return rows


def _leave_out(name: str, reason: str) -> None:
    """The later stages read the reason in the place of tables."""
    (MIX / name).mkdir(parents=True)
    (MIX / name / UNAVAILABLE).write_text(reason)
    console.print(f"tasks.mix.{name} is LEFT OUT of this run: {reason}", highlight=False)


def _keep(config: Config, name: str, train: Sequence[Task], rates: dict[str, float]) -> int:
    """Write the training tasks within the filter's bounds in the place of all; how many they are."""
    left, bounds = kept(train, rates, config.filter), config.filter
    if not left:
        raise DataError(
            f"tasks.mix.{name}: no task has a pass rate above {bounds.above} and at most {bounds.at_most}. Remedy: widen "
            f"filter.above and filter.at_most, or take another base model; the rates are in {PASS_RATE}"
        )
    write(left, MIX / name / "train.parquet")
    return len(left)


def check_data(config: Config) -> list[Entry]:
    """Every task set of the mix, and the table that filtered it. Raises GateFailed."""
    tried = chosen(config, TaskSets.read(TASKS, config.tasks.mix))
    with gates(DATA_DOCS) as opened:
        results = [
            opened.check(MIX / name / f"{split}.parquet", task_sets.suite(config, name, split, MIX))
            for name in TaskSets.read(MIX, config.tasks.mix).train
            for split in SPLITS
        ]
        if tried:
            results.append(opened.check(PASS_RATE, pass_rates.suite(config, [task.id for task in tried])))
    return results


if __name__ == "__main__":
    main(filter_flow)
