"""The measured effect is unbiased, its interval covers, and it counts what was retrieved, not what was accepted."""

import numpy as np
import pytest

from crl.bank.effect import Use, estimate, uses_of
from crl.seeding import stream
from crl.types import Episode, EpisodeKey, GateDecision, Guidance, Outcome, Task

TASK = Task("maze/train/1", "maze", "minihack", "MiniHack-MazeWalk-9x9-v0", 1, 30)


def episode(group, index, success, *, entry_ids=None, decision=GateDecision.ACCEPT):
    guidance = None if entry_ids is None else Guidance("q", decision, entry_ids=entry_ids)
    outcome = Outcome.SUCCESS if success else Outcome.TIMEOUT
    return Episode(EpisodeKey(3, group, index), TASK, index >= 2, (), outcome, float(success), 5, guidance)


def test_uses_count_every_retrieval_of_a_group_against_all_its_free_episodes():
    episodes = [
        episode(0, 0, True), episode(0, 1, False),
        episode(0, 2, True, entry_ids=("a",)),
        episode(0, 3, False, entry_ids=("a", "b"), decision=GateDecision.REJECT),
        episode(1, 2, True, entry_ids=("a",)),  # its free half was lost to failures: no control, no row
        episode(2, 0, False), episode(2, 2, True, entry_ids=()),
    ]  # fmt: skip
    assert uses_of(reversed(episodes)) == (Use("a", 3, 0, 2, 1, 2, 1), Use("b", 3, 0, 1, 0, 2, 1))


def test_one_group_has_a_mean_and_no_interval():
    effect = estimate([Use("a", 0, 0, 4, 3, 4, 1)])
    assert (effect.mean, effect.low, effect.high, effect.groups, effect.episodes) == (0.5, None, None, 1, 4)
    assert estimate([]) is None


def test_groups_that_all_agree_are_few_not_certain():
    effect = estimate([Use("a", 0, group, 2, 2, 2, 0) for group in range(3)])
    assert effect.mean == 1.0
    assert effect.low < 0.9
    assert effect.shrunk < 0.5


def test_equal_weights_give_the_textbook_t_interval():
    uses = [Use("a", 0, g, 4, s, 4, f) for g, (s, f) in enumerate([(4, 1), (2, 2), (3, 1), (1, 2), (4, 0)])]
    differences = np.array([use.difference for use in uses])
    half = 2.7764451 * differences.std(ddof=1) / np.sqrt(5)  # t quantile .975 at 4 degrees of freedom
    effect = estimate(uses)
    assert (effect.mean, effect.low, effect.high) == pytest.approx(
        (differences.mean(), differences.mean() - half, min(1, differences.mean() + half))
    )


@pytest.mark.parametrize("groups", [5, 12, 40])
def test_the_estimate_is_unbiased_and_its_interval_covers(groups):
    """Levels differ in difficulty, arms share it, guided counts vary as with several entries per group."""
    rng = stream(7, "effect-coverage", groups)
    trials, effect, means, covered = 3000, 0.2, [], 0
    for _ in range(trials):
        base = rng.uniform(0.1, 0.7, groups)
        guided = rng.integers(1, 5, groups)
        wins, control = rng.binomial(guided, base + effect), rng.binomial(4, base)
        found = estimate([Use("a", 0, g, int(guided[g]), int(wins[g]), 4, int(control[g])) for g in range(groups)])
        means.append(found.mean)
        covered += found.low <= effect <= found.high
    error = np.std(means) / np.sqrt(trials)
    assert np.mean(means) == pytest.approx(effect, abs=4 * error)
    assert 0.93 <= covered / trials <= 0.98
