"""Rollout shards and learners on the nodes of a Ray cluster (`run.task_runner: ray`); the ledger stays at the head.

    head: CoEvolution ── ShardsElsewhere ── RayNodes.play ── RayTaskRunner ──► node: play_shard ── ShardPlayer ── servers
                               ◄── episodes, showings, busy seconds ──

Each shard is one Prefect task run, sent to Ray. Ray plays a shard again elsewhere when its node dies; what the head
has not received was never counted. Learners (`learn.<role>.placed: ray`) are in `learners`.
"""

from contextlib import AbstractContextManager, nullcontext

from crl.config import Config
from crl.learn.crew import StartCrew
from crl.round.shards import PlayShard


def shard_player(config: Config) -> AbstractContextManager[PlayShard | None]:
    """Where the run's shards are played (`Hooks.play_shard`). Call it inside a flow.

    Raises ConfigError when the cluster cannot be reached or has no node that is large enough.
    """
    if config.run.task_runner == "threads":
        return nullcontext()
    from flows.cluster.ray import on_ray

    return on_ray(config)


def crew_starter(config: Config) -> StartCrew | None:
    """What starts learners on nodes (`Hooks.start_crew`). Call it inside `shard_player`, which connects to them.

    Raises ConfigError where the nodes have no room for them.
    """
    if config.run.task_runner == "threads":
        return None
    from flows.cluster.learners import start_crew

    return start_crew(config)
