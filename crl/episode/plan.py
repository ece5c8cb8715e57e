"""The plan of one round: which group plays which instance of the mix, and who is guided."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from crl.config import Config
from crl.seeding import derive_seed, stream
from crl.tasks.sets import TaskSets
from crl.types import EpisodeKey, Experience, Task


@dataclass(frozen=True, slots=True)
class EpisodeSpec:
    """An episode to be played. `guided` is decided by the position in the group, before anything runs."""

    key: EpisodeKey
    task: Task
    guided: bool
    shown: Experience | None = None  # in place of what would be retrieved: a probe (`crl.round.probes`)


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
    """The task of each of the round's groups, by the weights in the mix; of weight 0: none.

    Equal weights: whoever gets the groups that do not divide evenly is drawn in each round. Unequal ones: over all rounds
    so far each task has its share of the groups, to within one.
    """
    names = [name for name in names if config.tasks.mix[name].weight]
    weights, groups = [config.tasks.mix[name].weight for name in names], config.rollout.groups
    if len(set(weights)) == 1:
        even, left_over = divmod(groups, len(names))
        drawn = set(stream(config.run.seed, "mix", round_).permutation(len(names))[:left_over].tolist())
        counts = [even + (i in drawn) for i in range(len(names))]
    else:
        counts = np.bincount(fair_order(weights, groups * (round_ + 1))[groups * round_ :], minlength=len(names))
    return tuple(name for name, count in zip(names, counts, strict=True) for _ in range(count))


def fair_order(weights: Sequence[float], length: int) -> list[int]:
    """Whose turn it is, `length` times: after any number of turns everyone's count is within 1 of their share of them.

    R. Tijdeman, "The chairman assignment problem" (1980): of those far enough behind their share to take a turn, the one
    who would otherwise be too far behind first. Exact, in integers; a longer order begins with the shorter one.
    """
    fractions = [Fraction(weight) for weight in weights]
    scale = lcm(*(fraction.denominator for fraction in fractions))
    parts = [int(fraction * scale) for fraction in fractions]
    whole, room = sum(parts), 2 * len(parts) - 2
    taken, order = [0] * len(parts), []
    for turn in range(1, length + 1):
        behind = [room * (part * turn - whole * count) for part, count in zip(parts, taken, strict=True)]
        ready = [i for i, lag in enumerate(behind) if lag >= whole]
        order.append(min(ready, key=lambda i: ((room - 1) * whole - behind[i]) / parts[i]))
        taken[order[-1]] += 1
    return order


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
