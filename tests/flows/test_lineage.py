"""What leads from a stage to what it read."""

from dataclasses import replace

import yaml

from crl.config import from_mapping
from crl.config.compose import compose
from flows.stage import lineage


def locked(path: str, md5: str) -> dict:
    return {"cmd": "...", "outs": [{"path": path, "md5": md5}]}


def test_a_stage_of_the_teams_own_in_dvc_lock_stops_none_of_ours(tmp_path):
    stages = {
        "prepare@room": locked("data/tasks/room", "1.dir"),
        "export_to_warehouse": locked("warehouse", "2"),
        "filter": locked("data/mix", "3.dir"),
        "evaluate": locked("metrics/evaluate.json", "4"),
    }
    lock = tmp_path / "dvc.lock"
    lock.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    read = {"dvc.outs.data.tasks.room": "1.dir", "dvc.outs.data.mix": "3.dir"}
    assert lineage.dvc_inputs("co_evolve", lock) == read
    assert lineage.dvc_inputs("prepare@room", lock) == {}


def test_what_dvc_lock_keeps_of_an_entry_that_left_the_mix_was_not_read(tmp_path):
    stages = {f"prepare@{name}": locked(f"data/tasks/{name}", f"{name}.dir") for name in ("room", "maze")}
    lock = tmp_path / "dvc.lock"
    for mix in (["room", "maze"], ["room"]):
        entries = locked("data/entries.json", "4") | {
            "params": {"params.yaml": {"tasks.mix": {name: {} for name in mix}}}
        }
        lock.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages | {"entries": entries}}))
        assert lineage.dvc_inputs("co_evolve", lock) == {f"dvc.outs.data.tasks.{name}": f"{name}.dir" for name in mix}


def test_a_stage_of_the_teams_own_runs_and_is_recorded_between_ours(tmp_path):
    config, file = from_mapping(compose("quick")), tmp_path / "pipeline.json"
    ours = lineage.join(config, "filter", file)
    assert lineage.join(config, "export_to_warehouse", file).id == ours.id
    assert lineage.of_stage(config, "export_to_warehouse") is None
    assert lineage.dvc_inputs("export_to_warehouse", tmp_path / "dvc.lock") == {}
    replace(ours, finished=("filter", "export_to_warehouse")).save(file)
    assert lineage.join(config, "co_evolve", file).id == ours.id  # ours go on in the same pipeline run
    assert lineage.join(config, "export_to_warehouse", file).id != ours.id  # started again: the next one
