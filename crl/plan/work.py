"""What a round generates and trains: tokens, from the parameters and from what episodes are assumed to be like.

The parameters give upper limits (30 turns of 4,096 tokens); what a model really says is measured only by a run, so
`Habits` are assumptions. `crl plan` prints them.
"""

from dataclasses import dataclass

from crl.config import Config, Role, RoleConfig
from crl.plan.memory import activation_bytes
from crl.plan.shapes import Shape


@dataclass(frozen=True, slots=True)
class Habits:
    """Means over a run's episodes."""

    turns: float | None = None  # None: 0.6 of the mix's mean max_steps
    turn_tokens: int = 200  # that the actor says in a turn, reasoning included
    observation_tokens: int = 250  # that a turn's observation takes
    opening_tokens: int = 800  # system prompt, first observation, experience
    distil_tokens: int = 1500  # that the extractor writes about one episode
    merge_tokens: int = 800  # and about one chunk of a merge; its prompt is taken as five times that


@dataclass(frozen=True, slots=True)
class RoleWork:
    """Tokens of one of the two models."""

    generated: float
    prefilled: float  # of prompts and observations, which are only read
    trained: float


@dataclass(frozen=True, slots=True)
class Work:
    """Of one mean round after the bank's warm-up. Tokens unless said otherwise."""

    episodes: int
    turns: float  # of an episode
    context: float  # of an episode at its end
    actor: RoleWork
    extractor: RoleWork
    distilled: float  # of one distillation: its prompt and its reply
    extractor_updates: float


@dataclass(frozen=True, slots=True)
class Planned:
    """One of the two models, and what a mean round asks of it."""

    role: Role
    shape: Shape
    config: RoleConfig
    work: RoleWork
    length: float  # of a sequence that it is trained on: an episode, or a distillation

    @property
    def dtype(self) -> str:
        return self.config.model.dtype

    @property
    def checkpointing(self) -> bool:
        return self.config.learn.optimizer.checkpointing

    @property
    def adapter(self) -> int:
        """Parameters that learn in place of the weights; 0: there is no adapter."""
        lora = self.config.learn.adapter
        return self.shape.adapter_parameters(lora) if lora else 0

    @property
    def forwards(self) -> float:
        """Forward passes over every token beside the one that learns: layers computed again, a KL term's reference, and the policy
        that an update begins with, which a correction needs from the second optimiser step on (the first one's own pass is it)."""
        learning = self.config.learn
        steps = learning.steps_per_round if self.role == "actor" else 1
        anchored = (steps - 1) / steps if learning.correction.on else 0.0
        return float(self.checkpointing) + float(learning.kl_coef > 0) + anchored

    def activations(self, tokens: int) -> int:
        """Bytes that a micro-batch of so many tokens keeps for its backward pass."""
        return activation_bytes(self.shape, tokens, self.dtype, checkpointing=self.checkpointing)


def work_of(config: Config, habits: Habits) -> Work:
    """Guided episodes pay for the gate (it reads their opening again) and for one distillation each.

    Episodes: groups x size, as if every round were refilled to its end. Context: opening + turns x (said + observed), cut
    at the context window. Trained: all tokens of all episodes; of the extractor's, `batch` samples per update, and as many
    updates as samples come in.
    """
    rollout, learn = config.rollout, config.learn
    episodes = rollout.most_groups * rollout.group_size
    guided = rollout.most_groups * rollout.guided_per_group
    said = min(habits.turn_tokens, rollout.sampling.max_new_tokens)
    turns = habits.turns or _mean_turns(config)
    context = min(
        habits.opening_tokens + turns * (said + habits.observation_tokens), config.models.actor.context_tokens
    )
    gate = min(config.actor.gate.max_new_tokens, said) if config.actor.gate.enabled else 0
    opening = min(habits.opening_tokens, context)
    generated = episodes * turns * said + guided * gate
    reply = min(habits.distil_tokens, config.extractor.distil.sampling.max_new_tokens)
    sources = guided if config.extractor.distil.source == "guided" else episodes
    distilled = min(context + reply, config.models.extractor.context_tokens)
    merges = _merges_per_round(config) if sources else 0.0
    samples = 0 if learn.extractor.freeze else sources
    return Work(
        episodes, turns, context,
        actor=RoleWork(
            generated,
            prefilled=max(0.0, episodes * context - episodes * turns * said) + (guided * opening if gate else 0),
            trained=0.0 if learn.actor.freeze else episodes * context,
        ),
        extractor=RoleWork(
            sources * reply + merges * habits.merge_tokens,
            prefilled=sources * (distilled - reply) + merges * 5 * habits.merge_tokens,
            trained=samples * distilled,
        ),
        distilled=distilled,
        extractor_updates=samples / learn.extractor.batch,
    )  # fmt: skip


def _mean_turns(config: Config) -> float:
    mix = config.tasks.mix.values()
    return 0.6 * sum(task.weight * task.max_steps for task in mix) / sum(task.weight for task in mix)


def _merges_per_round(config: Config) -> float:
    """Calls of a merge, at most, spread over the rounds between two."""
    merge = config.extractor.merge
    tables = len(config.tasks.mix) if config.bank.scope == "task" else 1
    return merge.max_calls * tables / merge.every_rounds if merge.every_rounds else 0.0
