"""What is to be solved: task instances, the mix, the held-out split, the plan of one round."""

from dataclasses import dataclass

import numpy as np

from crl.config import Config
from crl.seeding import derive_seed, stream
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


def make_task(config: Config, name: str, seed: int, split: str) -> Task:
    """The instance `seed` of the mix's entry `name`."""
    entry = config.tasks.mix[name]
    return Task(f"{name}/{split}/{seed}", name, entry.family, entry.level, seed, entry.max_steps, split)


def held_out_tasks(config: Config) -> tuple[Task, ...]:
    """The evaluation levels: fixed by their seeds, the same for every run and every arm."""
    first = config.tasks.eval_seed_start
    return tuple(
        make_task(config, name, first + index, "eval")
        for name in config.tasks.mix
        for index in range(config.tasks.eval_levels)
    )


def group_task_names(config: Config, round_: int) -> tuple[str, ...]:
    """The task of each group: shares by weight; what does not divide evenly rotates over the rounds."""
    names = list(config.tasks.mix)
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


def plan_round(config: Config, round_: int) -> RoundPlan:
    """Which episodes round `round_` plays; a function of the parameters alone (decision 1 of the method)."""
    rollout, seed = config.rollout, config.run.seed
    warming_up = round_ < config.rounds.bank_warmup
    groups = []
    for group, name in enumerate(group_task_names(config, round_)):
        level_seed = derive_seed(seed, "level", name, round_, group) % config.tasks.train_levels
        task = make_task(config, name, level_seed, "train")
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
