"""Scores: the paper's outcome reward, the public code's table row by row, and the rewards that ask for evidence."""

from dataclasses import replace

import pytest

from crl.learn.rewards import (
    Evidence,
    difference,
    effect,
    episode_credits,
    free_rates,
    outcome,
    probe,
    reference_table,
    takes_evidence,
)
from crl.types import AskUse, Completion, Episode, EpisodeKey, GateDecision, Guidance, Outcome, Task

TASK = Task("room/train/1", "room", "minihack", "Room-5x5", 1, 14)


def episode(
    success: bool, guidance: Guidance | None, asks: tuple[AskUse, ...] = (), reward: float | None = None
) -> Episode:
    ending = Outcome.SUCCESS if success else Outcome.TIMEOUT
    earned = float(success) if reward is None else reward
    return Episode(EpisodeKey(0, 0, 5), TASK, True, (), ending, earned, 3, guidance, asks)


def guidance(decision: GateDecision, shown: str | None, *entries: str) -> Guidance:
    return Guidance("q", decision, entries, retrieved=("text",) * len(entries), shown=shown)


def writers(entry_id: str) -> tuple[str, ...]:
    """Of the entry "ab" the completions a and b."""
    return tuple(entry_id)


def nothing_known(entry_id: str | None) -> Evidence:
    return Evidence(None, None)


def credits(played: Episode, reward, known=nothing_known) -> dict[str, float]:
    return episode_credits(played, reward, wrote=writers, known=known)


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
    played = episode(reward > 0, guidance(decision, "text", "a"), reward=reward)
    assert reference_table(played, asked=False) == score


@pytest.mark.parametrize(("success", "shown", "score"), [(True, True, 1.0), (False, True, 0.0), (True, False, None)])
def test_the_outcome_reward_needs_the_text_to_have_been_shown(success, shown, score):
    played = episode(success, guidance(GateDecision.ACCEPT, "text" if shown else None, "a"))
    assert outcome(played, asked=False) == score


def test_an_episode_that_rejected_the_text_gives_no_outcome_sample():
    rejected = episode(True, guidance(GateDecision.REJECT, None, "a"))
    assert credits(rejected, outcome) == {}
    assert credits(rejected, reference_table) == {"a": -1.0}


def test_a_completion_behind_two_retrieved_entries_is_credited_once_per_episode():
    shown = episode(True, guidance(GateDecision.ACCEPT, "text", "a", "ab"))
    assert credits(shown, outcome) == {"a": 1.0, "b": 1.0}


def test_an_ask_completion_earns_the_episodes_outcome():
    answer = Completion("ask-1", (1,), (2,), (-0.1,), "", "stop", 0)
    asked = (AskUse("q", ("e",), answer, "text"), AskUse("q", (), None, "nothing found"))
    assert credits(episode(False, None, asked), outcome) == {"ask-1": 0.0}
    assert credits(episode(False, None, asked), reference_table) == {"ask-1": -1.0}


def test_a_free_episode_credits_nobody():
    assert credits(episode(True, None), outcome) == {}


def test_each_completion_that_wrote_the_text_is_credited():
    shown = episode(True, guidance(GateDecision.OFF, "text", "abc"))
    assert credits(shown, outcome) == {"a": 1.0, "b": 1.0, "c": 1.0}


def test_a_completion_behind_two_entries_of_unlike_worth_earns_their_mean():
    beliefs = {"ab": 0.5, "bc": -0.25}
    shown = episode(True, guidance(GateDecision.OFF, "text", *beliefs))
    known = {name: Evidence(None, value) for name, value in beliefs.items()}
    assert credits(shown, effect, known.get) == {"a": 0.5, "b": 0.125, "c": -0.25}


@pytest.mark.parametrize(
    ("reward", "evidence", "won", "lost"),
    [
        (difference, Evidence(0.75, None), 0.25, -0.75),
        (difference, Evidence(None, 0.5), None, None),  # a free half that failures took away is no rate of 0
        (effect, Evidence(0.75, -0.25), -0.25, -0.25),
        (effect, Evidence(0.75, None), None, None),
        (probe, Evidence(None, None, 0.5), 0.5, -0.5),
        (probe, Evidence(None, None, -0.5), 1.5, 0.5),
        (probe, Evidence(None, None), 1.0, 0.0),
    ],
)
def test_rewards_with_evidence(reward, evidence, won, lost):
    seen, refused = guidance(GateDecision.ACCEPT, "text", "a"), guidance(GateDecision.REJECT, None, "a")
    assert reward(episode(True, seen), asked=False, evidence=evidence) == won
    assert reward(episode(False, seen), asked=False, evidence=evidence) == lost
    assert reward(episode(True, refused), asked=False, evidence=evidence) is None


def test_an_answer_is_known_by_its_group_alone():
    answer = Completion("ask-1", (1,), (2,), (-0.1,), "", "stop", 0)
    asking = episode(True, None, (AskUse("q", ("e",), answer, "text"),))

    def known(entry_id):
        assert entry_id is None
        return Evidence(0.25, None)

    assert credits(asking, difference, known) == {"ask-1": 0.75}
    assert credits(asking, effect, known) == {}


def test_a_reward_is_given_evidence_exactly_where_it_takes_it():
    assert [takes_evidence(reward) for reward in (outcome, reference_table, difference, effect, probe)] == [
        False, False, True, True, True,
    ]  # fmt: skip
    assert takes_evidence(lambda episode, **told: 0.0)


def test_free_rates_are_of_each_groups_free_half():
    free = replace(episode(True, None), guided=False)
    lost = replace(free, key=EpisodeKey(0, 0, 1), outcome=Outcome.TIMEOUT)
    elsewhere = replace(lost, key=EpisodeKey(0, 1, 0))
    only_guided = replace(episode(True, None), key=EpisodeKey(0, 2, 5))
    assert free_rates([free, lost, elsewhere, only_guided]) == {(0, 0): 0.5, (0, 1): 0.0}
