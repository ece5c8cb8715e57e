"""A refilled round whose shards are played away from the run's process, by the player that nodes use, on model servers."""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

from crl.remote.player import ShardPlayer
from crl.round.coevolution import CoEvolution
from crl.round.hooks import Hooks
from crl.round.shards import Home, ShardOrder, ShardResult
from crl.tasks.sets import TaskSets
from crl.types import EpisodeKey
from flows.local.process import Launch, free_port, spawn
from tests.round import runs

ROOT = Path(__file__).parents[2]
REMOTE = ("engine.kind=server", "envs.workers=1", "rollout.refill.extra_groups=5", "learn.actor.flat_groups=count")


def test_further_groups_are_ordered_from_the_same_snapshot_and_counted_once(models: Path, tmp_path: Path) -> None:
    port, orders = free_port(), []
    where = [f"servers.{role}=[http://127.0.0.1:{port}/{role}]" for role in ("actor", "extractor")]
    config = runs.small_config("async", 2, *REMOTE, *where)
    argv = [sys.executable, "-m", "tests.flows.completions_server", str(port), "448", str(tmp_path / "hold")]
    argv += [f"{role}={models / role}" for role in ("actor", "extractor")]
    launch = Launch(argv, {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    server = spawn("completions", launch, folder=tmp_path, port=port, health="/actor/health")
    one_at_a_time, players = asyncio.Lock(), []

    async def play_shard(home: Home, order: ShardOrder) -> ShardResult:
        orders.append(order)
        async with one_at_a_time:
            if not players:
                players.append(await asyncio.to_thread(ShardPlayer, home))
            return replace(await asyncio.to_thread(players[0].play, order), place="here")

    async def play() -> None:
        base = {role: models / role for role in ("actor", "extractor")}
        tasks = TaskSets.generate(config)
        run = CoEvolution.open(config, folder=tmp_path / "run", tasks=tasks, hooks=Hooks(play_shard=play_shard), **base)
        try:
            await run.play_round()
            del orders[:]
            report = await run.play_round()
            groups = int(report.metrics["rollout/groups"])
            assert groups > config.rollout.groups, "nothing was refilled"
            wanted = [EpisodeKey(1, group, index) for group in range(groups) for index in range(8)]
            assert sorted(end.key for end in run.ends) == wanted
            names = [order.shard.name for order in orders]
            assert len(names) == len(set(names)) > 2
            assert names[2] == f"rollout-refill-{config.rollout.groups}"
            assert len({id(order.snapshot) for order in orders}) == 1  # the bank as it was when the round began
            assert report.metrics["retrieve/queries"] == sum(end.guidance is not None for end in run.ends) > 0
            await run.finish()
        finally:
            await run.close()

    before = os.getcwd()
    try:
        asyncio.run(play())
    finally:
        for player in players:
            player.close()
        os.chdir(before)
        server.stop()
