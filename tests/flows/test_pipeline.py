"""The flow that teams schedule: DVC as a subprocess, one at a time per checkout, cancellable, linked."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from prefect import flow
from prefect.exceptions import ParameterTypeError
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.schema_tools import validation

from crl.config.compose import profiles
from flows import pipeline
from flows.local import leash
from flows.stage import lineage
from tests.flows.probes import artifacts
from tests.marked import has_ended, marked
from tests.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def dvc_repo(checkout, quick) -> Path:
    """A DVC repository whose stages echo, in the place of ours."""
    (checkout / "params.yaml").write_text("profile: quick\nrounds: 1\n")
    echo = "import time; print('working on {name}', flush=True); time.sleep(1)"
    stage = f'  {{name}}:\n    cmd: python -c "{echo}" > {{name}}.txt && cat {{name}}.txt\n'
    stages = [f"{stage}    params: [rounds]\n    outs: [{{name}}.txt]\n".format(name=name) for name in lineage.STAGES]
    (checkout / "dvc.yaml").write_text("stages:\n" + "".join(stages))
    for command in (["git", "init", "-q", "."], ["dvc", "init", "-q"], ["dvc", "config", "core.analytics", "false"]):
        call = [sys.executable, "-m", *command] if command[0] == "dvc" else command
        subprocess.run(call, check=True, capture_output=True)
    return checkout


async def test_two_pipeline_runs_on_one_checkout_wait_for_each_other_and_leave_a_whole_lock(
    prefect_server, dvc_repo, monkeypatch
):
    began, lines = datetime.now(UTC), []
    monkeypatch.setattr(pipeline, "get_run_logger", lambda: _Collector(lines))
    monkeypatch.setattr(pipeline, "_POLL_S", 0.5)
    first = asyncio.create_task(pipeline.pipeline(stages=["prepare", "warm_start"]))
    await asyncio.sleep(1)
    second = asyncio.create_task(pipeline.pipeline(stages=["prepare", "warm_start"]))
    await asyncio.gather(first, second)

    assert sum("another pipeline run is working" in line for line in lines) == 1
    assert lines.count("working on prepare") == 1  # live, and once: the second run found it up to date
    assert sum("didn't change, skipping" in line for line in lines) >= 2
    assert "warm_start.txt" in Path("dvc.lock").read_text()
    assert len(await artifacts("pipeline-links", began)) == 2


class _Collector:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def info(self, text: str, *values: object) -> None:
        self.lines.append(text % values)


async def test_a_failing_stage_fails_the_run_with_the_last_lines(prefect_server, dvc_repo):
    text = (
        Path("dvc.yaml").read_text().replace("print('working on prepare', flush=True)", "raise SystemExit('no levels')")
    )
    Path("dvc.yaml").write_text(text)
    with pytest.raises(pipeline.DvcFailed, match="no levels"):
        await pipeline.pipeline(stages=["prepare"])


async def test_it_waits_for_a_dvc_of_the_command_line(prefect_server, dvc_repo, monkeypatch):
    class Waits(_Collector):
        def info(self, text: str, *values: object) -> None:
            super().info(text, *values)
            if "DVC is at work" in text:
                Path("go").touch()  # the other one has been met: it may end

    lines: list[str] = []
    monkeypatch.setattr(pipeline, "get_run_logger", lambda: Waits(lines))
    monkeypatch.setattr(pipeline, "_POLL_S", 0.5)
    held = "cmd: for i in $(seq 1200); do [ -e go ] && break; sleep 0.1; done; python"
    Path("dvc.yaml").write_text(Path("dvc.yaml").read_text().replace("cmd: python", held))
    environment = os.environ | pipeline.interpreter_first()
    command_line = subprocess.Popen(
        [*pipeline.DVC, "repro", "prepare"], env=environment, stdout=subprocess.PIPE, text=True
    )
    for line in command_line.stdout:
        if "python" in line:
            break
    await pipeline.pipeline(stages=["prepare"])
    command_line.stdout.read()
    command_line.stdout.close()
    assert command_line.wait() == 0
    assert any("DVC is at work" in line for line in lines)


async def test_cancelling_ends_the_whole_process_group(tmp_path):
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
        "print(child.pid, flush=True); time.sleep(99)"
    )
    pids: list[int] = []
    work = asyncio.create_task(
        pipeline.run_logged([sys.executable, "-c", script], {}, lambda text, line: pids.append(int(line)))
    )
    while not pids:
        await asyncio.sleep(0.05)
    assert not has_ended(pids[0])
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await asyncio.to_thread(until, lambda: has_ended(pids[0]), "the child has ended")


def test_changed_parameters_make_an_experiment_and_nothing_else_does():
    assert [command[3:] for _, command in pipeline.commands(["prepare", "evaluate"], experiment=False)] == [
        ["repro", "prepare"],
        ["repro", "evaluate"],
    ]
    [(_, command)] = pipeline.commands(["report"], experiment=True)
    assert command[3:] == ["exp", "run", "report"]  # params.yaml as it stands, tests/flows/test_params.py


def test_the_form_offers_the_profiles_and_stages_that_exist():
    assert get_args(pipeline.Profile) == profiles(ROOT / "conf")
    assert get_args(pipeline.Stage) == lineage.STAGES
    schema = pipeline.pipeline.parameters.properties
    assert "quick" in str(schema["profile"])
    assert schema["stages"]["items"]["enum"] == list(lineage.STAGES)
    assert all(field["description"] for field in schema.values())


def test_the_form_offers_a_profile_of_the_teams_own(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "flows").symlink_to(ROOT / "flows")
    (tmp_path / "conf/profile/our-mine.yaml").write_text("# @package _global_\nprofile: our-mine\n")
    monkeypatch.chdir(tmp_path)
    loaded = load_flow_from_entrypoint("flows/pipeline.py:pipeline")  # as deployment and worker do
    assert validation.is_valid({"profile": "our-mine"}, loaded.parameters.model_dump())
    assert loaded.validate_parameters({"profile": "our-mine"})["profile"] == "our-mine"


OVERRIDES = [
    "+tasks.mix.ice-room.level=MiniHack-Room-5x5-v0",
    "++run.seed=8",
    "~tasks.mix.maze",
    "rounds.count=",
    "~a.b=1",
]


@pytest.mark.parametrize("override", OVERRIDES)
def test_the_form_takes_overrides_that_add_remove_and_name_keys_with_a_dash(override):
    values = {"overrides": [override]}
    assert validation.is_valid(values, pipeline.pipeline.parameters.model_dump())
    assert pipeline.pipeline.validate_parameters(values)["overrides"] == (override,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"profile": "qick"},
        {"rounds": 0},
        {"overrides": ["rounds.count"]},
        {"overrides": ["+a"]},
        {"stages": ["evolve"]},
        {"wait_hours": 169},
    ],
)  # fmt: skip
def test_the_form_and_the_flow_refuse_what_does_not_fit(wrong):
    schema = pipeline.pipeline.parameters.model_dump()
    assert not validation.is_valid(wrong, schema)  # what server and pages ask
    with pytest.raises(ParameterTypeError):
        pipeline.pipeline.validate_parameters(wrong)


async def test_a_killed_caller_takes_the_whole_process_group_with_it(tmp_path):
    sleeper = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(99)"]
    owner = subprocess.Popen(
        [*pipeline.LEASH, *sleeper], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    )
    pid = int(owner.stdout.readline())
    owner.stdin.close()  # as the kernel does, however the caller ends
    assert await asyncio.to_thread(owner.wait, 60) != 0
    owner.stdout.close()
    assert has_ended(pid)


_PARENT = """
import os, subprocess, sys
stage = subprocess.Popen([sys.executable, "-c", "import time; print(0, flush=True); time.sleep(99)"], stdout=subprocess.PIPE)
stage.stdout.readline()
with open("pids", "w") as file:
    file.write(f"{os.getppid()} {os.getpid()}")
os.rename("pids", "started")
stage.wait()
"""


@pytest.mark.parametrize("killed", ["leash", "dvc"])
async def test_whichever_process_above_a_stage_is_killed_the_stage_ends_before_the_command_does(killed, tmp_path):
    call = asyncio.to_thread(
        leash.run,
        [sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r})\n{_PARENT}"],
        environment=os.environ | {"CRL_TEST": tmp_path.name},
    )
    running = asyncio.create_task(call)
    while not (tmp_path / "started").exists():
        await asyncio.sleep(0.05)
    pids = dict(zip(("leash", "dvc"), (tmp_path / "started").read_text().split(), strict=True))
    os.kill(int(pids[killed]), signal.SIGKILL)
    assert await asyncio.wait_for(running, 60) != 0
    assert not marked("CRL_TEST", tmp_path.name)


async def test_waiting_longer_than_allowed_is_an_error_that_names_the_remedy(prefect_server, tmp_path):
    lock = tmp_path / "lock"

    @flow(name="wait")
    async def wait() -> None:
        async with pipeline.checkout_to_itself(60, lock), pipeline.checkout_to_itself(0.2, lock):
            pass

    with pytest.raises(TimeoutError, match="Remedy: raise wait_hours"):
        await wait()
