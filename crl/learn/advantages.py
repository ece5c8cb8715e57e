"""Advantages inside one group, whose free and guided episodes are two subgroups (method 1.2).

The paper's (arXiv 2603.17621) split: an episode is compared only with those that played the same instance
under the same condition, so that an experience's help does not push the free policy down.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Estimator = Literal["mean", "mean_std", "rloo"]
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


def subgroup_advantages(rewards: Sequence[float], estimator: Estimator) -> tuple[float, ...]:
    """A_i of one subgroup; all 0 where it has fewer than two members or no variance.

    mean:      R_i - mean(R)
    mean_std:  (R_i - mean(R)) / (std(R) + 1e-6), std unbiased
    rloo:      R_i - mean of the others' R
    """
    size = len(rewards)
    if is_flat(rewards):
        return (0.0,) * size
    baseline = statistics.fmean(rewards)
    centred = [reward - baseline for reward in rewards]
    match estimator:
        case "mean":
            scale = 1.0
        case "mean_std":
            scale = 1.0 / (statistics.stdev(rewards) + 1e-6)
        case "rloo":
            scale = size / (size - 1)  # the leave-one-out baseline differs from the mean by this factor
    return tuple(scale * value for value in centred)


def batch_advantages(scores: Sequence[float]) -> tuple[float, ...]:
    """The extractor's: score minus the batch's mean (method 2.4)."""
    if not scores:
        return ()
    baseline = statistics.fmean(scores)
    return tuple(score - baseline for score in scores)


def is_flat(rewards: Sequence[float]) -> bool:
    return len(rewards) < 2 or statistics.stdev(rewards) <= FLAT_STD
