"""What a complete run has put out, read from its checkout: which agent it is, what it began as, and how it did."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import RepoCard

from crl.bank.snapshot import FILE_NAME
from crl.config import Config, load
from crl.errors import DataError
from crl.evaluation.statistics import EvaluationSummary
from crl.files import digest_folder, read_json, round_folder, rounds_in
from crl.models.context import config_file
from crl.models.shelf import PUBLISHED, located
from crl.report.inputs import read_evaluation
from crl.round.state import lineage_id, run_inputs
from crl.tasks.sets import TaskSets, levels_digest
from crl.types import stable_id

ROLES = ("actor", "extractor")


@dataclass(frozen=True)
class AgentId:
    """Which agent this is, by where it comes from and what it is made of."""

    lineage: str
    round: int
    actor: str  # digests of content
    extractor: str
    bank: str

    @classmethod
    def put_out(cls, lineage: str, models: Path, bank: Path) -> "AgentId":
        """Of what `co_evolve` has put out: both models, and the newest snapshot. Raises DataError without one."""
        rounds = rounds_in(bank)
        if not rounds:
            raise DataError(f"{bank}: no snapshot. Remedy: run the stage co_evolve (`dvc repro co_evolve`)")
        parts = (*(models / role for role in ROLES), round_folder(bank, rounds[-1]))
        return cls(lineage, rounds[-1], *(digest_folder(part) for part in parts))

    @property
    def id(self) -> str:
        """The same agent, registered again, is the same version."""
        return stable_id("agent", self.lineage, self.round, self.actor, self.extractor, self.bank)

    @property
    def folder(self) -> str:
        """Its place among a run's artifacts."""
        return f"agents/round_{self.round:04d}-{self.id[:8]}"


@dataclass(frozen=True)
class BaseModel:
    """What a role's model was before the run."""

    name: str  # for people
    hub: str | None = None  # owner/model, where the hub has it
    license: str | None = None  # as the hub spells it; None: not known here

    @classmethod
    def of(cls, source: str) -> "BaseModel":
        """By `models.<role>.source`; a folder is called by its own name alone."""
        if source == "scratch":
            return cls("trained from scratch in this run")
        if source in PUBLISHED:
            return cls(PUBLISHED[source].origin, PUBLISHED[source].origin, PUBLISHED[source].license.lower())
        file = config_file(located(source))
        told = None
        if file and (card := file.parent / "README.md").is_file():
            told = RepoCard.load(card, ignore_metadata_errors=True).data.get("license")
        is_hub = not Path(source).is_dir() and len(Path(source).parts) == 2 and not Path(source).is_absolute()
        return cls(source if is_hub else Path(source).name, source if is_hub else None, told)


@dataclass(frozen=True)
class Outputs:
    """A run's outputs, and what their cards tell of them."""

    config: Config
    agent: AgentId
    models: Path  # actor/ and extractor/
    bank: Path  # the newest snapshot's file
    evaluation: EvaluationSummary
    panel: str  # digest of the held-out levels
    levels: Mapping[str, int]  # by task
    bases: Mapping[str, BaseModel]  # by role

    @classmethod
    def read(cls, root: Path) -> "Outputs":
        """Of a checkout in which all stages have run. Raises DataError where something is missing, or is of another agent."""
        config = load(root / "params.yaml")
        tasks = TaskSets.read(root / "data/mix", config.tasks.mix)
        inputs = run_inputs(*(root / "runs/warm_start" / role for role in ROLES), tasks.digest)
        agent = AgentId.put_out(lineage_id(config, inputs), root / "models", root / "bank")
        episodes = root / "records/evaluation_episodes.json"
        if read_json(episodes)["agent"] != agent.id:
            raise DataError(
                f"{episodes}: figures of another agent than models/ and bank/ of these parameters. Remedy: `dvc repro evaluate`"
            )
        return cls(
            config, agent, root / "models", round_folder(root / "bank", agent.round) / FILE_NAME,
            read_evaluation(root / "metrics/evaluate.json"), levels_digest(tasks.evaluation),
            {name: len(levels) for name, levels in tasks.held_out.items()},
            {role: BaseModel.of(config.role(role).model.source) for role in ROLES},
        )  # fmt: skip
