"""Stage `prepare`: the held-out levels become data, and every level of the mix is built once.

Reads `params.yaml`; writes `data/tasks/eval.parquet` and `metrics/prepare.json`.
"""

import asyncio
from dataclasses import asdict
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from crl.checkpoint import write_json
from crl.config import Config, load
from crl.prepare import TaskSummary, prepare
from flows.paths import TASKS, metrics_of
from flows.stage import PARAMS, main, run_name
from flows.tracking import recorded


@task(retries=1, cache_policy=NO_CACHE)  # writes the same file again
async def build_levels(config: Config) -> TaskSummary:
    return await asyncio.to_thread(prepare, config, TASKS)


@flow(name="prepare", flow_run_name=run_name)
async def prepare_flow(params: Path = PARAMS) -> None:
    """Fix the held-out levels. Cost: seconds; a level is built and reset once."""
    config = load(params)
    with recorded(config, "prepare") as (record, _):
        summary = await build_levels(config)
        write_json(metrics_of("prepare"), asdict(summary))
        record.metrics({f"env/{name}_distinct_levels": float(count) for name, count in summary.distinct.items()})
        record.dataset(
            "held-out levels", TASKS / "eval.parquet", context="evaluation", rows=sum(summary.levels.values())
        )
        rows = [
            {"task": name, "levels": levels, "distinct": summary.distinct[name]}
            for name, levels in summary.levels.items()
        ]
        await acreate_table_artifact(table=rows, key="held-out-levels", description="Held-out levels by task")


if __name__ == "__main__":
    main(prepare_flow)
