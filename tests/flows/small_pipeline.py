"""The pipeline of dvc.yaml with its outs, metrics and plots as they are declared there; each stage writes small files instead."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
IDENTITY = {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
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
    made, named = set(), [artifact["path"] for artifact in pipeline["artifacts"].values()]

    def places(out: str) -> list[str]:
        return [path for path in named if Path(out) in Path(path).parents] or [out]

    for name, declared in pipeline["stages"].items():
        stage = declared.get("do", declared)
        write = f"{sys.executable} writer.py {name}"
        own = name == "entries"  # it looks after the folder of other stages: played by the real one
        written = " ".join(place for out in names(stage) for place in places(out))
        stage["cmd"] = f"{sys.executable} -m flows.entries && {write}" if own else f"{write} {written}"
        stage["deps"] = ["writer.py", *(dep for dep in stage["deps"] if dep in made)]
        made |= {out.removesuffix("/${key}") for out in names(stage)}
    return pipeline


class Checkout:
    """A clone of the small pipeline, in which `dvc` and `git` run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def make(cls, folder: Path) -> "Checkout":
        """A Git repository of it without any commit."""
        for name in (".gitignore", ".dvcignore"):
            (folder / name).write_text((ROOT / name).read_text())
        pipeline = small(yaml.safe_load((ROOT / "dvc.yaml").read_text()))
        (folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
        (folder / "writer.py").write_text(WRITER)
        checkout = cls(folder)
        checkout.run("git", "init", "-q")
        checkout.dvc("init", "-q")
        return checkout

    def clone(self, folder: Path) -> "Checkout":
        self.run("git", "clone", "-q", ".", str(folder))
        return Checkout(folder)

    def commit(self) -> None:
        """All that Git is to know: the pipeline, its lock, the parameters, the remote."""
        self.run("git", "add", "dvc.yaml", "dvc.lock", ".dvc", ".gitignore", ".dvcignore", "params.yaml", "writer.py")
        self.run("git", "commit", "-q", "-m", "The pipeline")

    def run(self, *command: str) -> str:
        done = self.ask(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What may fail."""
        environment = os.environ | IDENTITY | {"DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(ROOT)}
        options = {"cwd": self.folder, "env": environment, "capture_output": True, "text": True, "check": False}
        return subprocess.run(command, **options)

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
        return self.ran()

    def ran(self) -> list[str]:
        """The stages that ran since the log was removed."""
        log = self.folder / "ran.log"
        return log.read_text().split() if log.exists() else []

    def locked(self) -> dict[str, dict]:
        """What dvc.lock says of the stages of the mix `room`; DVC keeps the rows of others."""
        stages = yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"]
        return {name: row for name, row in stages.items() if name.partition("@")[2] in ("", "room")}

    def missing(self) -> list[str]:
        pipeline = yaml.safe_load((self.folder / "dvc.yaml").read_text())["stages"].values()
        outs = [out.replace("${key}", "room") for stage in pipeline for out in names(stage.get("do", stage))]
        return [out for out in outs if not (self.folder / out).exists()]
