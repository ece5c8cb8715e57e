"""Typed parameters: the one description of what a run is.

`params.yaml` at the top of the repository is composed by Hydra from `conf/` and holds every field below.
`load` refuses unknown fields and bad values before anything runs.
"""

from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from crl.config.bank import BankConfig
from crl.config.base import explain, field_names
from crl.config.checks import LearningChecks
from crl.config.choices import (
    ACTOR_PROMPTS,
    ADVANTAGES,
    EXTRACTOR_PROMPTS,
    OBJECTIVES,
    OBSERVATIONS,
    REWARDS,
    VECTOR_STORES,
)
from crl.config.learn import ExtractorConfig, LearnConfig, LearningConfig, RecordConfig, RoundsConfig
from crl.config.play import (
    ActorConfig,
    EnvsConfig,
    EvaluateConfig,
    FilterConfig,
    ModelConfig,
    ModelsConfig,
    PassRateConfig,
    RetrievalConfig,
    RunConfig,
    TasksConfig,
    WarmStartConfig,
)
from crl.config.rollout import LEAST_HALF, RolloutConfig
from crl.config.servers import EngineConfig, ServersConfig
from crl.errors import ConfigError

__all__ = ["NO_RESULT", "Config", "Role", "RoleConfig", "field_names", "from_mapping", "load", "read"]

Role = Literal["actor", "extractor"]
NO_RESULT: dict[str, Any] = {"servers": True, "run": {"stall_s"}}  # parameters that change none: pydantic's `exclude`


@dataclass(frozen=True, slots=True)
class RoleConfig:
    """What the parameters say of one of the two models that are trained."""

    model: ModelConfig
    learn: LearningConfig


