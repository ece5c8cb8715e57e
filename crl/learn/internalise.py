"""What experience taught, trained into the weights: guided successes once more, without the experience in their prompt.

The paper (arXiv 2603.17621) trains an episode in the context in which it was sampled; what its advice did for it stays in
the advice. Here the same tokens are also trained in the context of a free episode: context distillation (C. Snell,
D. Klein, R. Zhong, "Learning by distilling context", arXiv 2209.15189) of the episodes that earned it.

The recorded log-probs belong to the prompt with the experience. Used as behaviour of the other context, their ratios would
be small exactly where advice changed what was said, and would train least what there is to learn. The estimator
needs none: self-imitation (J. Oh, Y. Guo, S. Singh, H. Lee, arXiv 1806.05635, eq. 2),

    -log pi(a_t | s_t without the experience) * (R - V(s))+

a regression on what did better than the policy by itself, wherever it was sampled; V(s) is the mean reward of the free
half of the same group, which played the same instance with the same weights. It is no policy gradient: it
moves towards what guided episodes said, not to where the free policy's own return grows.
"""

import statistics
from collections.abc import Sequence

from crl.learn.sequences import WeightedSequence, sequence_without_experience
from crl.types import Episode


def internalised(subgroups: Sequence[Sequence[Episode]], weight: float) -> tuple[WeightedSequence, ...]:
    """Guided successes without their experience, each with `weight` times what it earned above its group's free half.

    Left out: episodes to which nothing was shown (their prompt is a free one's), those that asked (later prompts hold
    the answers), those that earned no more than the free half, and groups that lost theirs to failures.
    """
    free = {_group(members[0]): _mean_reward(members) for members in subgroups if not members[0].guided}
    return tuple(
        WeightedSequence(sequence_without_experience(episode), weight * (episode.reward - free[_group(episode)]))
        for members in subgroups
        for episode in members
        if episode.success and episode.opening_without_experience and not episode.asks
        if episode.reward > free.get(_group(episode), episode.reward)
    )


def _group(episode: Episode) -> tuple[int, int]:
    return episode.key.round, episode.key.group


def _mean_reward(episodes: Sequence[Episode]) -> float:
    return statistics.fmean(episode.reward for episode in episodes)
