"""Sokoban through the text contract: task sets, outcomes, and what a model that reads is told."""

from itertools import islice

import pytest

from crl.envs.check import check_env
from crl.envs.contract import TextEnv
from crl.envs.family import TaskRequest
from crl.envs.registry import make_env
from crl.envs.sokoban.env import SokobanEnv
from crl.envs.sokoban.generator import canonical
from crl.errors import ConfigError, EnvError
from crl.types import Outcome
from tests.envs.sokoban_boards import images, shortest, task

STYLES = ("grid", "slots")
PLAIN = "WWWWWW\nWA...W\nW.B.GW\nW.B.GW\nW....W\nWWWWWW"


def request(count=200, level="6x6-2", split="train", max_steps=30, first_seed=0, source=None):
    return TaskRequest("sokoban", "sokoban", level, split, max_steps, count, first_seed, source)


def play(env, played, *actions):
    env.reset(played)
    return [env.step(action) for action in actions]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("level", SokobanEnv.levels)
def test_every_level_keeps_the_contract(level, style):
    tasks = list(SokobanEnv.task_set(request(4, level)))
    assert isinstance(make_env("sokoban", style), TextEnv)
    assert [finding for finding in check_env(lambda: make_env("sokoban", style), tasks) if not finding.ok] == []


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("split", ["train", "eval"])
def test_the_oracle_solves_every_task_in_the_recorded_number_of_moves(split, style):
    env, tasks = make_env("sokoban", style), list(SokobanEnv.task_set(request(200, split=split)))
    assert len(tasks) == 200
    for instance in tasks:
        actions = SokobanEnv.solution(instance)
        results = play(env, instance, *actions)
        assert len(actions) == instance.difficulty == shortest(instance.payload) <= instance.max_steps
        assert [result.outcome for result in results] == [None] * (len(results) - 1) + [Outcome.SUCCESS]
        assert sum(result.reward for result in results) == 1


def test_a_task_set_is_lazy_deterministic_and_without_repeats():
    first = list(islice(SokobanEnv.task_set(request(10**9)), 50))
    assert first == list(SokobanEnv.task_set(request(50)))
    assert len({canonical(instance.payload) for instance in first}) == 50
    assert {instance.goal for instance in first} == {"Push both boxes onto the two targets."}


def test_evaluation_boards_are_no_training_boards_even_from_the_same_seeds():
    train, held_out = (list(SokobanEnv.task_set(request(300, split=split))) for split in ("train", "eval"))
    assert {instance.payload for instance in train}.isdisjoint(
        image for instance in held_out for image in images(instance.payload)
    )


def test_only_boards_within_the_step_limit_are_yielded():
    lengths = {instance.difficulty for instance in SokobanEnv.task_set(request(60, max_steps=7))}
    assert lengths == {2, 3, 4, 5, 6, 7}


def test_a_small_level_ends_when_its_boards_are_exhausted():
    tasks = list(SokobanEnv.task_set(request(10**6, "5x5-1")))
    assert 100 < len(tasks) < 1000


@pytest.mark.parametrize("style", STYLES)
def test_the_seed_alone_gives_the_board_that_the_payload_holds(style):
    env = make_env("sokoban", style)
    for split in ("train", "eval"):
        for instance in SokobanEnv.task_set(request(20, split=split)):
            bare = task("6x6-2", instance.seed, split=split)
            assert env.reset(bare) == env.reset(instance)


def test_a_wall_or_a_stuck_box_costs_a_step_and_says_why():
    env = SokobanEnv()
    (wall,) = play(env, task(payload=PLAIN), "up")
    assert (wall.valid, wall.info["moved"]) == (True, False)
    assert wall.observation.text.startswith("Message: A wall is in the way (up): nothing moved.\nStep 1 of 30.")
    *_, boxes = play(env, task(payload=PLAIN), "right", "down")
    assert "The box in the way (down) has a box behind it: nothing moved.\nStep 2 of 30." in boxes.observation.text


def test_what_a_push_did_is_told():
    results = play(SokobanEnv(), task(payload=PLAIN), "down", "right", "right")
    messages = [result.observation.text.splitlines()[0] for result in results]
    assert messages == [
        "Message: You moved down.",
        "Message: You pushed a box right.",
        "Message: You pushed a box right onto a target.",
    ]
    assert results[-1].observation.text == (
        "Message: You pushed a box right onto a target.\n"
        "Step 3 of 30. Boxes on targets: 1 of 2.\n"
        "You: row 2 column 3. Boxes: row 2 column 4, row 3 column 2. Targets: row 2 column 4, row 3 column 4.\n"
        "Board:\nWWWWWW\nW....W\nW..ACW\nW.B.GW\nW....W\nWWWWWW\n"
        "Legend: W wall; . floor; G target; B box; C box on a target; A you\n"
        "Actions: up, down, left, right"
    )


def test_success_on_the_last_allowed_step_counts_and_one_step_later_does_not():
    instance = next(SokobanEnv.task_set(request(1)))
    actions = SokobanEnv.solution(instance)
    for limit, outcome in ((len(actions), Outcome.SUCCESS), (len(actions) - 1, Outcome.TIMEOUT)):
        limited = task("6x6-2", 0, limit, instance.payload)
        results = play(make_env("sokoban", "slots"), limited, *actions[:limit])
        assert results[-1].outcome is outcome
        assert results[-1].truncated == (outcome is Outcome.TIMEOUT)


def test_an_invalid_action_is_refused_with_feedback_and_costs_no_step():
    env = SokobanEnv()
    before = env.reset(task(payload=PLAIN)).text
    result = env.step("jump")
    assert (result.valid, result.done, result.reward) == (False, False, 0.0)
    assert result.observation.text == f"'jump' is not an action here; the world did not move.\n{before}"


def test_what_cannot_be_played_is_refused_with_a_remedy():
    env = SokobanEnv()
    with pytest.raises(EnvError, match=r"is not of level 7x7-2. Remedy"):
        env.reset(task("7x7-2", payload=PLAIN))
    with pytest.raises(EnvError, match=r"split = 'test'. Remedy: use one of train, eval"):
        env.reset(task(split="test"))
    with pytest.raises(EnvError, match=r"without a running episode. Remedy"):
        env.step("up")
    with pytest.raises(ConfigError, match=r"source = 'levels.txt': Sokoban generates its boards. Remedy"):
        next(SokobanEnv.task_set(request(source="levels.txt")))
    with pytest.raises(EnvError, match=r"cannot be solved. Remedy"):
        SokobanEnv.solution(task(payload=PLAIN.replace("WA..", "WB..").replace("W.B.G", "WA..G", 1)))


def test_the_manual_tells_rules_symbols_and_limit():
    manual = SokobanEnv().reset(task(payload=PLAIN, max_steps=17)).manual
    for part in ("You cannot pull a box", "C box on a target", "You have 17 steps."):
        assert part in manual
