"""`dvc exp run --temp` and `--queue`: DVC removes the workspace of such a run, and what must outlive it lies in the checkout."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from filelock import FileLock

from flows.registry.champion import Champions
from flows.stage import lineage
from flows.stage.hold import held
from flows.stage.paths import home
from flows.tracking.spool import journals

ROOT = Path(__file__).parents[2]
# A stage of two rounds that is killed after the first one, before the tracker has seen anything.
STAGE = """
import os, signal
from pathlib import Path
from crl.config import load
from flows.stage.paths import STATE
from flows.tracking.recording import recorded

state = STATE / "toy/rounds.txt"
state.parent.mkdir(parents=True, exist_ok=True)
with recorded(load(Path("params.yaml")), "prepare") as (record, _):
    while (played := len(state.read_text()) if state.exists() else 0) < 2:
        with state.open("a") as file:
            file.write("x")
        record.metrics({"played": played + 1}, step=played)
        record.file(Path("params.yaml"), f"round_{played}")
        if played == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    Path("agent").mkdir()
    Path("agent/config.json").write_text("{}")
    record.model("id", "crl-agent", Path("agent"), place="agents/a", alias="candidate", tags={}, serving=None, keep=0, step=0)
Path("rounds.txt").write_text(state.read_text())
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(ROOT), "PATH": path}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_temporary_experiment_goes_on_after_a_kill_and_all_its_records_and_agents_are_in_the_checkout(
    tmp_path, empty_database
):
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name, text in {
        "params.yaml": (ROOT / "params.yaml").read_text(),
        "toy.py": STAGE,
        "dvc.yaml": "stages: {toy: {cmd: python toy.py, deps: [toy.py], outs: [rounds.txt]}}",
        ".gitignore": "/runs\n/agent\nmlflow.db*\nmlruns\n",
    }.items():
        (folder / name).write_text(text)
    (folder / "mlflow.db").write_bytes(empty_database.read_bytes())
    dvc, git = (sys.executable, "-m", "dvc"), ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (("git", "init", "-q"), (*dvc, "init", "-q"), ("git", "add", "."), (*git, "commit", "-qm", "Toy")):
        done = run(folder, *command)
        assert done.returncode == 0, done.stderr

    killed = run(folder, *dvc, "exp", "run", "--temp")
    assert killed.returncode != 0
    assert not list(folder.glob(".dvc/tmp/exps/**/toy.py")), "DVC kept the workspace: the test shows nothing"
    done = run(folder, *dvc, "exp", "run", "--temp")
    assert done.returncode == 0, killed.stderr + done.stderr

    assert (folder / "runs/co_evolve/toy/rounds.txt").read_text() == "xx"
    assert journals(folder / "runs/spool") == []
    uri = f"sqlite:///{folder}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    [found] = client.search_runs([client.get_experiment_by_name("crl").experiment_id], "tags.`crl.stage` = 'prepare'")
    assert [row.step for row in client.get_metric_history(found.info.run_id, "played")] == [0, 1]
    kept = {item.path for item in client.list_artifacts(found.info.run_id)}
    assert kept == {"agents", "round_0", "round_1"}
    assert Path(found.info.artifact_uri).is_relative_to(folder / "mlruns")
    assert [version.run_id for version in Champions(uri).versions()] == [found.info.run_id]


@pytest.mark.parametrize("workspace", ["tmpa1b2", "standalone/tmpa1b2", "tmpa1b2/projects/crl"])
def test_what_must_outlive_a_temporary_workspace_lies_in_the_checkout_above_it(workspace):
    assert home(Path("/team/crl/.dvc/tmp/exps", workspace)) == Path("/team/crl")
    assert home(Path("/team/crl")) == home(Path("/team/crl/.dvc/tmp")) == Path()


def test_experiments_that_run_at_once_keep_pipeline_runs_of_their_own(quick, tmp_path):
    other = quick.model_copy(update={"rounds": quick.rounds.model_copy(update={"count": 5})})
    files = [lineage.file_of(config, tmp_path) for config in (quick, other)]
    first, second = (lineage.join(config, "prepare", file) for config, file in zip((quick, other), files, strict=True))
    assert first.id != second.id
    assert lineage.join(quick, "warm_start", files[0]).id == first.id
    assert lineage.file_of(quick, Path()) == lineage.FILE


async def test_a_run_whose_state_another_run_holds_says_so_and_goes_on_when_that_has_ended(tmp_path):
    state, told = tmp_path / "co_evolve/0123", asyncio.Queue()
    state.parent.mkdir()
    other = FileLock(state.with_name("0123.lock"))

    async def work() -> str:
        async with held(state, told.put_nowait):
            return "done"

    other.acquire()
    waiting = asyncio.create_task(work())
    assert await told.get() == f"another run of the same parameters works on {state}: waiting until it ends"
    assert not waiting.done()
    other.release()
    assert await waiting == "done"
    assert await work() == "done"
    assert told.empty()
