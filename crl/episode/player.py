"""Who plays: the actor with its prompts and, where a bank guides it, with retrieval, gate and ask tool."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

from crl.actor.ask import AskTool, Retrieve
from crl.actor.gate import Gate, TaskRecord
from crl.actor.legal import LegalReplies
from crl.actor.prompts import ActorPrompts, actor_prompts
from crl.config import Config
from crl.config.play import Guide
from crl.engine.choices import Choices
from crl.engine.protocol import Engine, Sampling
from crl.envs.hosting.pool import EnvPool
from crl.episode.plan import EpisodeSpec
from crl.episode.recollections import Recollections
from crl.episode.spectators import Spectator
from crl.lockstep import Turnstile
from crl.models.chat import ChatFormat
from crl.replies.screening import TextLimits
from crl.replies.thoughts import check_marks
from crl.seeding import derive_seed


@dataclass(frozen=True)
class Player:
    """Everything an episode needs; shared by all episodes that run at once. Its parts stay the caller's to close."""

    config: Config
    run_id: str  # part of the completions' ids
    engine: Engine  # the actor's
    chat: ChatFormat
    pool: EnvPool | None  # where the environments are; None: elsewhere, and the player only continues from a history
    _: KW_ONLY
    retriever: Retrieve | None = None  # the bank's read side; None: nobody is guided (bank warm-up, free evaluation)
    records: Mapping[str, TaskRecord] | None = None  # the actor's success by task, for the gate; None: no gate
    expert: tuple[Engine, ChatFormat] | None = None  # the extractor, which answers the ask tool; None: no ask tool
    turnstile: Turnstile | None = None  # lockstep's gate
    guidance: Guide = "bank"  # what guided episodes are shown: in training and evaluation, `actor.guidance`
    recollections: Recollections | None = None  # earlier episodes, where they are shown
    temperature: float | None = None  # instead of the sampling's, for evaluation
    spectators: tuple[Spectator, ...] = ()

    @cached_property
    def prompts(self) -> ActorPrompts:
        return actor_prompts(self.config.actor)

    @cached_property
    def legal(self) -> LegalReplies | None:
        """None: the actor's replies are free. Raises ConfigError for a chat template that cannot be used with it."""
        return LegalReplies(self.prompts, self.chat) if self.config.actor.replies == "legal" else None

    @cached_property
    def drops_thoughts(self) -> bool:
        """Of passed turns. Raises ConfigError for a model whose thoughts cannot be told by its tokens."""
        drops = self.config.actor.thoughts == "drop"
        if drops:
            check_marks(self.chat)
        return drops

    @cached_property
    def gate(self) -> Gate | None:
        settings = self.config.actor.gate
        if self.records is None or not settings.enabled:
            return None
        limits = TextLimits(self.prompts.min_chars, self.config.bank.max_entry_chars)
        among = self.legal.verdicts if self.legal else None
        return Gate(self.prompts, self.run_id, settings.max_new_tokens, limits, self.records, among)

    @cached_property
    def ask(self) -> AskTool | None:
        if self.expert is None or not self.config.actor.ask.enabled:
            return None
        return AskTool(self.config, self.run_id, self.retriever, *self.expert)

    def scope(self, spec: EpisodeSpec) -> str:
        """Whose experiences may guide the episode."""
        return spec.task.name if self.config.bank.scope == "task" else "shared"

    def asking(self, spec: EpisodeSpec) -> bool:
        """Whether the episode has the ask tool, and its manual."""
        return self.ask is not None and spec.guided

    def sampling(self, spec: EpisodeSpec, turn: int, purpose: str = "act", among: Choices | None = None) -> Sampling:
        """How the episode's turn is sampled; its seed depends on the run's seed and the episode's key and task alone."""
        base, key = self.config.rollout.sampling, spec.key
        return Sampling(
            temperature=base.temperature if self.temperature is None else self.temperature,
            top_p=base.top_p,
            top_k=base.top_k,
            max_new_tokens=base.max_new_tokens,
            stop=self.prompts.stop_strings(asking=self.asking(spec)),
            among=among,
            seed=derive_seed(self.config.run.seed, purpose, key.round, key.group, key.index, spec.task.id, turn),
        )
