"""The main job as a user starts it, small: DVC, all Prefect flows on a real server, MLflow on SQLite, both models."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow.tracking import MlflowClient

from tests.end_to_end import checkout, environment, locked_outs, make_run, stop_server
from tests.round.runs import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # a whole run takes minutes beside other tests

TINY = [
    *SMALL, "tasks.train_levels=1000", "warm_start.actor_steps=60", "warm_start.extractor_steps=80", "rounds.count=3",
    "evaluate.bootstrap_samples=200",
]  # fmt: skip
OUTS = (
    "data/mix/room/train.parquet",
    "models/actor/config.json",
    "bank/round_0002/bank.parquet",
    "reports/report.html",
    "reports/report.md",
    "reports/bank.html",
    "plots/rounds.csv",
)


# What is not there before `co_evolve`; nor is a server.
NOT_YET = ("models", "bank", "records", "reports", "plots", "runs/co_evolve", ".prefect")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = checkout(tmp_path_factory.mktemp("checkout"), "quick", TINY)
    done = make_run(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    yield folder, done.stdout
    stop_server(folder)


def test_one_command_leads_from_scripted_play_to_the_report(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    for out in OUTS:
        assert (folder / out).is_file(), out
    assert "What was learned" in printed
    [times] = (folder / "runs/co_evolve").glob("*/times.html")  # seconds are in no out
    assert str(times.relative_to(folder)) in (folder / "reports/report.html").read_text()
    cells = json.loads((folder / "metrics/evaluate.json").read_text())
    for phase in ("before", "after"):
        for arm in ("free", "guided"):
            for task in ("room", "maze", "keyroom", "all"):
                figures = cells[phase][arm][task]
                assert figures["success_low"] <= figures["success"] <= figures["success_high"]
                assert figures["episodes"] == (18 if task == "all" else 6)
                assert figures["actions"] > 0


def test_the_same_command_again_does_nothing(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    before = (folder / "dvc.lock").read_text()
    done = subprocess.run(
        ["dvc", "repro"], cwd=folder, env=environment(folder), capture_output=True, text=True, check=True
    )
    assert "Running stage" not in done.stdout
    assert (folder / "dvc.lock").read_text() == before


def test_mlflow_holds_a_run_per_stage_under_one_parent_with_metrics_models_and_traces(
    finished: tuple[Path, str],
) -> None:
    folder, _ = finished
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments)
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs}
    stages = {run.data.tags["mlflow.runName"].split()[0]: run for run in runs if "mlflow.parentRunId" in run.data.tags}
    prepared = {f"prepare@{name}" for name in ("room", "maze", "keyroom")}
    assert set(stages) == {*prepared, "warm_start", "pass_rate", "filter", "co_evolve", "evaluate", "report"}
    assert len(parents - {None}) == 1
    rounds = client.get_metric_history(stages["co_evolve"].info.run_id, "rollout/success_free")
    assert [metric.step for metric in rounds] == [0, 1, 2]
    assert {model.name for model in client.search_registered_models()} == {"crl-agent"}
    traces = client.search_traces(locations=experiments)
    names = {span.name for trace in traces for span in trace.data.spans}
    assert {"retrieve", "generate", "env_step", "distil"} <= names


def test_killed_in_mid_run_the_same_command_ends_with_the_same_lock(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder = before_co_evolve(finished[0], tmp_path / "checkout")
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.run"], cwd=folder, env=environment(folder),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for_first_commit(folder, process)
    everything = psutil.Process(process.pid)
    for part in (everything, *everything.children(recursive=True)):  # also DVC and the server, in groups of their own
        with contextlib.suppress(psutil.NoSuchProcess):
            part.kill()
    process.wait()
    assert not (folder / "models").exists()
    done = make_run(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    stop_server(folder)
    assert locked_outs(folder) == locked_outs(finished[0])
    # DVC knows evaluation and report of these very models and bank: of others they would have run.
    assert "Running stage 'co_evolve'" in done.stdout
    assert "Running stage 'evaluate'" not in done.stdout


def before_co_evolve(finished: Path, folder: Path) -> Path:
    """A copy of the finished checkout as it was when only the stages before `co_evolve` were done.

    DVC's run cache holds the stages after it, which it restores where their inputs are the same again.
    """

    def later(parent: str, names: list[str]) -> list[str]:
        return [name for name in names if str((Path(parent) / name).relative_to(finished)) in NOT_YET]

    shutil.copytree(finished, folder, symlinks=True, ignore=later)
    for known in [file for file in (folder / ".dvc/cache/runs").rglob("*") if file.is_file()]:
        if yaml.safe_load(known.read_text())["cmd"] == "python -m flows.co_evolve":
            shutil.rmtree(known.parent)  # DVC stumbles over an empty folder there
    lock = yaml.safe_load((folder / "dvc.lock").read_text())
    for stage in ("co_evolve", "evaluate", "report"):
        del lock["stages"][stage]
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    return folder


def wait_for_first_commit(folder: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 400
    while not list(folder.glob("runs/co_evolve/*/checkpoints/round_0000")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.1)
