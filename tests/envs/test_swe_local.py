"""The local task set: deterministic, disjoint, and truly broken: every verdict comes from running the tests."""

import hashlib
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crl.envs.swe.env import SweEnv
from crl.envs.swe.grading import Grade, grade, judge, run_tests
from crl.envs.swe.instances import Instance, from_payload
from crl.envs.swe.local.diffs import edited, patch
from crl.envs.swe.local.repositories import instances
from crl.envs.swe.local.repositories import main as generate
from crl.envs.swe.sources import split_of
from crl.envs.swe.workspace import Workspace
from crl.errors import ConfigError, DataError
from tests.envs.swe_tasks import CONFIG, demand_engine, local_instance, local_tasks, request

DIGEST = "89e2a98fd9106860"  # of the generated file; changes with the table on purpose only


def test_there_are_28_repositories_and_none_is_in_both_splits():
    train, held_out = ({instance.repo for instance in instances(split)} for split in ("train", "eval"))
    assert (len(train), len(held_out), train & held_out) == (20, 8, set())
    assert set(Counter(instance.difficulty for instance in instances())) == {1.0, 2.0, 3.0, 4.0}


def test_the_generator_writes_the_same_bytes_everywhere(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["generate", str(tmp_path / "local.jsonl")])
    generate()
    assert hashlib.sha256((tmp_path / "local.jsonl").read_bytes()).hexdigest()[: len(DIGEST)] == DIGEST


def test_tasks_carry_their_whole_instance():
    for split in ("train", "eval"):
        tasks = local_tasks(split)
        assert [from_payload(task.payload) for task in tasks] == list(instances(split))
        assert max(len(task.payload) for task in tasks) < 30_000
        assert all(task.goal and task.difficulty for task in tasks)
    assert len(list(SweEnv.task_set(request("train", count=3)))) == 3


def test_a_large_payload_is_stored_compressed():
    big = local_instance("lrucache").model_copy(update={"problem_statement": "word " * 10_000})
    assert len(big.payload()) < 10_000
    assert from_payload(big.payload()) == big


def test_nothing_of_the_repair_or_the_hidden_tests_is_in_the_repository():
    for instance in instances():
        text = "\n".join(instance.files.values())
        names = {name.rpartition("::")[2].partition("[")[0] for name in instance.fail_to_pass}
        assert not any(name in text for name in names)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_a_users_file_gives_disjoint_splits(tmp_path, suffix):
    rows = [instance.row() | {"image": "example@sha256:0"} for instance in instances()]
    for row in rows:
        del row["files"], row["candidates"]
        row["FAIL_TO_PASS"] = json.dumps(row["FAIL_TO_PASS"])  # as on the hub
    file = tmp_path / f"data{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        file.write_text("\n".join(map(json.dumps, rows)) if suffix == ".jsonl" else json.dumps(rows))
    found = {
        split: [
            from_payload(task.payload) for task in SweEnv.task_set(request(split, level="verified", source=str(file)))
        ]
        for split in ("train", "eval")
    }
    assert sum(map(len, found.values())) == 28
    assert all(split_of(instance.id) == split for split, some in found.items() for instance in some)
    assert found["eval"][0].fail_to_pass == local_instance(found["eval"][0].repo.split("/")[1]).fail_to_pass


def test_data_of_an_older_format_names_what_is_missing(tmp_path):
    row = local_instance("lrucache").row()
    del row["eval_script"], row["image"], row["files"]
    (tmp_path / "old.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError, match="no image, eval_script"):
        list(SweEnv.task_set(request(source=str(tmp_path / "old.jsonl"))))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("log_parser", "parse_log_of_ours"),
        ("eval_type", "some"),
        ("FAIL_TO_PASS", []),  # any patch would resolve it
        ("PASS_TO_PASS", ["tests/test_x.py::test_x[a\nb]"]),  # pytest prints it escaped
        ("FAIL_TO_PASS", ["tests/test_x.py::test_x[a b] "]),
    ],
)
def test_an_instance_that_no_grading_could_judge_is_refused_when_it_is_read(tmp_path, field, value):
    (tmp_path / "one.jsonl").write_text(json.dumps(local_instance("lrucache").row() | {field: value}))
    shown = value[0] if isinstance(value, list) and value else value
    told = re.escape(f"'local__lrucache-1': {field} = {shown!r}")
    with pytest.raises(DataError, match=rf"{told} cannot be graded\. Remedy: "):
        list(SweEnv.task_set(request(source=str(tmp_path / "one.jsonl"))))


def test_a_missing_file_and_a_level_without_data_are_told():
    with pytest.raises(DataError, match="no such file"):
        list(SweEnv.task_set(request(source="nowhere.parquet")))
    with pytest.raises(ConfigError, match="needs source"):
        list(SweEnv.task_set(request(level="verified")))


def test_an_instance_whose_repair_our_rules_refuse_is_left_out(tmp_path):
    row = local_instance("lrucache").row()
    row["patch"] = row["patch"].replace("lrucache.py", "setup.cfg")
    plain = local_instance("roman").row()
    file = tmp_path / "data.jsonl"
    file.write_text(json.dumps(row) + "\n" + json.dumps(plain))
    splits = {split_of(row["instance_id"]), split_of(plain["instance_id"])}
    found = []
    for split in splits:
        try:
            found += SweEnv.task_set(request(split, source=str(file)))
        except DataError:
            continue
    assert [from_payload(task.payload).repo for task in found] == ["local/roman"]


@pytest.mark.slow
def test_every_repair_resolves_in_a_fresh_container():
    demand_engine()
    with ThreadPoolExecutor(2) as threads:
        grades = list(threads.map(lambda instance: (instance.id, grade(instance, instance.patch, CONFIG)), instances()))
    assert [(name, verdict) for name, verdict in grades if not verdict.resolved] == []
    assert all(verdict.score == 1.0 for _, verdict in grades)


@pytest.mark.slow
def test_every_repository_is_broken_as_it_says_and_no_wrong_edit_repairs_it():
    demand_engine()
    with ThreadPoolExecutor(2) as threads:
        faults = [fault for faults in threads.map(_faults, instances()) for fault in faults]
    assert faults == []


def _faults(instance: Instance) -> list[str]:
    workspace = Workspace(CONFIG, instance)
    try:
        base = _played(workspace, instance)
        found = [] if base == Grade(False, 0.0, _broken(instance)) else [f"{instance.id} base: {base.reason}"]
        for number, wrong in enumerate(instance.candidates[1:], start=1):
            workspace.apply(patch(instance.files, edited(instance.files, wrong)))
            if _played(workspace, instance).resolved:
                found.append(f"{instance.id}: wrong edit {number} repairs it")
            workspace.restore()
        return found
    finally:
        workspace.close()


def _played(workspace: Workspace, instance: Instance) -> Grade:
    return judge(instance, "in place", run_tests(workspace.sandbox, instance, CONFIG))


def _broken(instance: Instance) -> str:
    return f"0 of {len(instance.fail_to_pass)} failing tests pass now, 0 passing ones fail."
