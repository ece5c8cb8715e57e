"""The flow of a study over real runs: processes, raw results, an MLflow parent that compares arms; started again, it plays none."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from crl.errors import ConfigError, DataError, RunStopped
from flows import study as flow_of_study
from flows.study import study_flow
from flows.tracking.recording import tracking_uri
from tests.flows.probes import artifacts
from tests.study.small import SMALL, write_study

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


async def test_arms_times_seeds_are_played_at_once_recorded_and_compared(checkout, monkeypatch, run_options) -> None:
    began = datetime.now(UTC)
    (checkout / "conf").unlink()
    write_study(checkout, SMALL, "small")
    monkeypatch.setenv("PYTHONPATH", run_options["env"]["PYTHONPATH"])
    await study_flow("small", at_once=2)

    table = pd.read_parquet("studies/small.parquet")
    assert table.groupby(["arm", "seed"]).size().to_dict() == {
        (arm, 1): 6  # 3 evaluations, with and without
        for arm in ("complementary", "grpo")
    }
    client = mlflow.MlflowClient(tracking_uri())
    [parent] = client.search_runs(["1"], "tags.`mlflow.runName` = 'study small'")
    assert parent.data.tags["crl.study.digest"]
    assert {f"study/{arm}/end_with" for arm in SMALL["arms"]} <= set(parent.data.metrics)
    children = client.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert sorted(child.data.tags["mlflow.runName"] for child in children) == [
        "complementary 1", "grpo 1",
    ]  # fmt: skip
    history = client.get_metric_history(children[0].info.run_id, "study/room_success_with")
    assert len(history) == 3
    [found] = await artifacts("study-small", began)
    assert "Success, all tasks" in found.data

    async def refuse(*_, **__):
        raise AssertionError("played again")

    monkeypatch.setattr(flow_of_study, "run_logged", refuse)
    raw = Path("studies/small.parquet").read_bytes()
    await study_flow("small")
    assert Path("studies/small.parquet").read_bytes() == raw
    shutil.rmtree("runs/study")  # a fresh checkout, with the table that was committed
    await study_flow("small")
    assert Path("studies/small.parquet").read_bytes() == raw
    table["code"] = "another"
    table.to_parquet("studies/small.parquet")
    shutil.rmtree("runs/study")
    with pytest.raises(DataError, match=r"grpo 1 was played with code = another, not .*Remedy: go on at the commit"):
        await study_flow("small")


async def test_a_run_that_fails_costs_no_other_and_is_named(checkout, monkeypatch) -> None:
    (checkout / "conf").unlink()
    write_study(checkout, SMALL, "small")
    started: list[str] = []

    async def fails(argv, environment, log):
        started.append(argv[4])
        return 2, ["ConfigError", "something is wrong"]

    monkeypatch.setattr(flow_of_study, "run_logged", fails)
    with pytest.raises(RunStopped, match=r"(?s)2 of 2 runs did not end.*grpo 1.*something is wrong.*Remedy"):
        await study_flow("small")
    with pytest.raises(ConfigError, match="arms = \\['placebo'\\]: not in study small"):
        await study_flow("small", arms=("placebo",))
    assert sorted(started) == ["complementary", "grpo"]
