"""Scores: the paper's outcome reward and the public code's table, row by row."""

import pytest

from crl.learn.rewards import episode_credits, outcome, reference_table
from crl.types import AskUse, Completion, Episode, EpisodeKey, GateDecision, Guidance, Outcome, Task

TASK = Task("room/train/1", "room", "minihack", "Room-5x5", 1, 14)


def episode(
    success: bool, guidance: Guidance | None, asks: tuple[AskUse, ...] = (), reward: float | None = None
) -> Episode:
    ending = Outcome.SUCCESS if success else Outcome.TIMEOUT
    earned = float(success) if reward is None else reward
    return Episode(EpisodeKey(0, 0, 5), TASK, True, (), ending, earned, 3, guidance, asks)


def guidance(decision: GateDecision, shown: str | None, *entry_ids: str) -> Guidance:
    return Guidance("q", decision, entry_ids, ("text",) * len(entry_ids), shown)


WROTE = {"e1": ("a",), "e2": ("a", "b"), "e3": ("c", "c")}


def credits(played: Episode, reward) -> dict[str, float]:
    return episode_credits(played, reward, wrote=WROTE.__getitem__)


@pytest.mark.parametrize(
    ("decision", "reward", "score"),
    [
        (GateDecision.OFF, 1.0, 1.0),
        (GateDecision.OFF, 0.0, -1.0),
        (GateDecision.OFF, -1.0, -1.0),
        (GateDecision.ACCEPT, 1.0, 2.0),
        (GateDecision.ACCEPT, 0.0, 1.0),
        (GateDecision.ACCEPT, -1.0, -1.0),
        (GateDecision.REFINE, 1.0, 0.5),
        (GateDecision.REFINE, 0.0, 0.5),
        (GateDecision.REJECT, 1.0, -1.0),
        (GateDecision.REJECT, 0.0, -1.0),
        (GateDecision.UNPARSABLE, 1.0, 1.0),
        (GateDecision.UNPARSABLE, 0.0, -1.0),
        (GateDecision.OFF, 0.5, 0.5),
        (GateDecision.EMPTY, 1.0, None),
        (GateDecision.TOO_LONG, 1.0, None),
    ],
)
def test_the_reference_table_is_the_methods_section_2_2(decision, reward, score):
    played = episode(reward > 0, guidance(decision, "text", "e1"), reward=reward)
    assert reference_table(played, asked=False) == score


@pytest.mark.parametrize(("success", "shown", "score"), [(True, True, 1.0), (False, True, 0.0), (True, False, None)])
def test_the_outcome_reward_needs_the_text_to_have_been_shown(success, shown, score):
    played = episode(success, guidance(GateDecision.ACCEPT, "text" if shown else None, "e1"))
    assert outcome(played, asked=False) == score


def test_an_episode_that_rejected_the_text_gives_no_outcome_sample():
    rejected = episode(True, guidance(GateDecision.REJECT, None, "e1"))
    assert credits(rejected, outcome) == {}
    assert credits(rejected, reference_table) == {"a": -1.0}


def test_all_who_wrote_a_retrieved_entry_are_credited_and_each_once_per_episode():
    shown = episode(True, guidance(GateDecision.ACCEPT, "text", "e1", "e2", "e3"))
    assert credits(shown, outcome) == {"a": 1.0, "b": 1.0, "c": 1.0}


def test_an_ask_completion_earns_the_episodes_outcome():
    answer = Completion("ask-1", (1,), (2,), (-0.1,), "", "stop", 0)
    asked = (AskUse("q", ("e",), answer, "text"), AskUse("q", (), None, "nothing found"))
    assert credits(episode(False, None, asked), outcome) == {"ask-1": 0.0}
    assert credits(episode(False, None, asked), reference_table) == {"ask-1": -1.0}


def test_a_free_episode_credits_nobody():
    assert credits(episode(True, None), outcome) == {}
