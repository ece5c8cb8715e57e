"""ALFWorld's games: generated in the true format, or read from an original tree; all won by the oracle."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("fast_downward", reason="crl[alfworld] compiles C++ at install")

from crl.envs.alfworld.env import AlfWorldEnv
from crl.envs.alfworld.floorplans import floor_plan, scene_numbers
from crl.envs.alfworld.game import TASK_TYPES, from_payload, to_payload
from crl.envs.alfworld.generate import generate
from crl.envs.errors import EnvError
from crl.errors import DataError
from crl.types import Outcome
from tests.envs.alfworld_games import bare, request, write_trial


@pytest.fixture(scope="module")
def splits():
    return {split: list(AlfWorldEnv.task_set(request(12, split))) for split in ("train", "eval")}


@pytest.fixture(scope="module")
def grid():
    env = AlfWorldEnv()
    yield env
    env.close()


def test_a_task_set_holds_all_six_task_types_and_no_game_twice(splits):
    for tasks in splits.values():
        games = [from_payload(task.payload) for task in tasks]
        assert {game.task_type for game in games} == set(TASK_TYPES)
        assert len({game.problem for game in games}) == len(games)
        assert len({task.id for task in tasks}) == len(tasks)


def test_every_task_is_won_by_its_solution_in_as_many_steps_as_its_difficulty_says(splits, grid):
    for task in (*splits["train"], *splits["eval"]):
        observation = grid.reset(task)
        assert observation.goal == task.goal
        commands = AlfWorldEnv.solution(task)
        results = [grid.step(command) for command in commands]
        assert all(result.valid for result in results)
        assert results[-1].outcome is Outcome.SUCCESS
        assert results[-1].reward == 1.0
        assert task.difficulty == len(commands) <= task.max_steps


def test_training_and_evaluation_share_no_floor_plan(splits):
    scenes = {split: {from_payload(task.payload).scene for task in tasks} for split, tasks in splits.items()}
    assert not scenes["train"] & scenes["eval"]
    rooms = frozenset({"Kitchen", "LivingRoom", "Bedroom", "Bathroom"})
    train, held_out = (set(scene_numbers(split, rooms)) for split in ("train", "eval"))
    assert not train & held_out
    assert len(train | held_out) == 120


def test_a_task_set_is_the_same_every_time_and_a_shorter_one_is_its_beginning(splits):
    assert list(AlfWorldEnv.task_set(request(3))) == splits["train"][:3]


def test_a_payload_is_small(splits):
    assert max(len(task.payload) for task in splits["train"]) <= 15_000


def test_a_task_without_payload_plays_the_same_game(splits, grid):
    task = splits["train"][4]
    with_payload = grid.reset(task)
    assert grid.reset(replace(task, payload="")) == with_payload
    assert AlfWorldEnv.solution(replace(task, payload="")) == AlfWorldEnv.solution(task)


@pytest.mark.parametrize("level", TASK_TYPES)
def test_a_level_named_after_a_task_type_yields_it_alone(level):
    (task,) = AlfWorldEnv.task_set(request(1, level=level))
    assert from_payload(task.payload).task_type == level


def test_an_unknown_level_is_refused_by_name():
    with pytest.raises(EnvError, match=r"level = 'pick_nothing'.*Remedy: use generated or one of pick_and_place"):
        list(AlfWorldEnv.task_set(request(1, level="pick_nothing")))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**7), split=st.sampled_from(["train", "eval"]))
def test_any_seed_gives_a_game_that_is_not_won_at_its_start(seed, split):
    game = generate("generated", split, seed)
    assert game == generate("generated", split, seed)
    assert from_payload(to_payload(game)) == game
    problem = game.problem.lower()
    targets = re.findall(rf"\(objecttype ([^?]\S+) {game.target}type\)", problem)
    assert len(targets) >= (2 if game.task_type == "pick_two_obj_and_place" else 1)
    places = set(re.findall(rf"\(receptacletype ([^?]\S+) {game.place}type\)", problem))
    holders = dict(re.findall(r"\(inreceptacle (\S+) (\S+)\)", problem))
    assert all(holders[target] not in places for target in targets)
    assert bool(game.lamp) == (game.task_type == "look_at_obj_in_light")
    assert game.target in game.instruction
    assert (game.place or game.lamp) in game.instruction


@pytest.mark.parametrize("number", [1, 15, 206, 230, 301, 330, 401, 430])
def test_a_floor_plan_keeps_the_packages_receptacles_and_gives_every_thing_a_pose(number):
    plan = floor_plan(number)
    ids = [receptacle.id for receptacle in plan.receptacles]
    assert len(set(ids)) == len(ids)
    assert plan.start not in {receptacle.pose for receptacle in plan.receptacles}
    assert all(plan.places_for(kind) for kind in plan.movables)


@pytest.mark.parametrize("payload", ["", "x", "aGVsbG8=", to_payload(generate("generated", "train", 1))[:-8]])
def test_a_damaged_payload_is_a_data_error(payload):
    with pytest.raises(DataError, match="Remedy: prepare the task set again"):
        from_payload(payload)


# The original tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory, splits):
    """Six trials for training, two of them without game file, three for evaluation, and four that ALFWorld passes over."""
    root = tmp_path_factory.mktemp("json_2.1.1")
    games = [from_payload(task.payload) for task in splits["train"][:6]]
    for number, game in enumerate(games):
        write_trial(root / "train", number, game, tw_pddl=number > 1)
    for number, task in enumerate(splits["eval"][:3]):
        write_trial(root / "valid_unseen", number, from_payload(task.payload))
    write_trial(root / "valid_unseen", 7, games[0], solvable=False)
    write_trial(root / "valid_unseen" / "movable", 8, games[1])
    for number, change in ((9, {"object_sliced": True}), (10, {})):
        file = write_trial(root / "valid_unseen", number, games[2]) / "traj_data.json"
        trajectory = json.loads(file.read_text())
        trajectory["pddl_params"].update(change)
        trajectory["task_type"] = games[2].task_type if change else "pick_and_place_with_movable_recep"
        file.write_text(json.dumps(trajectory))
    return root


def test_an_original_tree_gives_its_playable_trials_by_split(tree, splits):
    for split, count in (("train", 6), ("eval", 3)):
        tasks = list(AlfWorldEnv.task_set(request(100, split, source=str(tree))))
        games = [from_payload(task.payload) for task in tasks]
        expected = [from_payload(task.payload) for task in splits[split][:count]]
        assert {game.problem for game in games} == {game.problem for game in expected}
        assert {(game.task_type, game.target, game.place) for game in games} == {
            (game.task_type, game.target, game.place) for game in expected
        }


def test_trials_of_an_original_tree_are_played_like_generated_ones(tree, splits, grid):
    originals = list(AlfWorldEnv.task_set(request(100, "eval", source=str(tree))))
    twins = {from_payload(task.payload).problem: task for task in splits["eval"][:3]}
    for task in originals:
        twin = twins[from_payload(task.payload).problem]
        assert grid.reset(task).text == grid.reset(twin).text
        assert AlfWorldEnv.solution(task) == AlfWorldEnv.solution(twin)


def test_the_count_and_the_level_limit_what_is_read(tree):
    assert len(list(AlfWorldEnv.task_set(request(2, source=str(tree))))) == 2
    (task,) = AlfWorldEnv.task_set(request(9, source=str(tree), level="pick_two_obj_and_place"))
    assert from_payload(task.payload).task_type == "pick_two_obj_and_place"


def test_a_trial_with_another_grammar_is_played_in_its_own_words(tmp_path, splits, grid):
    game = from_payload(splits["train"][0].payload)
    trial = write_trial(tmp_path / "train", 0, game)
    file = json.loads((trial / "game.tw-pddl").read_text())
    file["grammar"] = file["grammar"].replace("move {o} to {r}", "put {o} in/on {r}")
    (trial / "game.tw-pddl").write_text(json.dumps(file))
    (task,) = AlfWorldEnv.task_set(request(1, source=str(tmp_path)))
    commands = AlfWorldEnv.solution(task)
    assert commands[-1].startswith("put ")
    assert " in/on " in commands[-1]
    grid.reset(task)
    assert [grid.step(command) for command in commands][-1].outcome is Outcome.SUCCESS


def test_an_unwinnable_trial_is_left_out_and_named(tmp_path, splits, caplog):
    games = [from_payload(task.payload) for task in splits["train"][:2]]
    write_trial(tmp_path / "train", 0, games[0])
    write_trial(tmp_path / "train", 1, replace(games[1], problem=re.sub(r"\(pickupable \S+\)", "", games[1].problem)))
    tasks = list(AlfWorldEnv.task_set(request(5, source=str(tmp_path))))
    assert [from_payload(task.payload).problem for task in tasks] == [games[0].problem]
    assert "trial_T2019_1: neither the oracle nor its own walkthrough wins it in 30 steps; left out" in caplog.text


def test_a_folder_that_is_no_original_tree_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no folder train\. Remedy: give the folder json_2\.1\.1"):
        list(AlfWorldEnv.task_set(request(1, source=str(tmp_path))))
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"no traj_data\.json below"):
        list(AlfWorldEnv.task_set(request(1, source=str(tmp_path))))


def test_bare_tasks_of_each_type_have_an_oracle():
    for seed in range(6):
        assert AlfWorldEnv.solution(bare(seed))
