"""What runs on a node: one shard as a Prefect task run, on means that the worker process keeps for the next one."""

import atexit
from dataclasses import replace

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from crl.remote.player import ShardPlayer
from crl.round.shards import Home, ShardOrder, ShardResult
from flows.prefect.units import RETRIED


@flow(name="co_evolve")
def stand_in() -> None:
    """In the place of the flow in what travels to a node: a run's own flow lies in `__main__` and holds terminals and locks."""


_players: list[ShardPlayer] = []  # at most one: Ray gives a process one task at a time


@task(name="rollout", cache_policy=NO_CACHE, persist_result=False, **RETRIED)
def play_shard(home: Home, order: ShardOrder, snapshot: bytes | None) -> ShardResult:
    """Play a shard here. The snapshot travels apart, since a round's shards share it."""
    import ray

    if _players and _players[0].home != home:  # of another run
        _close()
    if not _players:
        _players.append(ShardPlayer(home))
    result = _players[0].play(replace(order, snapshot=snapshot))
    return replace(result, place=ray.get_runtime_context().get_node_id())


@atexit.register
def _close() -> None:
    while _players:
        _players.pop().close()
