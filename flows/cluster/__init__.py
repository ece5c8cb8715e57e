"""Rollout shards on the nodes of a Ray cluster (`run.task_runner: ray`); learning and the ledger stay at the head.

    head: CoEvolution ── ShardsElsewhere ── RayNodes.play ── RayTaskRunner ──► node: play_shard ── ShardPlayer ── servers
                               ◄── episodes, showings, busy seconds ──

Each shard is one Prefect task run, sent to Ray. Ray plays a shard again elsewhere when its node dies; what the head
has not received was never counted.
"""

from contextlib import AbstractContextManager, nullcontext

from crl.config import Config
from crl.round.shards import PlayShard


def shard_player(config: Config) -> AbstractContextManager[PlayShard | None]:
    """Where the run's shards are played (`Hooks.play_shard`). Call it inside a flow.

    Raises ConfigError when the cluster cannot be reached or has no node that is large enough.
    """
    if config.run.task_runner == "threads":
        return nullcontext()
    from flows.cluster.ray import on_ray

    return on_ray(config)
