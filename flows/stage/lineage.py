"""Which pipeline run a stage belongs to, and what leads from it to everything else.

`runs/pipeline.json` names the pipeline run of this checkout. A stage joins it when the parameters are the
same and neither it nor a later stage has finished in it, so a killed pipeline that is started again goes on
in its own records, also where the kill came after a stage had ended well and before DVC had written that down; otherwise the
stage begins a new one. Experiments in temporary workspaces run at once and leave that file alone:
theirs is `runs/experiments/<digest of the parameters>.json` in the checkout.

A stage that runs once per entry of the mix is called as DVC calls it: `prepare@room`.
"""

import dataclasses
import hashlib
import os
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crl.config import Config
from crl.files import read_json, write_json
from crl.round.state import lineage_id, run_inputs
from crl.tasks.sets import TaskSets
from flows.stage.git import git
from flows.stage.paths import BASE, HOME, MIX

STAGES = ("prepare", "warm_start", "pass_rate", "filter", "co_evolve", "evaluate", "report")
FILE, LOCK = Path("runs/pipeline.json"), Path("dvc.lock")
LINEAGE_TAG = "crl.lineage"  # on runs and model versions: the co-evolution that they belong to


@dataclass(frozen=True)
class PipelineRun:
    """One run of the pipeline in this checkout."""

    id: str
    params_digest: str
    profile: str
    started_ms: int
    finished: tuple[str, ...] = ()  # stages that ended well in it
    ended_ns: int = 0  # when the last of them did
    began_ms: dict[str, int] = dataclasses.field(default_factory=dict)  # each stage, when it was started first
    flow_run: str | None = None  # Prefect's id of the `pipeline` flow run that started it, if one did

    def stage_key(self, stage: str) -> str:
        """Our key of the stage's run in the tracker."""
        return f"{self.id}.{stage}"

    def after(self, stage: str) -> "PipelineRun":
        """With this stage ended well, just now."""
        return dataclasses.replace(
            self, finished=tuple(dict.fromkeys((*self.finished, stage))), ended_ns=time.time_ns()
        )

    def save(self, file: Path = FILE) -> None:
        write_json(file, dataclasses.asdict(self))


def file_of(config: Config, home: Path = HOME) -> Path:
    """Where the pipeline run of a stage with these parameters is named."""
    return FILE if home == Path() else _experiment(config, home)


def load(file: Path = FILE) -> PipelineRun | None:
    """The checkout's last pipeline run."""
    if not file.is_file():
        return None
    values = read_json(file)
    return PipelineRun(**{**values, "finished": tuple(values["finished"])})


def of_params(config: Config) -> PipelineRun | None:
    """The pipeline run of these parameters: the checkout's last one, or an experiment's that was applied to the checkout."""
    last, experiment = load(), load(_experiment(config, HOME))
    return experiment if experiment and not (last and last.params_digest == experiment.params_digest) else last


def join(config: Config, stage: str, file: Path | None = None, *, again: bool = False) -> PipelineRun:
    """The pipeline run that `stage` belongs to, new if it must be; `again`: the stage ended in it, and its end is repeated."""
    file, digest = file or file_of(config), _digest(config)
    known = load(file)
    ended = known and stage in known.finished and not (again or _is_cut_off(known, stage))
    done = ended or (known and any(comes_before(stage, other) for other in known.finished))
    now_ms = time.time_ns() // 10**6
    if known and known.params_digest == digest and not done:
        run = known
    else:
        flow_run = os.environ.get("CRL_PIPELINE_FLOW_RUN")
        run = PipelineRun(uuid.uuid4().hex[:12], digest, config.profile, now_ms, flow_run=flow_run)
    if stage not in run.began_ms:
        run = dataclasses.replace(run, began_ms={**run.began_ms, stage: now_ms})
        run.save(file)
    return run


def _is_cut_off(run: PipelineRun, stage: str) -> bool:
    """Whether the run's last stage is this one, and DVC has not written its lock since: it starts the stage again."""
    written_ns = LOCK.stat().st_mtime_ns if LOCK.exists() else 0
    return run.finished[-1:] == (stage,) and written_ns < run.ended_ns


def comes_before(stage: str, other: str) -> bool:
    """Whether the pipeline runs `stage` before `other`. A stage of a team's own has no place in it: neither before nor after."""
    names = [each.partition("@")[0] for each in (stage, other)]
    return all(name in STAGES for name in names) and STAGES.index(names[0]) < STAGES.index(names[1])


def of_stage(config: Config, stage: str) -> str | None:
    """The co-evolution's lineage id, for our stages that come after its base models and task sets exist; else None."""
    if stage != "co_evolve" and not comes_before("co_evolve", stage):
        return None
    tasks = TaskSets.read(MIX, config.tasks.mix).digest
    return lineage_id(config, run_inputs(BASE / "actor", BASE / "extractor", tasks))


def git_tags() -> dict[str, str]:
    """Commit and branch; `dirty` tells that the code was not the commit's. Empty outside a repository."""
    commit = git("rev-parse", "HEAD")
    if commit is None:
        return {}
    dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    return {
        "mlflow.source.git.commit": commit,
        "crl.git.branch": git("rev-parse", "--abbrev-ref", "HEAD") or "",
        "crl.git.dirty": str(dirty).lower(),
    }


def dvc_outs(stages: Iterable[str], lock: Path = LOCK) -> dict[str, str]:
    """`dvc.outs.<path>` -> DVC's hash of what these stages put out, as dvc.lock has it."""
    locked = _locked(lock)
    outs = (out for stage in stages for out in _outs(locked, stage).items())
    return {f"dvc.outs.{path.replace('/', '.')}": md5 for path, md5 in outs}


def dvc_inputs(stage: str, lock: Path = LOCK) -> dict[str, str]:
    """Hashes of what earlier stages put out, which is what this stage read. DVC keeps rows of other mixes: not those."""
    locked = _locked(lock)
    mix = locked.get("entries", {}).get("params", {}).get("params.yaml", {}).get("tasks.mix")
    left = {name for name in locked if mix and name.startswith("prepare@") and name.removeprefix("prepare@") not in mix}
    return dvc_outs((name for name in locked if comes_before(name, stage) and name not in left), lock)


def stored_outs(stage: str, lock: Path = LOCK) -> dict[str, str]:
    """Path -> DVC's hash of what this stage put out, as dvc.lock has it."""
    return _outs(_locked(lock), stage)


def _outs(locked: dict[str, Any], stage: str) -> dict[str, str]:
    return {out["path"]: out["md5"] for out in locked.get(stage, {}).get("outs", []) if "md5" in out}


def _digest(config: Config) -> str:
    return hashlib.blake2b(config.model_dump_json().encode(), digest_size=8).hexdigest()


def _experiment(config: Config, home: Path) -> Path:
    return home / f"runs/experiments/{_digest(config)}.json"


def _locked(lock: Path) -> dict[str, Any]:
    """Stage -> what DVC's lock file knows of it; empty where there is none."""
    return (yaml.safe_load(lock.read_text()) or {}).get("stages", {}) if lock.is_file() else {}
