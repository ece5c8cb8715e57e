"""Parameters of the extractor's work, and of both models' learning."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from crl.config.base import Section
from crl.config.correction import CorrectionConfig
from crl.config.play import Prompts
from crl.config.rollout import SamplingConfig


class DistilConfig(Section):
    source: Literal["guided", "all"] = Field("guided", description="which episodes are distilled; the paper: guided")
    max_operations: int = Field(3, ge=1, description="per completion, enforced")
    transcript_turns: int | None = Field(None, ge=1, description="last turns shown to the extractor; null: all")
    sampling: SamplingConfig = Field(default_factory=lambda: SamplingConfig(top_p=0.99, top_k=50, max_new_tokens=8192))


class MergeConfig(Section):
    every_rounds: int = Field(5, ge=0, description="0: never; 5 in the paper")
    items_per_call: int = Field(5, ge=2, description="entries per extractor call")
    max_calls: int = Field(64, ge=1, description="extractor calls per table and merge, so that a merge is bounded")
    spare: float | None = Field(
        None,
        gt=0.5,
        lt=1,
        description="probability of a positive effect above which a measured entry is not given to a merge; null: all are, as in "
        "the paper",
    )


class ExtractorConfig(Section):
    prompts: Prompts = "full"
    distil: DistilConfig = Field(default_factory=DistilConfig)
    merge: MergeConfig = Field(default_factory=MergeConfig)
    until_round: int | None = Field(
        None, ge=0, description="from this round on nothing is distilled or merged (0: never anything); null: always"
    )
    reward: str = Field(
        "outcome",
        description="outcome (the paper's): 1 if an episode that was shown the text succeeded, else 0; difference: less the rate "
        "of the group's free half; effect: what the bank believes of the entry; probe: the outcome less what its probes found "
        "memorised; reference_table: the public code's; or "
        "module:function",
    )
    probe_pairs: int = Field(
        0,
        ge=0,
        description="pairs of groups a round that show one entry on the instance that it was written on and on another, for "
        "extractor/memorisation; 0: none, as in the paper",
    )
    invalid_reward: float | None = Field(
        None,
        le=0,
        description="reward of an unparsable completion, say -0.5 where distil/valid_share stays low; null: no "
        "sample, as in the paper",
    )


class AdamConfig(Section):
    lr: float = Field(1e-6, gt=0, description="constant; 1e-6 in the paper")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's, per step and unit of learning rate")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are scaled down to this L2 norm")
    micro_batch_tokens: int = Field(16_384, ge=64, description="padded tokens per forward pass")
    checkpointing: bool = Field(
        False, description="recompute each layer in the backward pass: a third more time, a fraction of the activations"
    )


ALL_LINEAR = "all-linear"


class LoraConfig(Section):
    """An adapter that learns in place of the weights, which stay as they are: y = W x + alpha / rank * B A x (arXiv 2106.09685)."""

    rank: int = Field(0, ge=0, description="columns of A and rows of B; 0: no adapter, all weights learn (the paper)")
    alpha: float = Field(32.0, gt=0, description="the adapter's product is scaled by alpha / rank")
    targets: tuple[str, ...] = Field(
        (ALL_LINEAR,),
        description="layers that get one: all-linear (all but the output layer), or names such as [q_proj, v_proj]",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="0 alone: ratios need exact log-probs")

    @model_validator(mode="after")
    def _log_probs_are_exact(self) -> "LoraConfig":
        if self.dropout:
            raise ValueError(
                f"dropout = {self.dropout}: the trainer's log-probs would not be those of the weights that sampled, and importance "
                "ratios would measure noise. Remedy: 0"
            )
        return self

    @field_validator("targets", mode="before")
    @classmethod
    def _one_name_is_a_list_of_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _targets_are_names(self) -> "LoraConfig":
        if not all(self.targets) or not self.targets or (ALL_LINEAR in self.targets and len(self.targets) > 1):
            raise ValueError(
                f"targets = {list(self.targets)}: names no layers. Remedy: {ALL_LINEAR} by itself, or names of layers"
            )
        return self


Objective = Annotated[
    str, Field(description="loss: grpo (the paper's for actors), cispo (for extractors), or module:Class")
]
ClipLow = Annotated[
    float,
    Field(gt=0, lt=1, description="lowest importance ratio: 1 - this; the objective says what happens below"),
]
ClipHigh = Annotated[
    float, Field(gt=0, description="highest importance ratio: 1 + this; the objective says what happens above")
]


class LearningConfig(Section):
    """What both models have."""

    optimizer: AdamConfig = Field(default_factory=AdamConfig)
    objective: Objective
    clip_low: ClipLow
    clip_high: ClipHigh
    dual_clip: float | None = Field(
        None,
        gt=1,
        description="of grpo: largest ratio where the advantage is negative, say 3; null: none, as in the paper",
    )
    correction: CorrectionConfig = Field(default_factory=CorrectionConfig)
    max_mismatch: float | None = Field(
        None,
        gt=0,
        description="mean nats between the engine's log-probs and the trainer's on the same weights, above which the run stops "
        "before it learns from them; null: a line in the log",
    )
    aggregation: Literal["sequence", "token"] = Field(
        "sequence", description="sequence: mean over sequences of their token means"
    )
    kl_coef: float = Field(0.0, ge=0, description="k3 estimate against the base model; 0 in the paper")
    lora: LoraConfig = Field(default_factory=LoraConfig)
    workers: int | None = Field(
        None,
        ge=1,
        description="processes of its own over which the learner is sharded, on a GPU each where there are some; null: none, it "
        "learns in the run's process",
    )
    placed: Literal["here", "ray"] = Field(
        "here",
        description="where its workers are: on this machine, or on the nodes of the Ray cluster (run.task_runner: ray)",
    )
    freeze: bool = Field(False, description="never update the model (an ablation)")

    @property
    def adapter(self) -> LoraConfig | None:
        """What learns in place of the weights; None: all weights learn, or none."""
        return self.lora if self.lora.rank and not self.freeze else None


class ActorLearningConfig(LearningConfig):
    objective: Objective = "grpo"
    advantage: str = Field(
        "mean", description="baseline inside each subgroup: mean (the paper's), mean_std, rloo, or module:function"
    )
    clip_low: ClipLow = 0.2
    clip_high: ClipHigh = 0.2
    flat_groups: Literal["skip", "count"] = Field(
        "count", description="subgroups without variance: left out, or counted in the mean"
    )
    steps_per_round: int = Field(1, ge=1, description="optimiser steps a round's batch is split into; 1 in the paper")
    max_staleness: int = Field(1, ge=0, description="versions between sampling and update; older episodes are dropped")
    internalise: float = Field(
        0.0,
        ge=0,
        description="weight with which guided successes are also trained with the experience taken out of their prompt; "
        "0: off (the paper)",
    )


class GuardConfig(Section):
    """When an update of the extractor is taken back: `crl.learn.guard`."""

    fall: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="an update is taken back after which the share of valid replies is lower than its running level by more than "
        "this share of it; null: never, as in the paper",
    )
    replies: int = Field(
        32, ge=8, description="replies by which new weights are judged, at least; until then they learn nothing further"
    )


class ExtractorLearningConfig(LearningConfig):
    objective: Objective = "cispo"
    clip_low: ClipLow = 0.1
    clip_high: ClipHigh = 0.1
    batch: int = Field(64, ge=2, description="distinct completions per update; 64 in the paper")
    buffer: int = Field(256, ge=2, description="completions kept; more than batch, so that waiting loses nothing")
    max_staleness: int | None = Field(
        None,
        ge=0,
        description="versions between sampling and update; older completions are neither credited nor trained. null: any, as in "
        "the paper",
    )
    cooldown_rounds: int = Field(
        0, ge=0, description="a completion trained fewer rounds ago has weight 0; 0: off, else 2 or more"
    )
    repeat_power: float = Field(0.5, ge=0, description="weight (1 + times trained)^-power; 0: off")
    guard: GuardConfig = Field(default_factory=GuardConfig)

    @model_validator(mode="after")
    def _room(self) -> "ExtractorLearningConfig":
        if self.buffer <= self.batch:
            raise ValueError(
                f"learn.extractor.buffer = {self.buffer} must exceed learn.extractor.batch = {self.batch}, "
                "else waiting for an update evicts samples. Remedy: at least twice the batch"
            )
        return self

    @model_validator(mode="after")
    def _cooldown_cools(self) -> "ExtractorLearningConfig":
        if self.cooldown_rounds == 1:
            raise ValueError(
                "learn.extractor.cooldown_rounds = 1: a round has one update, so whatever was trained was trained a round ago "
                "or more, and nothing cools. Remedy: 0, or 2 or more"
            )
        return self


class LearnConfig(Section):
    actor: ActorLearningConfig = Field(default_factory=ActorLearningConfig)
    extractor: ExtractorLearningConfig = Field(default_factory=ExtractorLearningConfig)


class RoundsConfig(Section):
    count: int = Field(512, ge=1, description="rounds of co-evolution; 512 in the paper")
    bank_warmup: int = Field(
        5, ge=0, description="first rounds that fill the bank: no retrieval, no actor update; 5 in the paper"
    )
    extractor_head_start: int = Field(
        0, ge=0, description="rounds after the bank's warm-up in which the extractor alone learns; 0 in the paper"
    )
    keep_checkpoints: int = Field(2, ge=1, description="newest checkpoints kept on disk")
    background_wait_s: float = Field(600.0, gt=0, description="longest wait for background work at a round's end")


class RecordConfig(Section):
    traced_episodes: int = Field(2, ge=0, description="episodes per round recorded as MLflow traces")
    transcripts: int = Field(4, ge=0, description="episodes per round kept as text for the report")
