"""Advantages inside one group, whose free and guided episodes are two subgroups (method 1.2).

The paper's (arXiv 2603.17621) split: an episode is compared only with those that played the same instance
under the same condition, so that an experience's help does not push the free policy down.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from crl.errors import ConfigError

Estimator = Callable[[Sequence[float]], Sequence[float]]  # see crl.learn.advantages
FLAT_STD = 1e-6  # at or below it a subgroup carries no signal


@dataclass(frozen=True, slots=True)
class GroupAdvantages:
    """One advantage per episode, in the order of the rewards; None where the episode is left out."""

    values: tuple[float | None, ...]
    subgroups: int
    flat_subgroups: int


def group_advantages(
    rewards: Sequence[float], guided: Sequence[bool], estimator: Estimator, flat: Literal["skip", "count"]
) -> GroupAdvantages:
    """Advantages of one group's episodes, each within its own subgroup.

    Subgroups without variance have advantage 0. `count` keeps them, so they count in the loss's
    denominator (as in the paper's runs); `skip` leaves them out.
    """
    values: list[float | None] = [None] * len(rewards)
    subgroups = flat_subgroups = 0
    for condition in (False, True):
        members = [i for i, is_guided in enumerate(guided) if is_guided is condition]
        if not members:
            continue
        own = [rewards[i] for i in members]
        subgroups += 1
        if is_flat(own):
            flat_subgroups += 1
            if flat == "skip":
                continue
        for i, advantage in zip(members, subgroup_advantages(own, estimator), strict=True):
            values[i] = advantage
    return GroupAdvantages(tuple(values), subgroups, flat_subgroups)


def subgroup_advantages(rewards: Sequence[float], estimator: Estimator) -> Sequence[float]:
    """A_i of one subgroup; all 0 where it has fewer than two members or no variance."""
    if is_flat(rewards):
        return (0.0,) * len(rewards)
    advantages = estimator(rewards)
    if len(advantages) != len(rewards):
        raise ConfigError(
            f"learn.actor.advantage: {estimator.__module__}:{estimator.__qualname__} gave {len(advantages)} advantages for "
            f"{len(rewards)} rewards. Remedy: return one for each"
        )
    return advantages


def is_flat(rewards: Sequence[float]) -> bool:
    return len(rewards) < 2 or statistics.stdev(rewards) <= FLAT_STD
