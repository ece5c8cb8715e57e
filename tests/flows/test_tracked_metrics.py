"""Of a stage's figures MLflow gets those that it can hold, and each other one is told."""

from pathlib import Path

import mlflow

from crl.types import stable_id
from flows.tracking.recording import SPOOL, recorded, tracking_uri
from flows.tracking.records import to_line
from tests.flows.probes import log_batch, runs


def test_what_is_no_number_never_reaches_mlflow_and_is_told_once(checkout, quick, caplog):
    figures = {"actor/a": float("nan"), "actor/b": float("inf"), "actor/c": float("-inf"), "actor/d": 0.5}
    with recorded(quick, "prepare") as (record, _), caplog.at_level("INFO", "flows.tracking.stage_record"):
        for step in (3, 4):
            record.metrics(figures, step=step)
        with record.tracker.journal.file.open("ab") as stream:  # as no release writes it
            stream.write(to_line(log_batch("x", metrics=[["actor/a", 0.25, 1, 0]])).replace(b"0.25", b"NaN"))
    [run] = runs("prepare")
    assert run.data.metrics == {"actor/b_infinite": 1.0, "actor/c_infinite": -1.0, "actor/d": 0.5}
    client = mlflow.MlflowClient(tracking_uri())
    here = [run.info.experiment_id]
    assert client.search_runs(here, "metrics.`actor/a` != 0") == []
    assert len(client.search_runs(here, "metrics.`actor/b_infinite` != 0")) == 1
    assert "finite number" in (SPOOL / "refused.jsonl").read_text()
    [told] = [entry for entry in caplog.records if "no number" in entry.message]
    assert told.levelname == "WARNING"
    assert all(part in told.message for part in ("step 3", "actor/a = nan", "actor/b = inf", "actor/c = -inf"))


def test_a_metric_name_that_mlflow_refuses_costs_no_other(checkout, quick):
    with recorded(quick, "prepare") as (record, _):
        record.metrics(
            {"rollout/a_success": 0.5, "rollout/+_success": 0.1, "../up": 0.2, "rollout/b_success": 0.25}, step=3
        )
    [run] = runs("prepare")
    assert run.data.metrics == {"rollout/a_success": 0.5, "rollout/b_success": 0.25}
    refused = (SPOOL / "refused.jsonl").read_text()
    assert "rollout/+_success" in refused
    assert "../up" in refused


def test_a_rounds_metrics_may_be_delivered_again_however_many_they_are(checkout, quick):
    figures = {f"figure/{number}": float(number) for number in range(150)}
    with recorded(quick, "prepare") as (record, _):
        (folder := Path("model")).mkdir()
        (folder / "config.json").write_text("{}")
        model = stable_id(record.key, "model")
        record.model(
            model, "crl-actor", folder, place="models/r3", alias="candidate", tags={}, serving=None, keep=0, step=3
        )
        for _ in range(2):
            record.metrics(figures, step=3, at_ms=1_700_000_000_000, model=model)
    client = mlflow.MlflowClient(tracking_uri())
    [run] = runs("prepare")
    assert run.data.metrics == figures
    [output] = run.outputs.model_outputs
    assert len(client.get_logged_model(output.model_id).metrics) == 150
    assert not list(SPOOL.glob("refused*"))
