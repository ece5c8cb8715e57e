"""The stages that prepare, try and filter tasks, on a Prefect server, with the gates behind them."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from crl.errors import DataError
from crl.evaluation.pass_rate import COLUMNS, KS, Attempt, table, timings
from crl.tasks.sets import SPLITS, UNAVAILABLE, TaskSets
from crl.types import Task
from flows.entries import WRITTEN, remove_left_over
from flows.filter import filter_flow
from flows.gates import GateFailed
from flows.pass_rate import publish
from flows.prepare import prepare_flow
from flows.stage.paths import ATTEMPT_TIMINGS, MIX, PASS_RATE, TASKS, metrics_of

TOY = {"family": "tests.envs.toy_envs:Corridor", "level": "plain", "max_steps": 6, "weight": 1.0}
ABSENT = TOY | {"family": "tests.envs.toy_envs:AbsentCorridor"}


def set_mix(tried: list[str] = (), **mix) -> list[str]:
    """Make params.yaml play these entries."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["tasks"] |= {"mix": mix, "train_levels": 20, "eval_levels": 3}
    params["pass_rate"]["tasks"] = list(tried)
    Path("params.yaml").write_text(yaml.safe_dump(params))
    return list(mix)


def rates_table(successes: dict[str, int]) -> pd.DataFrame:
    rows = []
    for task_id, c in successes.items():
        row = dict.fromkeys(COLUMNS, 0.0) | {"task_id": task_id, "name": task_id.partition("/")[0], "n": 16, "c": c}
        row |= {"rate": c / 16, "rate_low": c / 16, "rate_high": c / 16}
        for k in KS:
            row |= {f"pass_{k}{bound}": float(c > 0) if k > 1 else c / 16 for bound in ("", "_low", "_high")}
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


async def test_an_entry_that_this_machine_cannot_play_is_left_out_and_the_others_go_on(prefect_server, checkout, capfd):
    names = set_mix(walk=TOY, absent=ABSENT)
    await prepare_flow(Path("params.yaml"))
    rates_table({}).to_parquet(PASS_RATE)
    await filter_flow(Path("params.yaml"))
    sets = TaskSets.read(MIX, names)
    assert (list(sets.train), list(sets.unavailable)) == (["walk"], ["absent"])
    assert "absent is LEFT OUT" in capfd.readouterr().err
    table = json.loads(Path("metrics/filter.json").read_text())
    assert table["walk"]["train"] == 20
    assert "install it" in table["absent"]["left_out"]
    assert Path("data/docs/index.html").is_file()


async def test_other_bounds_filter_anew_and_play_nothing(prefect_server, checkout):
    names = set_mix(tried=["walk"], walk=TOY)
    await prepare_flow(Path("params.yaml"))
    ids = [task.id for task in TaskSets.read(TASKS, names).train["walk"]]
    rates_table({task_id: i % 17 for i, task_id in enumerate(ids)}).to_parquet(PASS_RATE)
    await filter_flow(Path("params.yaml"))
    assert len(TaskSets.read(MIX, names).train["walk"]) == 20 - 2 - 4  # c = 0 twice; c = 13, 14, 15, 16
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["filter"] = {"above": 0.9, "at_most": 1.0}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    await filter_flow(Path("params.yaml"))
    assert len(TaskSets.read(MIX, names).train["walk"]) == 2
    params["filter"] = {"above": 0.99, "at_most": 0.995}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(DataError, match=r"no task has a pass rate.*Remedy: widen"):
        await filter_flow(Path("params.yaml"))


async def test_a_task_set_that_is_not_what_it_must_be_stops_the_stage_that_made_it(prefect_server, checkout):
    set_mix(walk=TOY | {"family": "tests.envs.toy_envs:GoallessCorridor"})
    with pytest.raises(GateFailed, match=r"no goal is empty(.|\n)*Remedy: mend tasks\.mix\.walk"):
        await prepare_flow(Path("params.yaml"))


async def test_a_damaged_task_set_stops_the_pipeline_with_a_readable_message(prefect_server, checkout):
    names = set_mix(walk=TOY)
    await prepare_flow(Path("params.yaml"))
    rates_table({}).to_parquet(PASS_RATE)
    file = TASKS / names[0] / "train.parquet"
    frame = pd.read_parquet(file)
    frame.loc[3, "id"] = frame.loc[2, "id"]
    frame.to_parquet(file, index=False)
    with pytest.raises(GateFailed, match="no two tasks have the same id"):
        await filter_flow(Path("params.yaml"))


def test_who_tries_the_same_tasks_on_a_slower_machine_writes_the_same_tracked_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tasks = [Task(f"walk/train/{seed}", "walk", "toy", "plain", seed, 5) for seed in range(2)]
    written = []
    for seconds in (0.25, 2.0):
        tried = {task.id: [Attempt(task.id, i, i < 3, 4, 9, seconds) for i in range(16)] for task in tasks}
        publish(table(tasks, tried), timings(tasks, tried))
        written.append((PASS_RATE.read_bytes(), metrics_of("pass_rate").read_bytes()))
    assert written[0] == written[1]
    assert list(pd.read_csv(ATTEMPT_TIMINGS).seconds) == [32.0, 32.0]


def test_a_folder_of_ones_own_among_the_task_sets_is_named_and_nothing_is_removed(tmp_path):
    for file in ("room/train.parquet", "maze/eval.parquet", "swe/unavailable.txt", "swe/notes.md"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("rows")
    with pytest.raises(DataError, match=r"swe: neither an entry of tasks\.mix \(room\).*Remedy: move it out of"):
        remove_left_over(tmp_path, ["room"])
    assert {path.name for path in tmp_path.iterdir()} == {"room", "maze", "swe"}
    (tmp_path / "swe/notes.md").unlink()
    (tmp_path / ".gitignore").write_text("/room\n")  # DVC writes it where the checkout's own does not hide the outs
    assert remove_left_over(tmp_path, ["room"]) == ["maze", "swe"]
    assert {path.name for path in tmp_path.iterdir()} == {".gitignore", "room"}


def test_a_part_of_the_task_sets_is_not_taken_for_the_mix(tmp_path):
    with pytest.raises(
        DataError, match=r"no task set of room, maze, which tasks\.mix names\. Remedy: dvc pull prepare"
    ):
        remove_left_over(tmp_path / "tasks", ["room", "maze"])
    for name in ("room", "webshop"):
        (tmp_path / "tasks" / name).mkdir(parents=True)
    with pytest.raises(DataError, match="no task set of maze"):
        remove_left_over(tmp_path / "tasks", ["room", "maze"])
    assert (tmp_path / "tasks/webshop").is_dir()


def test_what_the_stage_entries_takes_for_a_task_set_is_what_prepare_writes():
    assert {UNAVAILABLE, *(f"{split}.parquet" for split in SPLITS)} == WRITTEN
