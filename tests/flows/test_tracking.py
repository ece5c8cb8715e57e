"""MLflow records: complete, once each, and never in the way of training."""

import dataclasses
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from crl.episode.transcripts import Trace
from crl.types import TimedSpan, stable_id
from flows.local.mlflow_server import MlflowServer
from flows.local.process import free_port
from flows.stage import lineage
from flows.tracking import recording
from flows.tracking.recording import SPOOL, Tracker, recorded, tracking_page, tracking_uri
from flows.tracking.records import to_line
from flows.tracking.replay import Replay
from flows.tracking.spool import Journal, journals
from tests.flows.probes import create_run, drained, log_batch, runs

TRACE = Trace(
    "episode r0.g0.e4",
    {"lineage": "l", "arm": "guided"},
    (TimedSpan("retrieve", 1.7e9, 1.7e9 + 0.25), TimedSpan("generate", 1.7e9 + 0.25, 1.7e9 + 1)),
    {"goal": "reach the stairs"},
    {"outcome": "success"},
)


def record_everything(config) -> None:
    with recorded(config, "prepare") as (record, _):
        folder = Path("model")
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text("{}")
        id_, tags = stable_id(record.key, "model"), {"crl.lineage": "l"}
        record.model(
            id_, "crl-actor", folder, place="models/r3", alias="candidate", tags=tags, serving=None, keep=0, step=3
        )
        panel = record.panel("panel", "d1", Path("data/mix"), {"levels_and_seeds": {"room": [["room", 7]]}})
        figures = {"rollout/success": 0.5, "absent": float("nan")}
        record.metrics(figures, step=3, at_ms=1_700_000_000_000, model=id_, dataset=panel)
        record.metrics({"eval/base": 0.25}, step=3, at_ms=1_700_000_000_000)
        record.trace(TRACE, model=id_)
        record.file(folder / "config.json", "plots")
        record.dataset("held-out levels", folder / "config.json", context="evaluation", rows=3)


def test_a_stage_run_holds_params_ids_metrics_dataset_files_model_and_trace(checkout, quick):
    record_everything(quick)
    client = mlflow.MlflowClient(tracking_uri())
    [run] = runs("prepare")
    assert run.info.status == "FINISHED"
    assert run.data.params["learn.actor.optimizer.lr"] == "0.0007"
    assert run.data.metrics == {"rollout/success": 0.5, "eval/base": 0.25}
    assert {used.dataset.name: used.dataset.digest for used in run.inputs.dataset_inputs}["panel"] == "d1"
    assert {used.dataset.name for used in run.inputs.dataset_inputs} == {"held-out levels", "panel"}
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"plots", "models"}
    assert int(client.get_model_version_by_alias("crl-actor", "candidate").version) == 1
    [trace] = client.search_traces(locations=[run.info.experiment_id], run_id=run.info.run_id)
    root, *children = trace.data.spans
    assert [(span.name, span.span_type) for span in children] == [("retrieve", "RETRIEVER"), ("generate", "LLM")]
    assert (root.start_time_ns, root.end_time_ns) == (int(1.7e9 * 1e9), int((1.7e9 + 1) * 1e9))
    assert all(span.parent_id == root.span_id for span in children)


def test_a_logged_model_leads_to_its_version_metrics_dataset_and_traces(checkout, quick):
    record_everything(quick)
    client = mlflow.MlflowClient(tracking_uri())
    [run] = runs("prepare")
    here = [run.info.experiment_id]
    [model] = client.search_logged_models(
        here, "metrics.`rollout/success` > 0", [{"dataset_name": "panel", "dataset_digest": "d1"}]
    )
    assert (model.name, model.status.value, model.source_run_id) == ("crl-actor-r3", "READY", run.info.run_id)
    assert [(each.model_id, each.step) for each in run.outputs.model_outputs] == [(model.model_id, 3)]
    assert {metric.key: metric.value for metric in model.metrics} == {
        "rollout/success": 0.5
    }  # the base's is not its own
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "crl-actor", "version": 1}]
    assert len(client.search_traces(locations=here, model_id=model.model_id)) == 1


