"""The plan of one round: which group plays which instance of the mix, and who is guided."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crl.config import Config
from crl.seeding import derive_seed, stream
from crl.tasks.sets import TaskSets
from crl.types import EpisodeKey, Task


@dataclass(frozen=True, slots=True)
class EpisodeSpec:
    """An episode to be played. `guided` is decided by the position in the group, before anything runs."""

    key: EpisodeKey
    task: Task
    guided: bool


@dataclass(frozen=True, slots=True)
class Shard:
    """Whole groups that one task run plays."""

    name: str
    specs: tuple[EpisodeSpec, ...]


@dataclass(frozen=True, slots=True)
class RoundPlan:
    round: int
    warming_up: bool  # the bank fills; nothing is retrieved, the actor does not move
    shards: tuple[Shard, ...]

    @property
    def specs(self) -> tuple[EpisodeSpec, ...]:
        return tuple(spec for shard in self.shards for spec in shard.specs)


def group_task_names(config: Config, names: Sequence[str], round_: int) -> tuple[str, ...]:
    """The task of each group: shares by weight; what does not divide evenly rotates over the rounds."""
    weights = np.array([config.tasks.mix[name].weight for name in names])
    shares = weights / weights.sum() * config.rollout.groups
    counts = np.floor(shares).astype(int)
    missing = config.rollout.groups - counts.sum()
    if missing:
        fractions = shares - counts
        order = stream(config.run.seed, "mix", round_).permutation(len(names))
        by_fraction = sorted(order, key=lambda i: -fractions[i])
        for i in by_fraction[:missing]:
            counts[i] += 1
    return tuple(name for name, count in zip(names, counts, strict=True) for _ in range(count))


def draw(tasks: Sequence[Task], *key: object) -> Task:
    """An instance by its key: the same key gives the same instance."""
    return tasks[derive_seed(*key) % len(tasks)]


def plan_round(config: Config, tasks: TaskSets, round_: int) -> RoundPlan:
    """Which episodes round `round_` plays; a function of parameters and task sets alone (decision 1 of the method)."""
    rollout, seed = config.rollout, config.run.seed
    warming_up = round_ < config.rounds.bank_warmup
    groups = []
    for group, name in enumerate(group_task_names(config, list(tasks.train), round_)):
        task = draw(tasks.train[name], seed, "level", name, round_, group)
        groups.append(
            tuple(
                EpisodeSpec(EpisodeKey(round_, group, index), task, index >= rollout.free_per_group)
                for index in range(rollout.group_size)
            )
        )
    count = min(rollout.shards, len(groups))
    shards = tuple(
        Shard(f"rollout-shard-{i}", tuple(spec for group in groups[i::count] for spec in group)) for i in range(count)
    )
    return RoundPlan(round_, warming_up, shards)
