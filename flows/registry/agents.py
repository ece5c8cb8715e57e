"""What is registered: agents, as `mlflow/registry.yaml` says.

An agent is actor + extractor + bank, as one folder and one version of one registered model, so that no part can be
promoted or rolled back without the others:

    agent/actor/  agent/extractor/  agent/bank/    left out where they are too large to be copied each round
    agent/agent.json                               parameters, lineage, round, and what the parts are by content
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from pydantic import TypeAdapter

from crl.config import NO_RESULT, Config
from crl.files import digest_folder, round_folder, write_json
from crl.learn.stored import digest_weights
from crl.publish.outputs import ROLES, AgentId
from crl.round.coevolution import CoEvolution
from crl.round.report import RoundReport
from flows.stage.lineage import LINEAGE_TAG
from flows.stage.paths import BANK, BASE, HOME, MODELS, STATE
from flows.tracking.spool import link_or_copy
from flows.tracking.stage_record import StageRecord

MLFLOW = Path(__file__).parents[2] / "mlflow"
POLICY = MLFLOW / "registry.yaml"
PARTS = (*ROLES, "bank")
DESCRIPTION = "agent.json"
EVALUATION = "evaluation.json"
FORMAT = 1
FILES_TAG = "crl.files"
BANK_TAG = "crl.digest.bank"  # of its content, as each part has one


@dataclass(frozen=True)
class Aliases:
    candidate: str
    champion: str
    former: str


@dataclass(frozen=True)
class RegistryPolicy:
    model: str  # name of the registered model
    aliases: Aliases
    files_up_to_mb: float
    keep_candidates: int


def policy() -> RegistryPolicy:
    """What `mlflow/registry.yaml` says."""
    return TypeAdapter(RegistryPolicy).validate_python(yaml.safe_load(POLICY.read_text()))


def serving() -> dict[str, Any]:
    """What a version needs besides its files to be served, for `model_versions.pyfunc_folder`: `mlflow/served_agent.yaml`, with
    the libraries' versions of today. The model's code is `mlflow/served_agent.py`."""
    values = yaml.safe_load((MLFLOW / "served_agent.yaml").read_text())
    pinned = [f"{name}=={version(name).partition('+')[0]}" for name in values.pop("packages")]
    return {**values, "code": str(MLFLOW / "served_agent.py"), "pip_requirements": pinned}


def candidate(record: StageRecord, co: CoEvolution, report: RoundReport) -> AgentId:
    """Register the agent as this round committed it; it becomes the candidate. Never waits for the tracker. Returns which it is.

    Small agents are kept with their files, larger ones by reference to the checkpoint. Call it before the next update: until
    then the learners hold what the round committed.
    """
    rules, snapshot = policy(), round_folder(co.parts.state.snapshots, report.round)
    updates = {role: int(getattr(co.parts, role).version) for role in ROLES}
    size = sum(_bytes(folder) for folder in (*(BASE / role for role in ROLES), snapshot))
    with TemporaryDirectory(prefix="crl-agent-") as scratch:
        folder = Path(scratch) / "agent"
        if size <= rules.files_up_to_mb * 2**20:
            for role in ROLES:
                getattr(co.parts, role).export(folder / role)
            shutil.copytree(snapshot, folder / "bank")
            digests, place = [digest_folder(folder / part) for part in PARTS], None
        else:
            checkpoint = round_folder(co.parts.state.checkpoints, report.round)
            digests = [*_digests_of(checkpoint), digest_folder(snapshot)]
            place = f"{STATE.relative_to(HOME)}/{co.lineage}/checkpoints/{checkpoint.name}"
            # Of a version without files no more stay than there are checkpoints.
            rules = replace(rules, keep_candidates=min(rules.keep_candidates, co.config.rounds.keep_checkpoints))
        agent = AgentId(co.lineage, report.round, *digests)
        _register(record, rules, folder, agent, co.config, updates, checkpoint=place)
    return agent


def published_agent(lineage: str) -> AgentId:
    """The agent that `co_evolve` has put out: `models/` and the newest snapshot of `bank/`."""
    return AgentId.put_out(lineage, MODELS, BANK)


def published(record: StageRecord, config: Config, lineage: str, evaluation: Mapping | None = None) -> AgentId:
    """Register what `co_evolve` has put out, with its files, whatever their size; with its evaluation where there is one.

    In lockstep it is the last round's candidate: the same version. What an async run carried over makes another.
    """
    agent, rules = published_agent(lineage), policy()
    with TemporaryDirectory(prefix="crl-agent-", dir=BASE.parent) as scratch:  # one file system: large files are linked
        folder = Path(scratch) / "agent"
        for role in ROLES:
            shutil.copytree(MODELS / role, folder / role, copy_function=link_or_copy)
        shutil.copytree(round_folder(BANK, agent.round), folder / "bank", copy_function=link_or_copy)
        if evaluation is not None:
            write_json(folder / EVALUATION, evaluation)
        _register(record, rules, folder, agent, config)
    return agent


def describe(folder: Path, agent: AgentId, config: Config, checkpoint: str | None = None) -> None:
    """Write DESCRIPTION. What changes no result stays out, addresses among it: an agent is served elsewhere."""
    values = {
        "format": FORMAT,
        "lineage": agent.lineage,
        "round": agent.round,
        "digests": {part: getattr(agent, part) for part in PARTS},
        "checkpoint": checkpoint,  # where the weights lie when they are not beside this file
        "config": config.model_dump(mode="json", exclude=NO_RESULT),
    }
    write_json(folder / DESCRIPTION, values)


def _register(
    record: StageRecord, rules: RegistryPolicy, folder: Path, agent: AgentId, config: Config, updates: Mapping[str, int] = {},
    checkpoint: str | None = None,
) -> None:  # fmt: skip
    """Describe and record the agent in `folder`; its weights are there, or in a checkpoint of the run."""
    describe(folder, agent, config, checkpoint)
    tags = {
        LINEAGE_TAG: agent.lineage,
        "crl.round": str(agent.round),
        "crl.profile": config.profile,
        FILES_TAG: str(checkpoint is None).lower(),
        **{f"crl.digest.{part}": getattr(agent, part) for part in PARTS},
        **{f"crl.updates.{role}": str(count) for role, count in updates.items()},
    }
    record.model(
        agent.id, rules.model, folder, place=agent.folder, alias=rules.aliases.candidate, tags=tags,
        serving=serving() if checkpoint is None else None, keep=rules.keep_candidates, step=agent.round,
    )  # fmt: skip


def _digests_of(checkpoint: Path) -> list[str]:
    """The models' weights by content; a frozen model is not in the checkpoint, it is the base's. An adapter's base is the
    lineage's."""
    return [
        digest_weights(checkpoint / role) if (checkpoint / role).is_dir() else digest_folder(BASE / role)
        for role in ROLES
    ]


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
