"""Stage `warm_start`: the base actor and the base extractor.

Reads `params.yaml` and `data/tasks/`; writes `runs/warm_start/{actor,extractor}` in Hugging Face format, and
`metrics/warm_start.json`.
"""

from pathlib import Path

from prefect import flow

from crl.config import load
from crl.files import write_json
from crl.tasks.sets import TaskSets
from crl.tiny.warm_start import warm_start
from flows.prefect.entry import PARAMS, console, main, run_name
from flows.prefect.units import in_thread
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
        async with StageProgress("warm_start", console, stall_s=config.run.stall_s).shown() as progress:
            tasks = TaskSets.read(TASKS, config.tasks.mix)
            metrics = await in_thread(warm_start, config, tasks, BASE, progress)
        write_json(metrics_of("warm_start"), metrics)
        record.metrics(metrics)


if __name__ == "__main__":
    main(warm_start_flow)
