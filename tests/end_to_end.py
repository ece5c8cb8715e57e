"""What the end-to-end tests share: a clean clone with tiny parameters, and the real command in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from crl.config.compose import compose, dump
from tests.round.runs import CONF

ROOT = Path(__file__).parent.parent
LONGEST_S = 1750  # of a whole small run, beside other tests on two cores


def checkout(folder: Path, profile: str, overrides: Sequence[str]) -> Path:
    """A clean clone of this working tree with these parameters, committed, so that DVC has its git repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(lambda name: (ROOT / name).is_file(), listed.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    (folder / "params.yaml").write_text(dump(compose(profile, list(overrides), CONF)))
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
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=LONGEST_S
    )


def locked_outs(folder: Path) -> dict[str, dict[str, str]]:
    """Hash of every out by stage."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {name: {out["path"]: out["md5"] for out in stage.get("outs", [])} for name, stage in stages.items()}


def stop_server(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "flows.local", "stop", "prefect"], cwd=folder, env=environment(folder), check=False
    )
