"""Further groups for a round whose subgroups are flat (`rollout.refill`).

A subgroup that always succeeds or always fails has no advantage: its episodes cost steps and teach the actor nothing.
Sampling on until enough of a batch carries signal is DAPO's dynamic sampling (Q. Yu et al., arXiv 2503.14476, 3.2); here
whole groups are added and the flat ones are kept, since the extractor, the bank and the free half's rate learn from them.
"""

import math
from collections.abc import Iterable

from crl.config.rollout import LEAST_HALF, RolloutConfig
from crl.learn.advantages import carries_signal, subgroups
from crl.types import Episode


def further_groups(rollout: RolloutConfig, played: int, episodes: Iterable[Episode]) -> int:
    """How many groups to add after `played` ones with these finished episodes; 0: enough signal, or none left of the budget.

    As many as are expected to bring what is missing at this round's own rate, so that two waves are rare: each waits
    for its longest episode.
    """
    left = rollout.most_groups - played
    with_signal = sum(carries_signal(subgroup) for subgroup in subgroups(episodes))
    missing = wanted_subgroups(rollout) - with_signal
    if missing <= 0 or left <= 0:
        return 0
    return min(left, math.ceil(missing * played / max(with_signal, 1)))


def wanted_subgroups(rollout: RolloutConfig) -> int:
    """Of a round's planned subgroups, those that can carry signal, the share that `refill.signal` names."""
    halves = (rollout.free_per_group, rollout.guided_per_group)
    planned = rollout.groups * sum(size >= LEAST_HALF for size in halves)
    return math.ceil(planned * rollout.refill.signal - 1e-9)  # 0.55 of 20 are 11, not 12
