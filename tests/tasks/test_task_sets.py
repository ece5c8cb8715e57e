"""Task sets: what parameters ask for becomes tables, the same bytes each time, and comes back as the same tasks."""

import pytest

from crl.config import from_mapping
from crl.episode.plan import plan_round
from crl.errors import DataError
from crl.tasks.prepare import prepare
from crl.tasks.sets import TaskSets, TaskTable, instances, write
from crl.types import Task

TOY = {"family": "tests.envs.toy_envs:Corridor", "level": "plain", "max_steps": 6}


def config_of(**mix):
    tasks = {"mix": mix, "train_levels": 50, "eval_levels": 5, "eval_seed_start": 1000}
    roomy = {"context_tokens": 32768}
    return from_mapping(
        {"tasks": tasks, "envs": {"workers": 0, "call_timeout_s": 400}, "models": {"actor": roomy, "extractor": roomy}}
    )


def test_what_is_written_is_read_back_and_the_same_tasks_give_the_same_bytes(tmp_path):
    tasks = [
        Task("a/train/0", "a", "swe", "local", 0, 9, "train", '{"text": "é\\n"}', "mend it", 2.0),
        Task("a/train/1", "a", "swe", "local", 1, 9, "train"),
    ]
    for name in ("one", "other"):
        write(tasks, tmp_path / name)
    table = TaskTable(tmp_path / "one")
    assert list(table) == tasks
    assert table[-1] == tasks[-1]
    assert table[:1] == tasks[:1]
    with pytest.raises(IndexError):
        table[2]
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_prepared_tables_hold_what_generation_gives_and_plan_the_same_rounds(tmp_path):
    config = config_of(walk=TOY, stroll=TOY | {"train_levels": 7, "eval_levels": 2})
    for name in config.tasks.mix:
        prepare(config, name, tmp_path)
    written, made = TaskSets.read(tmp_path, config.tasks.mix), TaskSets.generate(config)
    assert {name: len(tasks) for name, tasks in written.train.items()} == {"walk": 50, "stroll": 7}
    assert [task.seed for task in written.held_out["stroll"]] == [1000, 1001]
    assert written.evaluation == made.evaluation
    assert plan_round(config, written, 3) == plan_round(config, made, 3)


def test_a_families_own_instances_stay_within_the_difficulty_that_is_asked_for():
    boards = {
        "family": "sokoban",
        "level": "6x6-2",
        "max_steps": 30,
        "train_levels": 8,
        "min_difficulty": 3,
        "max_difficulty": 6,
    }
    tasks = list(instances(config_of(push=boards), "push", "train"))
    assert len(tasks) == 8
    assert all(3 <= task.difficulty <= 6 for task in tasks)


def test_difficulty_that_a_family_does_not_know_cannot_be_filtered_by():
    config = config_of(walk=TOY | {"max_difficulty": 3})
    with pytest.raises(DataError, match="has no difficulty"):
        list(instances(config, "walk", "train"))


def test_what_this_machine_cannot_play_is_left_out_with_its_reason_and_nothing_to_play_is_an_error(tmp_path):
    out = {"family": "tests.envs.toy_envs:AbsentCorridor", "level": "plain", "max_steps": 6}
    config = config_of(walk=TOY, absent=out)
    assert prepare(config, "walk", tmp_path).unavailable is None
    assert "engine" in prepare(config, "absent", tmp_path).unavailable
    sets = TaskSets.read(tmp_path, config.tasks.mix)
    assert list(sets.train) == ["walk"]
    assert "engine" in sets.unavailable["absent"]
    assert {spec.task.name for spec in plan_round(config, sets, 0).specs} == {"walk"}
    with pytest.raises(DataError, match="no entry of the mix can be played"):
        TaskSets.read(tmp_path, ["absent"])


def test_an_instance_in_both_splits_is_refused(tmp_path):
    out = {"family": "tests.envs.toy_envs:LeakingCorridor", "level": "plain", "max_steps": 6}
    with pytest.raises(DataError, match="in both splits"):
        prepare(config_of(walk=out), "walk", tmp_path)