def test_everything_delivered_twice_is_there_once(checkout, quick):
    record_everything(quick)
    Path("dvc.lock").touch()  # DVC has stored it: what comes is another run
    copy = _records_of(lambda: record_everything(quick))
    replay = Replay(tracking_uri())
    for _ in range(2):
        for record in copy:
            replay.deliver(record)
    Replay(tracking_uri()).deliver(next(record for record in copy if record.method == "create_model_version"))
    client = mlflow.MlflowClient(tracking_uri())
    by_pipeline = {run.data.tags["crl.pipeline"] for run in runs("prepare")}
    assert len(runs("prepare")) == len(by_pipeline) == 2  # two pipeline runs, one run of the stage in each
    for run in runs("prepare"):
        assert len(client.get_metric_history(run.info.run_id, "rollout/success")) == 1
        assert len(client.search_traces(locations=[run.info.experiment_id], run_id=run.info.run_id)) == 1
        [output] = run.outputs.model_outputs
        assert len(client.get_logged_model(output.model_id).metrics) == 1
    assert len(client.search_model_versions("name = 'crl-actor'")) == 2
    assert len(client.search_logged_models([run.info.experiment_id])) == 2


def _records_of(work) -> list:
    """The records that `work` makes, which are also delivered."""
    kept = []
    original = Tracker.add

    def add(self, record) -> None:
        kept.append(record)
        original(self, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tracker, "add", add)
        work()
    return kept


