"""DVC brings every stage back from its cache: earlier parameters and a second clone cost seconds, no stage runs again.

The stages are those of dvc.yaml with their outs, metrics and plots as they are declared there; each writes small files instead.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from crl.round.state import StateFolder
from flows.stage import run_cache, stored

ROOT = Path(__file__).parents[2]
WRITER = """
import hashlib, json, sys
from pathlib import Path

figure = int(hashlib.sha256(Path("params.yaml").read_bytes()).hexdigest()[:8], 16)
for name in sys.argv[2:]:
    place = Path(name) if Path(name).suffix else Path(name) / "train.parquet"
    place.parent.mkdir(parents=True, exist_ok=True)
    table = f"round,cell,success,rollout/success_free,rollout/success_guided,bank/size\\n0,a,{figure},1,1,1\\n"
    place.write_text(table if place.suffix == ".csv" else json.dumps({"figure": figure}))
with Path("ran.log").open("a") as log:
    log.write(sys.argv[1] + "\\n")
"""


def names(stage: dict) -> list[str]:
    entries = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def small(pipeline: dict) -> dict:
    """The same stages, with the writer in the place of the code that computes."""
    made = set()
    for name, declared in pipeline["stages"].items():
        stage = declared.get("do", declared)
        write = f"{sys.executable} writer.py {name}"
        own = name == "entries"  # it looks after the folder of other stages: played by the real one
        stage["cmd"] = f"{sys.executable} -m flows.entries && {write}" if own else f"{write} {' '.join(names(stage))}"
        stage["deps"] = ["writer.py", *(dep for dep in stage["deps"] if dep in made)]
        made |= {out.removesuffix("/${key}") for out in names(stage)}
    return pipeline


class Checkout:
    """A clone of the small pipeline, in which `dvc` and `git` run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str) -> str:
        environment = os.environ | {"DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(ROOT)}
        options = {"cwd": self.folder, "env": environment, "capture_output": True, "text": True, "check": False}
        done = subprocess.run(command, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def dvc(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def reproduce(self, seed: int, levels: int, mix: tuple[str, ...] = ("room",)) -> list[str]:
        """The stages that ran for these parameters."""
        file, log = self.folder / "params.yaml", self.folder / "ran.log"
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        values["run"]["seed"], values["tasks"]["eval_levels"] = seed, levels
        values["tasks"]["mix"] = {name: values["tasks"]["mix"][name] for name in mix}
        file.write_text(yaml.safe_dump(values))
        log.unlink(missing_ok=True)
        self.dvc("repro", "-q")
        return log.read_text().split() if log.exists() else []

    def locked(self) -> dict[str, dict]:
        """What dvc.lock says of the stages of the mix `room`; DVC keeps the rows of others."""
        stages = yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"]
        return {name: row for name, row in stages.items() if name.partition("@")[2] in ("", "room")}

    def missing(self) -> list[str]:
        pipeline = yaml.safe_load((self.folder / "dvc.yaml").read_text())["stages"].values()
        outs = [out.replace("${key}", "room") for stage in pipeline for out in names(stage.get("do", stage))]
        return [out for out in outs if not (self.folder / out).exists()]


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Checkout:
    """A checkout that played two sets of parameters, as its git remote and its DVC remote know it."""
    checkout = Checkout(tmp_path_factory.mktemp("first"))
    for name in (".gitignore", ".dvcignore"):
        (checkout.folder / name).write_text((ROOT / name).read_text())
    pipeline = small(yaml.safe_load((ROOT / "dvc.yaml").read_text()))
    (checkout.folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    (checkout.folder / "writer.py").write_text(WRITER)
    checkout.run("git", "init", "-q")
    checkout.dvc("init", "-q")
    checkout.dvc("remote", "add", "-q", "-d", "shared", str(tmp_path_factory.mktemp("remote")))
    assert checkout.reproduce(seed=1, levels=10) == list(pipeline["stages"])
    assert checkout.reproduce(seed=2, levels=20) == list(pipeline["stages"])
    return checkout


def test_going_back_to_earlier_parameters_runs_no_stage_again(first):
    assert first.reproduce(seed=1, levels=10) == []
    assert first.missing() == []


def test_after_a_run_of_another_mix_the_first_one_computes_nothing_again_and_has_its_own_lock(first):
    first.reproduce(seed=1, levels=10)
    before = first.locked()
    assert "warm_start" in first.reproduce(seed=1, levels=10, mix=("room", "maze"))
    assert (first.folder / "data/tasks/maze").is_dir()
    assert first.reproduce(seed=1, levels=10) == ["entries"]  # it removed what was left over; all others were restored
    assert first.locked() == before
    assert [path.name for path in (first.folder / "data/tasks").iterdir()] == ["room"]


def test_a_second_clone_pulls_everything_and_runs_no_stage(first, tmp_path):
    assert first.reproduce(seed=1, levels=10) == []
    first.run("git", "add", "dvc.yaml", "dvc.lock", ".dvc", ".gitignore", ".dvcignore", "params.yaml", "writer.py")
    first.run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "The pipeline")
    first.dvc("push", "-q", "--run-cache")
    first.run("git", "clone", "-q", ".", str(tmp_path / "second"))
    second = Checkout(tmp_path / "second")
    second.dvc("pull", "-q", "--run-cache")
    assert second.reproduce(seed=1, levels=10) == []
    assert second.missing() == []


def test_metrics_show_the_few_figures_of_each_stage_and_no_table(first):
    shown = json.loads(first.dvc("metrics", "show", "--json"))
    stages = ("warm_start", "pass_rate", "co_evolve", "held_out")
    assert set(shown[""]["data"]) == {f"metrics/{name}.json" for name in stages}


def test_a_complete_run_may_begin_anew_only_when_dvc_holds_what_it_put_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkout, cache = Checkout(tmp_path), tmp_path / ".dvc/cache"
    stage = small(yaml.safe_load((ROOT / "dvc.yaml").read_text()))["stages"]["co_evolve"] | {"deps": ["writer.py"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"co_evolve": stage}}))
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "writer.py").write_text(WRITER)
    checkout.dvc("init", "-q", "--no-scm")
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "files").touch()  # no folder can be made there: it fails as on a full disk
    with pytest.raises(AssertionError):
        checkout.dvc("repro", "-q")
    state = StateFolder(tmp_path / "runs/co_evolve/abc", "abc")
    state.finish(stored.digests())
    stored.look()
    assert state.outs_to_store() == stored.digests()

    (cache / "files").unlink()
    checkout.dvc("repro", "-q")
    stored.look()
    assert state.outs_to_store() is None
    assert (tmp_path / "ran.log").read_text().split() == ["co_evolve"] * 2


def test_a_run_cache_that_a_kill_left_unfinished_stops_no_later_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkout = Checkout(tmp_path)
    stage = {"cmd": "echo ran >> ran.log && echo made > out", "deps": ["dep"], "outs": ["out"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"making": stage}}))
    (tmp_path / "dep").touch()
    checkout.dvc("init", "-q", "--no-scm")
    checkout.dvc("repro", "-q")
    (kept,) = (tmp_path / ".dvc/cache/runs").glob("*/*/*")
    for left in (None, ".half.tmp"):
        (tmp_path / "dvc.lock").unlink()
        for file in kept.parent.iterdir():
            file.unlink()
        if left:
            (kept.parent / left).write_text("cmd: ec")
            os.utime(kept.parent / left, (0, 0))
        run_cache.mend()
        assert kept.parent.exists()  # a DVC may be at work in it
        os.utime(kept.parent, (0, 0))
        run_cache.mend()
        assert not kept.parent.exists()
        checkout.dvc("repro", "-q")
    assert (tmp_path / "ran.log").read_text().split() == ["ran"] * 3
    run_cache.mend()
    assert kept.exists()
