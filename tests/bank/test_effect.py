"""The measured effect counts what was retrieved, not what was accepted."""

import pytest

from crl.bank.effect import Belief, EntryEffect, Use, uses_of
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


def test_harm_is_the_probability_of_a_negative_effect():
    assert Belief(0.0, 0.1).harm == pytest.approx(0.5)
    assert Belief(-0.196, 0.1).harm == pytest.approx(0.975, abs=1e-3)
    assert str(EntryEffect(-0.44, -0.6, -0.28, 0.08, 90, 120)) == "-0.44 [-0.60, -0.28]"
