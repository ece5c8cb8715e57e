"""Stage `warm_start`: the base actor and the base extractor.

Reads `params.yaml` and `data/tasks/`; writes `runs/warm_start/{actor,extractor}` in Hugging Face format, and
`metrics/warm_start.json`.
"""

import asyncio
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from crl.config import Config, load
from crl.files import write_json
from crl.tasks.sets import TaskSets
from crl.tiny.warm_start import WarmStartReport, warm_start
from flows.prefect.entry import PARAMS, console, main, run_name
from flows.stage.paths import BASE, TASKS, metrics_of
from flows.stage.progress import StageProgress
from flows.tracking.recording import recorded


@flow(name="warm_start", flow_run_name=run_name)
async def warm_start_flow(params: Path = PARAMS) -> None:
    """Train tiny base models from scratch on scripted play, or fetch named ones.

    Cost: two minutes on 2 cores for the profile `quick`; a download for named models. Not retried: it is seeded.
    """
    config = load(params)
    with recorded(config, "warm_start") as (record, _):
        async with StageProgress("warm_start", console).shown() as progress:
            report = await train_base_models(config, progress)
        write_json(metrics_of("warm_start"), report.metrics)
        record.metrics(report.metrics)


@task(cache_policy=NO_CACHE)
async def train_base_models(config: Config, progress) -> WarmStartReport:
    return await asyncio.to_thread(warm_start, config, TaskSets.read(TASKS, config.tasks.mix), BASE, progress)


if __name__ == "__main__":
    main(warm_start_flow)
