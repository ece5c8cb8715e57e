"""Advantage estimators by name (`learn.actor.advantage`): the rewards of one subgroup in, an advantage each out.

A function of `__all__` is known by its name; `module:function` names one of any other package. It is called with the
rewards of at least two episodes that are not all equal. Its attribute `at_least` tells how many episodes a subgroup
must have for it, 1 where it has none; the parameters are checked against it.
"""

import itertools
import statistics
from collections.abc import Callable, Iterable, Sequence

from crl.errors import ConfigError
from crl.types import Episode

__all__ = ["mean", "mean_std", "rloo"]


def mean(rewards: Sequence[float]) -> tuple[float, ...]:
    """R_i - mean(R): the paper's."""
    return _scaled(rewards, 1.0)


def mean_std(rewards: Sequence[float]) -> tuple[float, ...]:
    """(R_i - mean(R)) / (std(R) + 1e-6), std unbiased."""
    return _scaled(rewards, 1.0 / (statistics.stdev(rewards) + 1e-6))


def rloo(rewards: Sequence[float]) -> tuple[float, ...]:
    """R_i - mean of the others' R; that baseline differs from the mean by the factor n / (n - 1)."""
    return _scaled(rewards, len(rewards) / (len(rewards) - 1))


rloo.at_least = 2  # a lone episode has no others


def _scaled(rewards: Sequence[float], scale: float) -> tuple[float, ...]:
    baseline = statistics.fmean(rewards)
    return tuple(scale * (reward - baseline) for reward in rewards)


def subgroup_advantages(
    rewards: Sequence[float], estimator: Callable[[Sequence[float]], Sequence[float]]
) -> Sequence[float]:
    """A_i of one subgroup; all 0 where it is flat. Raises ConfigError for an estimator that gives another number of them."""
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
    """Whether a subgroup carries no signal: fewer than two members, or no variance."""
    return len(rewards) < 2 or statistics.stdev(rewards) <= 1e-6


def subgroups(episodes: Iterable[Episode]) -> list[list[Episode]]:
    """Episodes that are compared with each other: of one group, and of one of its halves; all in the order of their keys.

    One in which the actor said nothing is left out: it has nothing to learn from.
    """

    def half(episode: Episode) -> tuple[int, int, bool]:
        return episode.key.round, episode.key.group, episode.guided

    ordered = sorted((episode for episode in episodes if episode.turns), key=lambda one: (half(one), one.key))
    return [list(members) for _, members in itertools.groupby(ordered, key=half)]


def carries_signal(subgroup: Iterable[Episode]) -> bool:
    """Whether any of its episodes has an advantage."""
    return not is_flat([episode.reward for episode in subgroup])
