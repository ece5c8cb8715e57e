"""Rollout shards on the nodes of a Ray cluster (`run.task_runner: ray`); learning and the ledger stay at the head.

    head: play_round ── Away ── RayNodes.play ── RayTaskRunner ──► node: play_shard ── Station ── servers
                          ◄── episodes, showings, busy seconds ──

Each shard is one Prefect task run, sent to Ray. Ray plays a shard again elsewhere when its node dies; what the head
has not received was never counted.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from crl.round.coevolution import CoEvolution
from crl.round.hooks import Runner
from flows.prefect.units import run_as_task


@asynccontextmanager
async def shards_played(co: CoEvolution, actor: Path, extractor: Path) -> AsyncIterator[Runner]:
    """The runner of the run's units, after it was settled where shards are played. Call it inside a flow.

    Raises ConfigError when the cluster cannot be reached or has no node that is large enough.
    """
    if co.config.run.task_runner == "threads":
        yield run_as_task
        return
    from flows.cluster.ray import played_on_ray

    with played_on_ray(co, actor, extractor) as runner:
        yield runner
