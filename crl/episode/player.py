"""Who plays: the actor with its prompts and, where a bank guides it, with retrieval, gate and ask tool."""

from collections.abc import Mapping
from dataclasses import dataclass

from crl.actor.ask import AskTool, Retrieve
from crl.actor.gate import Gate, TaskRecord
from crl.actor.prompts import ActorPrompts, actor_prompts
from crl.config import Config
from crl.engine.protocol import Engine, Sampling
from crl.envs.hosting.pool import EnvPool
from crl.episode.plan import EpisodeSpec
from crl.lockstep import Turnstile
from crl.models.chat import ChatFormat
from crl.replies.screening import TextLimits
from crl.seeding import derive_seed


@dataclass(frozen=True)
class Player:
    """Everything an episode needs; shared by all episodes that run at once. Made by `Player.open`."""

    config: Config
    run_id: str
    engine: Engine  # the actor's
    chat: ChatFormat
    prompts: ActorPrompts
    pool: EnvPool | None
    retriever: Retrieve | None
    gate: Gate | None
    ask: AskTool | None
    turnstile: Turnstile | None
    temperature: float | None

    @classmethod
    def open(
        cls,
        config: Config,
        run_id: str,
        engine: Engine,
        chat: ChatFormat,
        pool: EnvPool | None,
        *,
        retriever: Retrieve | None = None,
        records: Mapping[str, TaskRecord] | None = None,
        expert: tuple[Engine, ChatFormat] | None = None,
        turnstile: Turnstile | None = None,
        temperature: float | None = None,
    ) -> "Player":
        """A player of these parts, which stay the caller's to close.

        Args:
            run_id: part of the completions' ids
            engine, chat: the actor's
            pool: where the environments are; None: they are elsewhere, and the player only continues from a history
            retriever: the bank's read side; None: nobody is guided (bank warm-up, free evaluation)
            records: what the gate is told of the actor's success, by task; None: no gate, also where one is enabled
            expert: the extractor, which answers the ask tool; None: no ask tool, also where one is enabled
            turnstile: lockstep's gate
            temperature: instead of the sampling's, for evaluation
        """
        settings, gate, ask = config.actor, None, None
        prompts = actor_prompts(settings)
        if records is not None and settings.gate.enabled:
            limits = TextLimits(prompts.min_chars, config.bank.max_entry_chars)
            gate = Gate(prompts, run_id, settings.gate.max_new_tokens, limits, records)
        if expert is not None and settings.ask.enabled:
            ask = AskTool(config, run_id, retriever, *expert)
        return cls(config, run_id, engine, chat, prompts, pool, retriever, gate, ask, turnstile, temperature)

    def scope(self, spec: EpisodeSpec) -> str:
        """Whose experiences may guide the episode."""
        return spec.task.name if self.config.bank.scope == "task" else "shared"

    def asking(self, spec: EpisodeSpec) -> bool:
        """Whether the episode has the ask tool, and its manual."""
        return self.ask is not None and spec.guided

    def sampling(self, spec: EpisodeSpec, turn: int, purpose: str = "act") -> Sampling:
        """How the episode's turn is sampled; its seed depends on the run's seed and the episode's key and task alone."""
        base, key = self.config.rollout.sampling, spec.key
        return Sampling(
            temperature=base.temperature if self.temperature is None else self.temperature,
            top_p=base.top_p,
            top_k=base.top_k,
            max_new_tokens=base.max_new_tokens,
            stop=self.prompts.stop_strings(asking=self.asking(spec)),
            seed=derive_seed(self.config.run.seed, purpose, key.round, key.group, key.index, spec.task.id, turn),
        )
