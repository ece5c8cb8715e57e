"""The plan of one round: which group plays which instance of the mix, and who is guided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm

import numpy as np

from crl.config import Config
from crl.episode.mix import Mix, Tally, allot, free_members, weights
from crl.seeding import derive_seed, stream
from crl.tasks.sets import TaskSets
from crl.types import EpisodeKey, Experience, Task

BEGINNING = Mix()  # before the first round


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
    actor_learns: bool  # else the extractor alone does, in its head start
    owed: Mapping[str, float]  # groups that each task is behind its share when this has been played, see `mix.allot`
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


def plan_round(config: Config, tasks: TaskSets, round_: int, mix: Mix = BEGINNING) -> RoundPlan:
    """Which episodes round `round_` plays; a function of parameters, task sets and where the mix stands (decision 1 of the
    method)."""
    names, groups = list(tasks.train), config.rollout.groups
    if config.tasks.follow_signal:
        played, owed = allot(mix.owed, weights(config, names, mix.tallies), groups)
    else:
        played, owed = group_task_names(config, names, round_), mix.owed
    warming_up = round_ < config.rounds.bank_warmup
    first_actor_round = config.rounds.bank_warmup + config.rounds.extractor_head_start
    specs = _groups(config, tasks, round_, mix, played)
    return RoundPlan(round_, warming_up, round_ >= first_actor_round, owed, _shards(config, "shard", 0, specs))


def plan_refill(config: Config, tasks: TaskSets, plan: RoundPlan, mix: Mix, groups: int) -> RoundPlan:
    """`groups` further groups of the round of `plan`: numbered on, so that their random streams are their own, and played by
    tasks in proportion to their weights over all refills so far."""
    played, owed = allot(plan.owed, weights(config, list(tasks.train), mix.tallies), groups)
    first = 1 + max(spec.key.group for spec in plan.specs)
    specs = _groups(config, tasks, plan.round, mix, played, first)
    return replace(plan, owed=owed, shards=_shards(config, "refill", first, specs))


Group = tuple[EpisodeSpec, ...]


def _groups(
    config: Config, tasks: TaskSets, round_: int, mix: Mix, names: Sequence[str], first: int = 0
) -> list[Group]:
    """One group for each task's name, numbered from `first`."""
    groups = []
    for group, name in enumerate(names, first):
        task = draw(tasks.train[name], config.run.seed, "level", name, round_, group)
        free = free_members(config, mix.tallies.get(name, Tally()))
        keys = (EpisodeKey(round_, group, index) for index in range(config.rollout.group_size))
        groups.append(tuple(EpisodeSpec(key, task, key.index >= free) for key in keys))
    return groups


def _shards(config: Config, what: str, first: int, groups: Sequence[Group]) -> tuple[Shard, ...]:
    """The groups dealt out to task runs, `rollout-<what>-<number>` from `first` on."""
    count = min(config.rollout.shards, len(groups))
    return tuple(
        Shard(f"rollout-{what}-{first + i}", tuple(spec for group in groups[i::count] for spec in group))
        for i in range(count)
    )
