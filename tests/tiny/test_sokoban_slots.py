"""The short sentence keeps its word, and the scripted skills that read it are as good or bad as they are meant."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.envs.family import TaskRequest
from crl.envs.sokoban.board import ACTIONS
from crl.envs.sokoban.env import SokobanEnv
from crl.envs.sokoban.generator import generate
from crl.errors import ConfigError, EnvError
from crl.seeding import stream
from crl.tiny.scripts.script import parse
from crl.tiny.scripts.sokoban import script
from crl.tiny.slots.sokoban import SIDES, SokobanSlots, describe, words
from crl.types import Outcome
from tests.envs.sokoban_boards import board, random_play, things

POSITIONS = st.tuples(
    st.sampled_from(["6x6-1", "6x6-2", "7x7-2", "6x6-3"]), st.integers(0, 10**6), st.integers(0, 40)
).map(lambda drawn: random_play(generate(drawn[0], drawn[1], "train"), drawn[1], drawn[2] + 1)[-1][0])


@settings(max_examples=150, deadline=None)
@given(before=POSITIONS)
def test_each_neighbours_mark_says_what_moving_there_does(before):
    said = parse(describe(before, still=False))
    for side, action in SIDES.items():
        after, mark = before.after(action), said[side]
        pushed = after.boxes != before.boxes
        assert (after is before) == (mark in ("wall", "blocked"))
        assert pushed == (mark in ("home", "near", "away", "corner"))
        if mark == "home":
            assert after.placed == before.placed + 1
        if mark in ("near", "away"):
            assert (_distance(after) < _distance(before)) == (mark == "near")
        if mark == "goal":
            assert after.targets >> after.player & 1
        assert ("lost" in parse(describe(after, still=False))) == ("lost" in said or mark == "corner")


def _distance(position) -> int:
    """Rows and columns from boxes to targets, by linear assignment."""
    from scipy.optimize import linear_sum_assignment

    _, targets, boxes, _ = things(str(position))
    cost = np.abs(np.array(sorted(boxes))[:, None] - np.array(sorted(targets))[None]).sum(-1)
    return int(cost[linear_sum_assignment(cost)].sum())


@pytest.mark.parametrize(("word", "marks"), [("spot", {"home", "near"}), ("box", {"home", "near", "away", "corner"})])
@settings(max_examples=100, deadline=None)
@given(start=POSITIONS)
def test_following_a_walk_word_arrives_without_pushing(word, marks, start):
    position = start
    for _ in range(start.width * start.height):
        said = parse(describe(position, still=False))
        if said[word] not in ACTIONS:
            break
        position = position.after(said[word])
        assert position.boxes == start.boxes
    assert said[word] in ("here", "none")
    if said[word] == "here":
        assert marks & {said[side] for side in SIDES}
    else:
        assert position == start


def test_the_sentence_of_a_known_position():
    start = board("WWWWWW", "WG...W", "WB.B.W", "WAG..W", "W..WWW", "WWWWWW")
    assert describe(start, still=False) == "u:home d:floor l:wall r:goal box:here spot:here done:0"
    after = start.after("up")
    assert describe(after, still=True) == "u:blocked d:floor l:wall r:floor box:right spot:right done:1 still"
    cornered = board("WWWWWW", "W.A.BW", "W..B.W", "W.GG.W", "W....W", "WWWWWW")
    assert describe(cornered, still=False).split()[-1] == "lost"


@settings(max_examples=100, deadline=None)
@given(position=POSITIONS, still=st.booleans())
def test_every_sentence_is_short_and_of_known_words(position, still):
    sentence = describe(position, still).split()
    assert len(sentence) <= 9
    assert set(sentence) <= set(words())


@pytest.fixture(scope="module")
def success():
    """Skill -> share of 150 held-out boards that it solves in 30 steps, of those with solutions of up to 6 moves."""
    request = TaskRequest("sokoban", "sokoban", "6x6-2-max6", "eval", 30, 150, 10**6)
    tasks, played = list(SokobanEnv.task_set(request)), script("6x6-2-max6")
    return {skill: np.mean([_wins(played, skill, instance) for instance in tasks]) for skill in played.phrases}


def _wins(played, skill, instance) -> bool:
    env = SokobanSlots(SokobanEnv())
    observation = env.reset(instance)
    policy = played.strategies([skill])[0].start(stream("skill", instance.seed))
    while True:
        result = env.step(policy.act(observation.text))
        assert result.valid
        observation = result.observation
        if result.done:
            return result.outcome is Outcome.SUCCESS


def test_good_skills_solve_short_boards_and_harmful_ones_do_not(success):
    assert success["plan"] > 0.9
    assert success["plan"] > success["goalward"] + 0.1 > success["careful"] + 0.1
    assert max(success["corners"], success["hands_off"]) < 0.05


def test_spontaneous_play_is_mediocre(success):
    assert all(0.15 <= success[skill] <= 0.5 for skill in script("6x6-2").spontaneous)


def test_advice_is_a_short_phrase_of_its_own_per_skill():
    played = script("6x6-2")
    phrases = [strategy.advice for strategy in played.strategies(list(played.phrases))]
    assert len(set(phrases)) == len(phrases) == 8
    assert all(3 <= len(phrase.split()) <= 7 for phrase in phrases)
    with pytest.raises(ConfigError, match="choose from plan"):
        played.strategies(["teleport"])


def test_the_script_knows_the_words_of_goal_and_actions():
    played, env = script("6x6-2"), SokobanSlots(SokobanEnv())
    first = env.reset(next(SokobanEnv.task_set(TaskRequest("s", "sokoban", "6x6-2", "train", 30, 1, 0))))
    assert first.goal in played.goals
    assert played.actions == first.actions
    assert {*first.goal.split(), *first.actions, *first.text.split()} <= set(played.words)
    with pytest.raises(EnvError, match="no such Sokoban level"):
        script("chess")
