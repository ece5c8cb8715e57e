"""`data/`: what environments are made from is part of the repository; what stages write beside it is not."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from crl.envs import shipped as shipped_module
from crl.envs.shipped import shipped
from crl.envs.swe.local.repositories import HIDDEN, read
from crl.errors import DataError

ROOT = Path(__file__).parents[2]
REPOSITORIES = sorted(file.parent for file in (ROOT / "data/swe/repositories").glob("*/task.toml"))
ALONE = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
GENERATED = (
    "data/tasks/room/train.parquet",
    "data/mix/room/train.parquet",
    "data/pass_rate.parquet",
    "data/docs/index.html",
)


def test_every_local_repository_passes_its_tests_as_it_stands():
    def run(folder: Path) -> tuple[str, int]:
        command = [sys.executable, "-m", "pytest", "-q"]
        return folder.name, subprocess.run(command, cwd=folder, env=ALONE, capture_output=True).returncode

    with ThreadPoolExecutor(2) as threads:
        codes = dict(threads.map(run, REPOSITORIES))
    assert codes == {folder.name: 0 for folder in REPOSITORIES}
    assert len(codes) == 28


def test_a_repository_whose_repair_does_not_undo_its_bug_is_refused(tmp_path):
    folder = tmp_path / "roman"
    (folder / "tests").mkdir(parents=True)
    (folder / "roman.py").write_text("VALUE = 1\n")
    (folder / "tests/test_roman.py").write_text(f"def test_one():\n    pass\n{HIDDEN}\n\ndef test_two():\n    pass\n")
    task = 'split = "train"\ndifficulty = 1\nissue = "It is 2"\nfails = ["test_two"]\nwrong = []\n'
    edit = '[[{}]]\npath = "roman.py"\nold = "{}"\nnew = "{}"\n'
    (folder / "task.toml").write_text(task + edit.format("repair", "2", "1"))
    split, instance = read(folder)
    assert (split, instance.files["roman.py"]) == ("train", "VALUE = 2\n")
    (folder / "task.toml").write_text(task + edit.format("repair", "2", "3") + edit.format("bug", "1", "2"))
    with pytest.raises(DataError, match=r"repair does not undo the bug\. Remedy"):
        read(folder)


def test_missing_data_are_told_with_their_remedy(tmp_path, monkeypatch):
    assert shipped("swe/repositories").is_dir()
    monkeypatch.setattr(shipped_module, "_DATA", tmp_path)
    with pytest.raises(DataError, match=r"swe/repositories: missing.*Remedy: restore it .*pip install -e"):
        shipped("swe/repositories")


def test_a_stage_runs_again_when_what_its_environments_are_made_from_has_changed():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    deps = {name: stage.get("do", stage)["deps"] for name, stage in stages.items()}
    playing = ["prepare", "warm_start", "pass_rate", "co_evolve", "evaluate"]
    assert [name for name in deps if "data/webshop" in deps[name]] == playing
    assert "data/swe/repositories" in deps["prepare"]  # later stages read its instances in the tables


def test_git_keeps_what_is_shipped_and_leaves_what_stages_write_to_dvc():
    ours = ["data/webshop/catalogue.yaml", *(str(f.relative_to(ROOT)) for f in (ROOT / "data/swe").rglob("*.py"))]
    command = ["git", "check-ignore", *GENERATED, *ours]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == list(GENERATED)


def test_make_clean_removes_what_stages_wrote_and_nothing_that_is_shipped(tmp_path):
    for name in (*GENERATED, "data/swe/repositories/roman/roman.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["make", "-f", ROOT / "Makefile", "clean"], cwd=tmp_path, capture_output=True, check=True)
    left = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert left == {"data/swe/repositories/roman/roman.py"}


@pytest.mark.parametrize("role", ["worker", "trainer"])
def test_images_that_hold_the_library_hold_its_data(role):
    copied = (ROOT / f"docker/{role}/Dockerfile").read_text()
    assert "COPY crl /opt/crl/crl\n" in copied
    assert "COPY data /opt/crl/data\n" in copied
    admitted = (ROOT / ".dockerignore").read_text().splitlines()
    assert [line for line in admitted if "data" in line] == [f"!data/{name}" for name in ("swe", "webshop")]
