"""Whatever happens to MLflow: no record is lost, none stops those behind it, and what waits or was refused is told."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from crl.errors import DataError
from flows.tracking import database, recording
from flows.tracking.recording import SPOOL, Tracker, tracking_uri
from flows.tracking.records import Record
from flows.tracking.spool import Journal, journals, refused_file
from flows.tracking.stage_record import StageRecord
from tests.flows.probes import create_run, drained, log_batch, runs


def refusals() -> list[str]:
    return [json.loads(line)["reason"] for line in refused_file(SPOOL).read_text().splitlines()]


@pytest.mark.parametrize("what", ["experiment", "run"])
def test_records_for_what_was_deleted_in_mlflow_bring_it_back_and_none_is_refused(checkout, caplog, what):
    tracker = Tracker()
    tracker.add(create_run("k", "probe"))
    assert tracker.delivered(300, 30)
    client, [run] = mlflow.MlflowClient(tracking_uri()), runs("probe")
    if what == "experiment":
        client.delete_experiment(run.info.experiment_id)
    else:
        client.delete_run(run.info.run_id)
    tracker.add(log_batch("2", metrics=[["a", 1.0, 1, 0]]))
    assert tracker.close(300) == 0
    [again] = runs("probe")
    assert (again.info.run_id, again.data.metrics) == (run.info.run_id, {"a": 1.0})
    assert not refused_file(SPOOL).exists()
    assert "was deleted in MLflow: restored" in caplog.text


def test_what_was_refused_is_told_and_delivered_with_its_files_once_its_reason_is_mended(checkout, capsys):
    blocked = checkout / "blocked"
    blocked.write_text("a file where a folder must be made")
    mlflow.MlflowClient(tracking_uri()).create_experiment("crl", str(blocked / "artifacts"))
    tracker = Tracker()
    record = StageRecord(tracker, "k")
    record.open("probe", 1, {"crl.stage": "probe"})
    record.file(Path("params.yaml"), "plots")
    record.metrics({"a": 1.0})
    assert tracker.close(300) == 0
    [run] = runs("probe")
    assert run.data.metrics == {"a": 1.0}
    [reason] = refusals()
    assert f"Not a directory: '{blocked}" in reason
    assert (
        "MLflow refused 1 records: why, is in runs/spool/refused.jsonl. Remedy: mend it, then "
        in capsys.readouterr().err
    )

    assert recording.main(["drain", "--refused"]) == 0  # not mended yet
    assert f"Not a directory: '{blocked}" in refusals()[0]
    blocked.unlink()
    assert recording.main(["drain", "--refused"]) == 0
    kept = mlflow.MlflowClient(tracking_uri()).download_artifacts(run.info.run_id, "plots/params.yaml")
    assert Path(kept).read_text() == Path("params.yaml").read_text()
    assert not refused_file(SPOOL).exists()
    assert not list(SPOOL.glob("*.files/*"))


def test_an_error_that_nobody_thought_of_sets_its_record_aside_with_its_files_and_ends_no_delivery(checkout):
    Path("model").mkdir()
    Path("model/config.json").write_text("{}")
    tracker = Tracker()
    tracker.add(create_run("k", "probe"))
    model = {"place": "models", "alias": "candidate", "tags": {}, "serving": {"artifacts": {}}, "keep": 0, "step": 0}
    StageRecord(tracker, "k").model("an id", "crl-actor", Path("model"), **model)
    tracker.add(log_batch("3", metrics=[["a", 1.0, 1, 0]]))
    assert tracker.close(300) == 0
    assert runs("probe")[0].data.metrics == {"a": 1.0}
    [reason] = refusals()
    assert reason.endswith("KeyError: 'code'")
    assert len(list(SPOOL.glob("refused.files/*/model/config.json"))) == 1


TORN = {
    "its first page": lambda whole: b"torn" + whole[4:],
    "cut in half": lambda whole: whole[: len(whole) // 2],
}


@pytest.mark.parametrize("tear", TORN.values(), ids=TORN)
def test_while_the_database_is_torn_records_wait_with_a_remedy_and_arrive_when_it_is_mended(checkout, tear):
    file = checkout / "mlflow.db"
    whole = file.read_bytes()
    file.write_bytes(tear(whole))
    tracker = Tracker()
    tracker.add(create_run("k", "probe"))
    assert not tracker.delivered(300, 0)
    assert f"{file}: " in tracker.failing
    assert "Remedy: " in tracker.failing
    assert tracker.close(300) > 0
    file.write_bytes(whole)
    assert drained().failing is None
    assert len(runs("probe")) == 1
    assert not refused_file(SPOOL).exists()


def test_a_database_that_is_torn_deep_inside_costs_no_record(checkout):
    file = checkout / "mlflow.db"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 4] + b"\xff" * (len(whole) - len(whole) // 4))
    tracker = Tracker()
    tracker.add(create_run("k", "probe"))
    assert not tracker.delivered(300, 0)
    assert tracker.close(300) > 0
    assert not refused_file(SPOOL).exists()


def test_a_cursor_that_a_full_disk_left_empty_delivers_its_journal_again(checkout):
    journal = Journal.create(SPOOL)
    journal.append(create_run("k", "probe"))
    journal.file.with_suffix(".sent").write_text("")
    journal.release()
    assert drained().failing is None
    assert len(runs("probe")) == 1
    assert journals(SPOOL) == []


def test_a_moved_checkout_finds_its_kept_files_and_artifacts_and_makes_nothing_at_the_old_place(checkout, monkeypatch):
    tracker = Tracker()
    tracker.add(create_run("k", "probe"))
    StageRecord(tracker, "k").file(Path("params.yaml"), "delivered before")
    assert tracker.close(300) == 0
    waiting = Journal.create(SPOOL)
    kept = waiting.keep(
        Path("params.yaml"), "plot"
    ).resolve()  # its full path, as a journal of an earlier release may name it
    waiting.append(
        Record("2", "log_artifact", {"run_id": "k", "local_path": str(kept), "artifact_path": "delivered after"})
    )
    waiting.release()

    moved = checkout.with_name("moved")
    checkout.rename(moved)
    monkeypatch.chdir(moved)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{moved}/mlflow.db")
    drain = [
        sys.executable,
        "-m",
        "flows.tracking.recording",
        "drain",
    ]  # MLflow caches places of artifacts in a process
    done = subprocess.run(drain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [run] = runs("probe")
    for folder in ("delivered before", "delivered after"):
        assert Path(run.info.artifact_uri, folder, "params.yaml").read_text() == Path("params.yaml").read_text()
    assert Path(run.info.artifact_uri).is_relative_to(moved / "mlruns")
    assert not checkout.exists()


def test_a_copy_of_the_database_outside_of_the_checkout_is_left_as_it_is(checkout):
    tracker = Tracker()
    tracker.add(create_run("k", "probe"))
    StageRecord(tracker, "k").file(Path("params.yaml"), "plots")
    assert tracker.close(300) == 0
    elsewhere = checkout / "backup/mlflow.db"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes((checkout / "mlflow.db").read_bytes())
    with database.being_opened(elsewhere):  # a copy of the database alone, outside of any checkout
        pass
    assert elsewhere.read_bytes() == (checkout / "mlflow.db").read_bytes()
    [run] = runs("probe")
    assert Path(run.info.artifact_uri).is_relative_to(checkout / "mlruns")


def test_a_database_in_a_folder_that_is_gone_is_not_made_anew(tmp_path):
    file = tmp_path / "gone/mlflow.db"
    with (
        pytest.raises(DataError, match=r"gone/mlflow.db: there is no such folder. Remedy: "),
        database.being_opened(file),
    ):
        pass
    assert not file.parent.exists()


def test_a_kill_while_a_new_database_is_made_leaves_none_and_the_next_one_is_whole(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    killed_at_its_end = (
        "import os, signal; from flows.tracking.database import client_of; "
        f"os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL); client_of({uri!r})"
    )
    assert subprocess.run([sys.executable, "-c", killed_at_its_end], check=False).returncode == -signal.SIGKILL
    assert [file.name for file in tmp_path.glob("*.db")] == []
    made = [sys.executable, "-m", "flows.local.mlflow_database", str(tmp_path / "mlflow.db")]  # as `make mlflow` does
    subprocess.run(made, check=True)
    assert [experiment.name for experiment in database.client_of(uri).search_experiments()] == ["Default"]