class Config(LearningChecks):
    """All parameters of a run; sections follow the order of the data."""

    profile: str = Field("custom", description="name of the profile these values come from")
    run: RunConfig = Field(default_factory=RunConfig)
    tasks: TasksConfig
    envs: EnvsConfig = Field(default_factory=EnvsConfig)
    models: ModelsConfig = Field(default_factory=ModelsConfig)
    warm_start: WarmStartConfig = Field(default_factory=WarmStartConfig)
    pass_rate: PassRateConfig = Field(default_factory=PassRateConfig)
    filter: FilterConfig = Field(default_factory=FilterConfig)
    servers: ServersConfig = Field(default_factory=ServersConfig)
    engine: EngineConfig = Field(default_factory=EngineConfig)
    rollout: RolloutConfig = Field(default_factory=RolloutConfig)
    actor: ActorConfig = Field(default_factory=ActorConfig)
    retrieval: RetrievalConfig = Field(default_factory=RetrievalConfig)
    bank: BankConfig = Field(default_factory=BankConfig)
    extractor: ExtractorConfig = Field(default_factory=ExtractorConfig)
    learn: LearnConfig = Field(default_factory=LearnConfig)
    rounds: RoundsConfig = Field(default_factory=RoundsConfig)
    evaluate: EvaluateConfig = Field(default_factory=EvaluateConfig)
    record: RecordConfig = Field(default_factory=RecordConfig)

    def role(self, name: Role) -> RoleConfig:
        """The model and the learning of `name`."""
        return RoleConfig(getattr(self.models, name), getattr(self.learn, name))

    @model_validator(mode="after")
    def _tried_tasks_are_in_the_mix(self) -> "Config":
        if strangers := [name for name in self.pass_rate.tasks if name not in self.tasks.mix]:
            raise ValueError(
                f"pass_rate.tasks = {strangers}: not in tasks.mix. Remedy: choose from {', '.join(self.tasks.mix)}"
            )
        return self

    @model_validator(mode="after")
    def _containers_end_before_calls(self) -> "Config":
        sandbox, limit = self.envs.sandbox, self.envs.call_timeout_s
        cold_start_s = 30  # and the end of a container
        longest = max(sandbox.command_timeout_s, sandbox.grading_timeout_s) + cold_start_s
        if limit < longest and self.tasks.in_containers:
            raise ValueError(
                f"envs.call_timeout_s = {limit}: a command or the grading in a container may take {longest:g} s, and would look "
                f"like a hung worker. Remedy: at least {longest:g}, or lower envs.sandbox.grading_timeout_s and command_timeout_s"
            )
        return self

    @model_validator(mode="after")
    def _context_fits(self) -> "Config":
        for role, longest, field in (
            ("actor", self.rollout.sampling.max_new_tokens, "rollout.sampling.max_new_tokens"),
            ("extractor", self.extractor.distil.sampling.max_new_tokens, "extractor.distil.sampling.max_new_tokens"),
        ):
            context = self.role(role).model.context_tokens
            if longest >= context:
                raise ValueError(
                    f"{field} = {longest} leaves no room for a prompt in models.{role}.context_tokens = {context}. "
                    "Remedy: lower the first or raise the second"
                )
        return self

    @model_validator(mode="after")
    def _lockstep_is_one_process(self) -> "Config":
        kind, runner = self.engine.kind, self.run.task_runner
        needed = {"engine.kind": (kind, "transformers", self.engine.declared.lockstep)}
        needed["run.task_runner"] = (runner, "threads", runner == "threads")
        for field, (value, remedy, holds) in needed.items():
            if self.run.schedule == "lockstep" and not holds:
                raise ValueError(
                    f"{field} = {value!r}: the lockstep schedule orders every step inside one process. "
                    f"Remedy: run.schedule: async, or {field}: {remedy}"
                )
        if runner == "ray" and not self.engine.declared.remote:
            raise ValueError(
                f"engine.kind = {kind!r}: nodes of a Ray cluster share generation servers, not this process's "
                "engine. Remedy: engine.kind: server, with servers.actor and servers.extractor"
            )
        return self

    @model_validator(mode="after")
    def _lockstep_embeds_here(self) -> "Config":
        if self.run.schedule == "lockstep" and self.servers.embedder:
            raise ValueError(
                f"servers.embedder = {list(self.servers.embedder)}: a server's last bits depend on batch mates, and lockstep "
                "promises the same bytes. Remedy: run.schedule: async, or embed in this process (servers.embedder: [])"
            )
        return self

    @model_validator(mode="after")
    def _named_implementations_are_known(self) -> "Config":
        for role in get_args(Role):
            OBJECTIVES.check(self.role(role).learn.objective, f"learn.{role}.objective")
        OBSERVATIONS.check(self.envs.observation, "envs.observation")
        ACTOR_PROMPTS.check(self.actor.prompts, "actor.prompts")
        EXTRACTOR_PROMPTS.check(self.extractor.prompts, "extractor.prompts")
        VECTOR_STORES.check(self.bank.index, "bank.index")
        return self

    @model_validator(mode="after")
    def _the_reward_can_be_called(self) -> "Config":
        name = self.extractor.reward
        reward = REWARDS.load(name, "extractor.reward")
        for keywords in ({}, {"evidence": None}):
            with suppress(TypeError):
                signature(reward).bind(None, asked=False, **keywords)
                return self
        raise ValueError(
            f"extractor.reward = {name!r} takes {signature(reward)}. Remedy: (episode, *, asked), or (episode, *, asked, evidence) "
            "where it asks what is known beyond the episode"
        )

    @model_validator(mode="after")
    def _probes_have_their_groups(self) -> "Config":
        pairs, rollout = self.extractor.probe_pairs, self.rollout
        if self.extractor.reward == "probe" and not pairs:
            raise ValueError(
                "extractor.reward = 'probe' with extractor.probe_pairs = 0: nothing would be probed. Remedy: probe_pairs: 1, or "
                "reward: outcome"
            )
        if pairs and (2 * pairs > rollout.groups or not 0 < rollout.free_per_group < rollout.group_size):
            raise ValueError(
                f"extractor.probe_pairs = {pairs}: each pair takes two of rollout.groups = {rollout.groups}, which need free and "
                f"guided episodes (rollout.free_per_group = {rollout.free_per_group} of {rollout.group_size}). Remedy: fewer "
                "pairs, or both halves"
            )
        return self

    @model_validator(mode="after")
    def _hybrid_search_is_for_nodes(self) -> "Config":
        if self.bank.weaviate.hybrid_alpha is not None and self.run.task_runner != "ray":
            raise ValueError(
                f"bank.weaviate.hybrid_alpha = {self.bank.weaviate.hybrid_alpha}: only nodes search Weaviate; a run that plays its "
                "shards itself searches its own index, by vectors. Remedy: hybrid_alpha: null, or run.task_runner: ray"
            )
        return self

    @model_validator(mode="after")
    def _what_is_written_is_read(self) -> "Config":
        until, guidance, rollout = self.extractor.until_round, self.actor.guidance, self.rollout
        if until is not None and until > self.rounds.count:
            raise ValueError(
                f"extractor.until_round = {until}: the run ends after rounds.count = {self.rounds.count}. Remedy: null"
            )
        if guidance != "bank" and (until != 0 or self.actor.ask.enabled or self.bank.start):
            raise ValueError(
                f"actor.guidance = {guidance!r}: nothing reads the bank but the ask tool. Remedy: extractor.until_round: 0, "
                "actor.ask.enabled: false and bank.start: null"
            )
        left_empty = until == 0 and self.bank.start is None
        if guidance == "bank" and left_empty and rollout.free_per_group < rollout.group_size:
            raise ValueError(
                f"extractor.until_round = 0: the bank stays empty, and {rollout.guided_per_group} episodes of "
                f"each group would look into it. Remedy: rollout.free_per_group: {rollout.group_size}, or a bank.start"
            )
        return self

    @model_validator(mode="after")
    def _transcripts_stay_with_the_run(self) -> "Config":
        if self.actor.guidance == "transcripts" and self.run.task_runner == "ray":
            raise ValueError(
                "actor.guidance = 'transcripts': nodes are sent the bank, not the episodes. Remedy: run.task_runner: threads"
            )
        return self

    @model_validator(mode="after")
    def _effects_are_measured(self) -> "Config":
        """Where something goes by them: what is measured is guided against free episodes."""
        retire, spare = self.bank.retire.certainty, self.extractor.merge.spare
        by_effect = {
            "retrieval.rule": (self.retrieval.rule, self.retrieval.rule != "newest"),
            "bank.retire.certainty": (retire, retire is not None),
            "bank.evict": (self.bank.evict, self.bank.evict == "effect"),
            "extractor.merge.spare": (spare, spare is not None),
        }
        for field, (value, needs) in by_effect.items():
            if needs and self.rollout.free_per_group == 0:
                raise ValueError(
                    f"{field} = {value!r}: goes by effects, which are measured against free episodes, and "
                    "rollout.free_per_group = 0 plays none. Remedy: rollout.free_per_group of 1 or more, or the paper's "
                    "retrieval.rule: newest, bank.retire.certainty: null, bank.evict: fifo, extractor.merge.spare: null"
                )
        return self

    @model_validator(mode="after")
    def _subgroups_are_large_enough(self) -> "Config":
        name = self.learn.actor.advantage
        least = getattr(ADVANTAGES.load(name, "learn.actor.advantage"), "at_least", 1)
        free, guided = self.rollout.free_per_group, self.rollout.guided_per_group
        if self.rollout.guided_share == "utility":
            free = guided = LEAST_HALF  # either may shrink to it
        if any(0 < size < least for size in (free, guided)):
            raise ValueError(
                f"learn.actor.advantage = {name!r} needs subgroups of 0 or at least {least} episodes, not {free} free and "
                f"{guided} guided. Remedy: change rollout.free_per_group or use 'mean'"
            )
        return self


def from_mapping(values: dict[str, Any]) -> Config:
    """Validate a plain mapping. Raises ConfigError with one line per fault."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise explain(error, Config) from None


def read(path: str | Path = "params.yaml") -> dict[str, Any]:
    """The plain mapping of a parameter file, not validated. Raises ConfigError."""
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"{file}: no such file. Remedy: run in the repository's root, or pass --params FILE")
    try:
        values = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid YAML ({error}). Remedy: correct the syntax") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: holds no mapping. Remedy: copy one of conf/profile/*.yaml")
    return values


def load(path: str | Path = "params.yaml") -> Config:
    """Read and validate a parameter file. Raises ConfigError."""
    return from_mapping(read(path))
