"""Stage `prepare`, one for each entry of the mix: its instances become data, every held-out one is built once, the gates.

Reads `params.yaml`; writes `data/tasks/<entry>/` and `metrics/prepare/<entry>.json`.
"""

from dataclasses import asdict
from pathlib import Path

from prefect import flow
from prefect.artifacts import acreate_table_artifact

from crl.config import Config, load
from crl.errors import ConfigError
from crl.files import write_json
from crl.tasks.prepare import TaskSummary, prepare
from crl.tasks.sets import SPLITS
from flows.gates import gates, task_sets
from flows.prefect.entry import PARAMS, console, main, run_name
from flows.prefect.units import in_thread
from flows.stage.paths import DATA_DOCS, METRICS, TASKS
from flows.stage.progress import StageProgress
from flows.tracking.recording import recorded
from flows.tracking.stage_record import StageRecord


@flow(name="prepare", flow_run_name=run_name)
async def prepare_flow(params: Path = PARAMS, entry: str | None = None) -> None:
    """Generate or read the task sets of one entry of the mix, or of all.

    Cost: seconds for generated levels, minutes for ALFWorld's games. What this machine cannot play is said, and left out.
    """
    config = load(params)
    if entry is not None and entry not in config.tasks.mix:
        raise ConfigError(f"entry = {entry!r}: not in tasks.mix. Remedy: use one of {', '.join(config.tasks.mix)}")
    for name in [entry] if entry else config.tasks.mix:
        with recorded(config, f"prepare@{name}") as (record, _):
            async with StageProgress("prepare", console, stall_s=config.run.stall_s).shown() as progress:
                summary = await in_thread(prepare, config, name, TASKS, progress, retries=1)  # writes the same again
                if summary.unavailable:
                    again = f"After the remedy: dvc repro -f prepare@{name}"
                    progress.line(f"tasks.mix.{name} is LEFT OUT of this run: {summary.unavailable}\n{again}")
                else:
                    progress("gates", 0, 1)
                    await in_thread(check_task_sets, config, name)
                    progress("gates", 1, 1)
            write_json(METRICS / "prepare" / f"{name}.json", asdict(summary))
            record_task_sets(record, name, summary)
            key, description = f"task-set-{name.replace('_', '-')}", f"Task set of {name}"
            await acreate_table_artifact([asdict(summary)], key=key, description=description)


def check_task_sets(config: Config, entry: str) -> None:
    """The warm start reads these tables: they pass the gates first. Raises GateFailed."""
    with gates(DATA_DOCS) as opened:
        for split in SPLITS:
            opened.check(TASKS / entry / f"{split}.parquet", task_sets.suite(config, entry, split, TASKS))


def record_task_sets(record: StageRecord, entry: str, summary: TaskSummary) -> None:
    """How many levels are distinct, and both tables by their digests; an entry that was left out has no tables."""
    record.metrics({f"env/{entry}_distinct_levels": float(summary.distinct)})
    for split, context, rows in (("train", "training", summary.train), ("eval", "evaluation", summary.held_out)):
        if (file := TASKS / entry / f"{split}.parquet").is_file():
            record.dataset(f"{entry} {split}", file, context=context, rows=rows)


if __name__ == "__main__":
    main(prepare_flow)
