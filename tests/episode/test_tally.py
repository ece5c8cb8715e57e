"""What people are told of episodes that are still played."""

import pytest

from crl.episode import many
from crl.episode.plan import EpisodeSpec
from crl.episode.tally import Standing, Tally, turns_left
from crl.models.chat import ChatFormat
from crl.types import Completion, Episode, EpisodeFailure, EpisodeKey, FailureCause, Outcome, Task, Turn, TurnKind
from tests.episode.test_rollout import always, config_for, episodes

TASK = Task("walk/1", "walk", "family", "level", 1, max_steps=10)


def spec(index: int, *, guided: bool = False) -> EpisodeSpec:
    return EpisodeSpec(EpisodeKey(0, 0, index), TASK, guided)


def turn(tokens: int = 3) -> Turn:
    said = Completion("id", (1,), (2,) * tokens, (0.0,) * tokens, "left", "stop", 0)
    return Turn(TurnKind.ACTION, "a corridor", said, "left")


def episode(index: int, outcome: Outcome, turns: int = 4, *, guided: bool = False) -> Episode:
    return Episode(EpisodeKey(0, 0, index), TASK, guided, (turn(),) * turns, outcome, 0.0, turns)


async def test_success_by_half_tokens_and_losses_are_those_of_the_episodes(chat: ChatFormat, monkeypatch) -> None:
    monkeypatch.setattr(many, "FIRST_PAUSE_S", 0.0)

    def words(key: str):
        return always("RAISE")(key) if key.endswith("e2") else always("right" if key.endswith("e0") else "left")(key)

    tally = Tally("round 0", [spec(index) for index in range(4)], None)
    ends, _ = await episodes(config_for(), chat, words, count=4, spectators=(tally,))
    now, played = tally.standing(), [end for end in ends if isinstance(end, Episode)]
    assert (now.planned, now.ended, now.lost, now.left_s) == (4, 4, 1, 0.0)
    assert now.success == {"free": 1 / 3}
    assert now.tokens == sum(len(turn.completion.token_ids) for end in played for turn in end.turns)
    assert str(now).startswith("success free 33%, ")
    assert str(now).endswith(" tokens/s, 1 lost")


def test_the_time_left_is_there_before_any_episode_has_ended_and_nothing_is_said_before_anything_moved() -> None:
    tally = Tally("round 0", [spec(index) for index in range(4)], None)
    for index in range(4):
        tally.began(spec(index), "goal", None)
    assert (tally.standing().left_s, str(tally.standing())) == (None, "")
    for index in range(4):
        tally.took(spec(index), turn())
    first = tally.standing()
    assert first.left_s == pytest.approx(9 * first.elapsed_s)  # one of at most ten turns each
    tally.ended(episode(0, Outcome.SUCCESS, turns=2))
    second = tally.standing()
    assert second.left_s == pytest.approx(21 / 4 * second.elapsed_s)  # three times a turn, and 8 more in 3 of 4 cases
    assert second.moved != first.moved


def test_an_episode_that_is_played_again_and_groups_that_are_added_count_once() -> None:
    tally = Tally("round 0", [spec(index) for index in range(2)], None)
    for outcome in (Outcome.TIMEOUT, Outcome.SUCCESS):  # its shard was lost after it had ended
        tally.began(spec(0, guided=True), "goal", None)
        tally.ended(episode(0, outcome, guided=True))
    tally.ended(EpisodeFailure(EpisodeKey(0, 0, 1), TASK, False, FailureCause.ENGINE, "gone", 3))
    tally.add([spec(index) for index in range(2, 5)])
    now = tally.standing()
    assert (now.ended, now.planned, now.lost, now.success) == (2, 5, 1, {"guided": 1.0})


def test_episodes_that_arrive_whole_from_elsewhere_count_with_their_turns_and_tokens() -> None:
    tally = Tally("round 0", [spec(index) for index in range(2)], None)
    tally.ended(episode(0, Outcome.SUCCESS))
    now: Standing = tally.standing()
    assert (now.ended, now.turns, now.tokens) == (1, 4, 12)
    assert now.left_s == pytest.approx(now.elapsed_s)  # one has ended, one is left


@pytest.mark.parametrize(
    ("lengths", "taken", "waiting", "left"),
    [
        ([], [], 3, 30.0),  # nothing is known: as long as they may
        ([4, 4], [], 3, 12.0),
        ([2], [5, 5, 5], 0, 15.0),  # whatever outlived the short one goes on, as far as anybody knows
        ([2, 10], [5], 0, 5.0),
        ([6, 6], [2], 0, 4.0),
        ([10], [10], 0, 0.0),
    ],
)
def test_the_turns_that_are_left_are_those_that_such_episodes_took(lengths, taken, waiting, left) -> None:
    assert turns_left(lengths, taken, waiting, most=10) == pytest.approx(left)


def test_tokens_are_those_that_the_engine_has_sampled_since_the_batch_began() -> None:
    class Engine:
        tokens = 100

    tally = Tally("round 0", [spec(0)], engine := Engine())
    engine.tokens = 350  # in the middle of a reply
    assert tally.standing().tokens == 250
    engine.tokens = 400
    tally.ended(episode(0, Outcome.SUCCESS))
    engine.tokens = 9000  # of what came after the batch
    assert tally.standing().tokens == 300
