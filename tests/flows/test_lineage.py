"""What leads from a stage to what it read."""

import yaml

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
