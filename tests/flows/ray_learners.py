"""Learners on the nodes of a test's cluster; also a program, a head that a test can kill.

python -m tests.flows.ray_learners CLUSTER MODEL FOLDER      opens a learner of one worker there, prints its process, and waits
"""

import asyncio
import sys
import time
from pathlib import Path

import ray
from torch import Tensor

from crl.config import Config
from crl.config.compose import composed
from crl.files import round_folder
from crl.learn.group import LearnerGroup
from crl.learn.stored import load_state
from crl.round.coevolution import CoEvolution
from crl.round.hooks import Hooks
from crl.round.state import latest_state
from crl.tasks.sets import TaskSets
from flows.cluster.learners import CrewOnNodes
from tests.round.runs import CONF, SMALL

# A KL term's reference is sharded over the nodes, too.
_ROUND = [
    "rollout.groups=2", "rounds.count=1", "rounds.bank_warmup=0", "rounds.extractor_head_start=0", "learn.actor.kl_coef=0.1",
    "run.device=cpu", "actor.replies=legal",
]  # fmt: skip


def config_of(workers: int | None = None) -> Config:
    """A round in lockstep, of which bytes can be compared, with the actor's workers on nodes.

    The parameters allow them in async alone, with shards on nodes, so it is put in behind their back.
    """
    config = composed("quick", [*SMALL, *_ROUND, f"learn.actor.workers={workers or 'null'}"], CONF)
    actor = config.learn.actor.model_copy(update={"placed": "ray" if workers else "here"})
    return config.model_copy(update={"learn": config.learn.model_copy(update={"actor": actor})})


def play(config: Config, base: dict[str, Path], folder: Path, hooks: Hooks) -> dict[str, float]:
    """The round; returns its metrics."""

    async def play_it() -> dict[str, float]:
        run = CoEvolution.open(config, folder=folder, tasks=TaskSets.generate(config), hooks=hooks, **base)
        try:
            return dict((await run.play_round()).metrics)
        finally:
            await run.close()

    return asyncio.run(play_it())


def learned(folder: Path) -> dict[str, Tensor]:
    """The actor's weights after the round."""
    return load_state(round_folder(latest_state(folder) / "checkpoints", 0) / "actor").weights


if __name__ == "__main__":
    ray.init(sys.argv[1], log_to_driver=False, logging_level="WARNING")
    opened = LearnerGroup(config_of(1), "actor", sys.argv[2], CrewOnNodes, Path(sys.argv[3])).ready()
    print(*opened._crew.pids, flush=True)
    time.sleep(600)