def test_no_credentials_are_recorded_or_shown(checkout, quick, monkeypatch, capfd, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://alice:s3cret@127.0.0.1:9/mlflow")
    assert tracking_page() == "http://127.0.0.1:9/mlflow"
    subprocess.run(["git", "init", "-q", "."], check=True)
    subprocess.run(["git", "remote", "add", "origin", "https://alice:s3cret@example.org/x.git"], check=True)
    with recorded(quick, "prepare") as (record, _):
        record.trace(TRACE)
    assert "s3cret" not in caplog.text
    assert "s3cret" not in capfd.readouterr().err
    assert all("s3cret" not in journal.file.read_text() for journal in journals(SPOOL))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{checkout}/mlflow.db")
    drained()
    assert b"s3cret" not in Path("mlflow.db").read_bytes()


def test_a_record_that_the_tracker_refuses_is_set_aside_and_the_next_ones_arrive(checkout):
    tracker = Tracker()
    tracker.add(create_run("k", "probe"))
    tracker.add(log_batch("2", params={"lr": "1"}))
    tracker.add(log_batch("3", params={"lr": "2"}))  # MLflow never changes a parameter
    tracker.add(log_batch("4", metrics=[["a", 1.0, 1, 0]]))
    assert tracker.close(300) == 0
    [run] = runs("probe")
    assert run.data.params == {"lr": "1"}
    assert run.data.metrics == {"a": 1.0}
    [refused] = (SPOOL / "refused.jsonl").read_text().splitlines()
    assert json.loads(json.loads(refused)["line"])["id"] == "3"


def test_a_damaged_line_is_set_aside_with_its_place_and_the_next_ones_arrive(checkout):
    journal = Journal.create(SPOOL)
    journal.append(create_run("k", "probe"))
    damaged = [b'{"schema": 2, "id": "2", "met\xff\n', to_line(log_batch("3", metrics=[["a", "much", 1, 0]])), b"[]\n"]
    with journal.file.open("ab") as stream:
        stream.writelines(damaged)
    journal.append(log_batch("4", metrics=[["a", 1.0, 1, 0]]))
    journal.release()
    sender = drained()
    assert (sender.delivered, sender.refused, sender.failing) == (2, 3, None)
    assert runs("probe")[0].data.metrics == {"a": 1.0}
    reasons = [json.loads(line)["reason"] for line in (SPOOL / "refused.jsonl").read_text().splitlines()]
    assert all(reason.startswith(f"{journal.file}, up to byte ") for reason in reasons)
    assert "metrics.0.1" in reasons[1]
    assert journals(SPOOL) == []


OF_FIRST_SCHEMA = (
    b'{"id": "1", "run": "k", "name": "probe", "at_ms": 1, "parent": null, "tags": {}, "kind": "run_opened"}\n'
)


def test_records_of_another_release_stay_whole_with_their_files_and_the_remedy_is_told(checkout):
    old = Journal.create(SPOOL)
    kept = old.keep(Path("params.yaml"), "plot")
    old.file.write_bytes(OF_FIRST_SCHEMA)
    old.release()
    new = Journal.create(SPOOL)
    new.append(create_run("k", "probe"))
    new.release()
    sender = drained()
    assert len(runs("probe")) == 1
    assert [journal.file for journal in journals(SPOOL)] == [old.file]
    assert (old.file.read_bytes(), kept.read_text()) == (OF_FIRST_SCHEMA, Path("params.yaml").read_text())
    assert not (SPOOL / "refused.jsonl").exists()
    told = sender.left[old.file]
    assert told.startswith(f"{old.file}: schema = 1, this release reads 2.")
    assert "Remedy: " in told
    assert old.claim()  # the other release can deliver it
    old.release()


def test_records_wait_for_a_database_of_another_mlflow_and_its_remedy_is_told(checkout):
    """As before `mlflow db upgrade`: nothing is refused, nothing is lost."""
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        [(ours,)] = database.execute("select version_num from alembic_version")
        database.execute("update alembic_version set version_num = 'cfd24bdc0731'")
    tracker = Tracker()
    tracker.add(create_run("k", "probe"))
    assert tracker.close(300) > 0
    sender = drained()
    assert sender.failing is not None
    assert "its tables are of another MLflow (revision cfd24bdc0731" in sender.failing
    assert "mlflow db upgrade" in sender.failing
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute("update alembic_version set version_num = ?", (ours,))
    assert drained().failing is None
    assert len(runs("probe")) == 1
    assert not (SPOOL / "refused.jsonl").exists()


def test_a_database_that_mlflow_would_migrate_when_it_is_opened_stays_as_it_is(checkout):
    """One of several releases before lacks whole tables, and then MLflow asks for no command."""

    def kept() -> list[tuple[str]]:
        with closing(sqlite3.connect("mlflow.db")) as database:
            rows = database.execute("select version_num from alembic_version").fetchall()
            return rows + database.execute("select name from sqlite_master order by name").fetchall()

    with closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute("update alembic_version set version_num = 'cfd24bdc0731'")
        database.execute("drop table webhook_events")
    before = kept()
    tracker = Tracker()
    tracker.add(create_run("k", "probe"))
    assert tracker.close(300) > 0
    assert "mlflow db upgrade" in drained().failing
    assert kept() == before


def test_nobody_waits_for_a_sender_that_has_ended(checkout, monkeypatch):
    tracker = Tracker()
    tracker._sender.finish(300)
    tracker.add(create_run("k", "probe"))
    monkeypatch.setattr(recording.time, "sleep", lambda _: pytest.fail("it waits"))
    assert not tracker.delivered(300, 60)
    monkeypatch.undo()
    tracker.close()


def test_records_made_while_the_tracker_is_down_arrive_when_it_is_back(checkout, quick, monkeypatch):
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    began = time.monotonic()
    record_everything(quick)  # nobody listens
    assert time.monotonic() - began < recording.LONGEST_CLOSE_S / 2  # as long it would wait for a server that answers
    assert sum(journal.unsent_bytes for journal in journals(SPOOL)) > 0
    server = MlflowServer(checkout / "server")
    server.workers = 1
    server.start(port)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "flows.tracking.recording", "drain"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert journals(SPOOL) == []
        [run] = runs("prepare")
        assert run.data.metrics == {"rollout/success": 0.5, "eval/base": 0.25}
        client = mlflow.MlflowClient(tracking_uri())
        assert int(client.get_model_version_by_alias("crl-actor", "candidate").version) == 1
        [output] = run.outputs.model_outputs
        assert [metric.dataset_digest for metric in client.get_logged_model(output.model_id).metrics] == ["d1"]
        assert len(client.search_traces(locations=[run.info.experiment_id], model_id=output.model_id)) == 1
    finally:
        server.stop()


def test_a_stage_joins_the_pipeline_run_that_was_killed_and_not_one_that_is_over(checkout, quick):
    first = lineage.join(quick, "prepare")
    assert lineage.join(quick, "prepare") == first  # killed in `prepare`: goes on
    _finish(first, "prepare")
    assert lineage.join(quick, "warm_start").id == first.id
    assert lineage.join(quick, "prepare").id != first.id  # `prepare` again: another run


def test_a_stage_that_was_cut_off_before_dvc_wrote_it_down_is_repeated_in_its_own_records(checkout, quick):
    for rate in (0.75, 0.5):  # it ends well, and DVC is killed before it writes its lock; a server's tokens may differ
        with recorded(quick, "prepare@room") as (record, _):
            record.metrics({"eval/room_rate": rate})
    [run] = runs("prepare@room")
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"eval/room_rate": 0.5}  # the later, not the larger
    Path("dvc.lock").touch()
    with recorded(quick, "prepare@room"):
        pass
    assert len(runs("prepare@room")) == 2


def test_other_parameters_begin_another_pipeline_run(checkout, quick):
    first = lineage.join(quick, "prepare")
    other = quick.model_copy(update={"rounds": quick.rounds.model_copy(update={"count": 5})})
    assert lineage.join(other, "prepare").id != first.id


def _finish(run: lineage.PipelineRun, stage: str) -> None:
    dataclasses.replace(run, finished=(*run.finished, stage)).save()
