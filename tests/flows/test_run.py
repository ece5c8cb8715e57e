"""`make run` as a command: where it cannot run, and what becomes of DVC and its stage when it is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crl.errors import ConfigError
from flows import pipeline
from tests.marked import has_ended

ROOT = Path(__file__).parents[2]
STAGE = """
import os, signal, sys, time
from pathlib import Path

def stop(*_):  # it takes its time
    Path("asked").touch()
    while not Path("go").exists():
        time.sleep(0.05)
    Path("gone").touch()
    sys.exit(1)

signal.signal(signal.SIGINT, stop)
print(os.getpid(), Path("gone").exists(), flush=True)
time.sleep(600)
"""
RUN = f"""
import sys
import time
from flows import run

STAGE = {STAGE!r}
run.commands = lambda stages, experiment: [("report", [sys.executable, "-c", STAGE])]  # in DVC's place
sys.exit(run.main())
"""


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """What `make run` looks at before it calls DVC."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (tmp_path / "params.yaml").write_text("profile: quick\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(folder: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CRL_PREFECT": "ephemeral"}
    return subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_that_is_killed_takes_dvc_and_its_stage_along_and_the_next_one_waits_for_them(repository):
    with start(repository) as killed:
        first, _ = killed.stdout.readline().split()
        with start(repository) as again:
            assert "waiting for it" in again.stderr.readline()
            killed.kill()
            while not (repository / "asked").exists():
                assert not has_ended(int(first)), "it was not asked to stop"
                time.sleep(0.05)
            (repository / "go").touch()
            second, first_has_gone = again.stdout.readline().split()
            assert first_has_gone == "True"
            again.send_signal(signal.SIGTERM)
            _, said = again.communicate(timeout=60)
    assert again.returncode == 143
    assert said.splitlines()[-1] == "interrupted; the same command goes on where it stopped"
    assert "Traceback" not in said
    assert has_ended(int(second))


def test_a_folder_that_dvc_cannot_work_in_is_refused_with_the_remedy(repository):
    pipeline.needs_checkout()
    (repository / ".git").rmdir()
    with pytest.raises(ConfigError, match=r"no \.git.*Remedy: clone instead of copying"):
        pipeline.needs_checkout()
    (repository / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    pipeline.needs_checkout()
    (repository / ".dvc/config").unlink()
    (repository / ".dvc").rmdir()
    with pytest.raises(ConfigError, match="Remedy: run in the repository's root"):
        pipeline.needs_checkout()
