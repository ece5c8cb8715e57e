"""The main job as a user starts it, small: DVC, five Prefect flows on a real server, MLflow on SQLite, both models."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from crl.config.compose import compose, dump
from tests.coevolution.runs import CONF, SMALL

ROOT = Path(__file__).parent.parent
TINY = [*SMALL, "rounds.count=3", "evaluate.bootstrap_samples=200"]
OUTS = (
    "models/actor/config.json",
    "bank/round_0002/bank.parquet",
    "reports/report.html",
    "reports/report.md",
    "plots/rounds.csv",
)


def checkout(folder: Path) -> Path:
    """A clean clone of this working tree with tiny parameters, committed, so that DVC has its git repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(lambda name: (ROOT / name).is_file(), listed.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    (folder / "params.yaml").write_text(dump(compose("quick", TINY, CONF)))
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "start"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def environment(folder: Path) -> dict[str, str]:
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "CRL_"))}
    return keep | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "COLUMNS": "120",
    }


def make_run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.run"]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=540)


def locked_outs(folder: Path) -> dict[str, dict[str, str]]:
    """Hash of every out by stage."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {name: {out["path"]: out["md5"] for out in stage.get("outs", [])} for name, stage in stages.items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = checkout(tmp_path_factory.mktemp("checkout"))
    done = make_run(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    yield folder, done.stdout
    stop_server(folder)


def stop_server(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "flows.server", "stop"], cwd=folder, env=environment(folder), check=False)


@pytest.mark.slow
def test_one_command_leads_from_scripted_play_to_the_report(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    for out in OUTS:
        assert (folder / out).is_file(), out
    assert "What was learned" in printed
    cells = json.loads((folder / "metrics/evaluate.json").read_text())
    for phase in ("before", "after"):
        for arm in ("free", "guided"):
            for task in ("room", "maze", "keyroom", "all"):
                figures = cells[phase][arm][task]
                assert figures["success_low"] <= figures["success"] <= figures["success_high"]
                assert figures["episodes"] == (18 if task == "all" else 6)
                assert figures["actions"] > 0


@pytest.mark.slow
def test_the_same_command_again_does_nothing(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    before = (folder / "dvc.lock").read_text()
    done = subprocess.run(
        ["dvc", "repro"], cwd=folder, env=environment(folder), capture_output=True, text=True, check=True
    )
    assert "Running stage" not in done.stdout
    assert (folder / "dvc.lock").read_text() == before


@pytest.mark.slow
def test_mlflow_holds_a_run_per_stage_under_one_parent_with_metrics_models_and_traces(
    finished: tuple[Path, str],
) -> None:
    folder, _ = finished
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments)
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs}
    stages = {run.data.tags["mlflow.runName"].split()[0]: run for run in runs if "mlflow.parentRunId" in run.data.tags}
    assert set(stages) == {"prepare", "warm_start", "co_evolve", "evaluate", "report"}
    assert len(parents - {None}) == 1
    rounds = client.get_metric_history(stages["co_evolve"].info.run_id, "rollout/success_free")
    assert [metric.step for metric in rounds] == [0, 1, 2]
    assert {model.name for model in client.search_registered_models()} == {"crl-actor", "crl-extractor"}
    traces = client.search_traces(locations=experiments)
    names = {span.name for trace in traces for span in trace.data.spans}
    assert {"retrieve", "generate", "env_step", "distil"} <= names


@pytest.mark.slow
def test_killed_in_mid_run_the_same_command_ends_with_the_same_lock(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.run"], cwd=folder, env=environment(folder), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for_first_commit(folder, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "models").exists()
    done = make_run(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    stop_server(folder)
    assert locked_outs(folder) == locked_outs(finished[0])


def wait_for_first_commit(folder: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 400
    while not list(folder.glob("runs/co_evolve/*/checkpoints/round_0000")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.1)
