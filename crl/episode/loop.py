"""The one episode loop: every environment, both models, training and evaluation go through `play`.

Tokens go in and come out as ids; each turn records exactly what it added to the context. An episode
that infrastructure loses becomes an `EpisodeFailure`: it is retried, never scored.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from typing import Protocol

from crl.actor.actions import parse_action, parse_ask
from crl.actor.ask import AskTool
from crl.actor.gate import Gate, GateReply, offered
from crl.actor.prompts import ActorPrompts
from crl.config import Config
from crl.engine.protocol import Engine, Sampling, Session
from crl.envs.contract import Observation
from crl.envs.errors import EnvCrash, EnvTimeout
from crl.envs.hosting.pool import EnvPool
from crl.episode.plan import EpisodeSpec
from crl.errors import EngineError, EnvError, RunStopped
from crl.lockstep import Turnstile
from crl.models.chat import ChatFormat
from crl.seeding import derive_seed
from crl.types import (
    AskUse,
    Completion,
    Episode,
    EpisodeFailure,
    Experience,
    FailureCause,
    Guidance,
    Outcome,
    TimedSpan,
    Turn,
    TurnKind,
)


class Retrieve(Protocol):
    """What the loop needs of the bank's read side."""

    async def retrieve(self, scope: str, text: str, *, key: str, round: int) -> list[Experience]: ...


@dataclass(frozen=True)
class Player:
    """Everything an episode needs; shared by all episodes that run at once."""

    config: Config
    run_id: str
    engine: Engine  # the actor's
    chat: ChatFormat
    prompts: ActorPrompts
    pool: EnvPool
    retriever: Retrieve | None = None  # None: nobody is guided (bank warm-up, free evaluation)
    gate: Gate | None = None
    ask: AskTool | None = None
    turnstile: Turnstile | None = None  # lockstep's gate
    temperature: float | None = None  # overrides the sampling's, for evaluation

    def scope(self, spec: EpisodeSpec) -> str:
        return spec.task.name if self.config.bank.scope == "task" else "shared"

    def sampling(self, spec: EpisodeSpec, turn: int, purpose: str = "act") -> Sampling:
        base = self.config.rollout.sampling
        return Sampling(
            temperature=base.temperature if self.temperature is None else self.temperature,
            top_p=base.top_p,
            top_k=base.top_k,
            max_new_tokens=base.max_new_tokens,
            stop=self.prompts.stop_strings(asking=self.ask is not None and spec.guided),
            seed=derive_seed(self.config.run.seed, purpose, *_key_parts(spec), turn),
        )


def _key_parts(spec: EpisodeSpec) -> tuple[int | str, ...]:
    return spec.key.round, spec.key.group, spec.key.index, spec.task.id


class _Clock:
    """Collects an episode's timeline. Two spans a turn: a plain method costs a third of a context manager."""

    def __init__(self) -> None:
        self.spans: list[TimedSpan] = []

    def add(self, name: str, began_s: float) -> None:
        self.spans.append(TimedSpan(name, began_s, time.time()))


async def play(player: Player, spec: EpisodeSpec) -> Episode:
    """Play one episode to its end. Raises EnvError or EngineError when infrastructure fails."""
    clock = _Clock()
    slot = None
    try:
        began_s = time.time()
        slot, observation = await player.pool.reset(spec.task)
        clock.add("env_step", began_s)
        guidance = await _guide(player, spec, observation, clock) if spec.guided and player.retriever else None
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(player.engine.session(str(spec.key)))
            return await _Loop(player, spec, clock, slot, session, guidance).run(observation)
    finally:
        if slot is not None:
            player.pool.release(slot)


async def _guide(player: Player, spec: EpisodeSpec, observation: Observation, clock: _Clock) -> Guidance:
    """Retrieve once at the start, and settle what is shown."""
    query = situation(observation.goal, observation.text)
    began_s = time.time()
    found = await player.retriever.retrieve(player.scope(spec), query, key=str(spec.key), round=spec.key.round)
    clock.add("retrieve", began_s)

    async def ask_gate(text: str) -> GateReply:
        began_s = time.time()
        reply = await player.gate.decide(
            player.engine, player.chat, observation, text, task=spec.task.name, key=f"{spec.key}/gate",
            sampling=player.sampling(spec, 0, "gate"),
        )  # fmt: skip
        clock.add("gate", began_s)
        return reply

    decision, shown = await offered(player.prompts, player.config.actor.inject, found, player.gate and ask_gate)
    return Guidance(
        query,
        decision,
        entry_ids=tuple(entry.id for entry in found),
        origin_ids=tuple(entry.origin.completion_id for entry in found),
        retrieved=tuple(entry.text for entry in found),
        shown=shown,
    )


def situation(goal: str, text: str) -> str:
    """What experiences are retrieved by and stored under: the goal and the first observation, as text."""
    return f"{goal}\n{text}".strip()


class _Loop:
    """The turns of one episode."""

    def __init__(self, player, spec, clock, slot, session: Session, guidance: Guidance | None) -> None:
        self.player, self.spec, self.clock = player, spec, clock
        self.slot, self.session, self.guidance = slot, session, guidance
        self.turns: list[Turn] = []
        self.asks: list[AskUse] = []
        self.reward, self.env_steps = 0.0, 0
        self.score: float | None = None
        self.asking = player.ask is not None and spec.guided

    async def run(self, observation: Observation) -> Episode:
        player, goal = self.player, observation.goal
        shown = self.guidance.shown if self.guidance else None
        new_ids = player.chat.open(player.prompts.opening(observation, shown, ask_manual=self.asking))
        text, actions, forms = observation.text, observation.actions, observation.forms
        # Every turn counts, also an invalid or an asking one: a model that never acts still ends.
        for _ in range(self.spec.task.max_steps):
            if self.session.room < len(new_ids) + 1:
                return self._finish(Outcome.TRUNCATED, goal, text)
            completion = await self._generate(new_ids)
            query = parse_ask(completion.text) if self.asking else None
            if query is not None and len(self.asks) < player.config.actor.ask.max_uses:
                message = await self._ask(text, completion, query)
            else:
                parsed = parse_action(completion.text, actions, forms)
                began_s = time.time()
                result = await player.pool.step(self.slot, parsed.action or completion.text[:200])
                self.clock.add("env_step", began_s)
                kind = TurnKind.ACTION if result.valid else TurnKind.INVALID
                self.turns.append(Turn(kind, text, completion, parsed.action, result.reward))
                self.reward += result.reward
                self.env_steps += result.valid
                self.score = result.info.get("score", self.score)
                text, actions, forms = result.observation.text, result.observation.actions, result.observation.forms
                if result.done:
                    return self._finish(result.outcome, goal, text)
                message = player.prompts.following(result.observation, valid=result.valid)
            closed = bool(completion.token_ids) and completion.token_ids[-1] in player.chat.end_ids
            new_ids = player.chat.reply([message], closed)
        return self._finish(Outcome.TIMEOUT, goal, text)

    async def _generate(self, new_ids: tuple[int, ...]) -> Completion:
        turn = len(self.turns)
        began_s = time.time()
        completion = await self.session.generate(
            new_ids, self.player.sampling(self.spec, turn), f"{self.player.run_id}/{self.spec.key}/t{turn}"
        )
        self.clock.add("generate", began_s)
        return completion

    async def _ask(self, text: str, completion: Completion, query: str):
        began_s = time.time()
        use = await self.player.ask.ask(
            query, scope=self.player.scope(self.spec), key=f"{self.spec.key}/ask{len(self.asks)}",
            round=self.spec.key.round,
        )  # fmt: skip
        self.clock.add("retrieve", began_s)
        self.asks.append(use)
        self.turns.append(Turn(TurnKind.ASK, text, completion, query))
        left = self.player.config.actor.ask.max_uses - len(self.asks)
        return self.player.prompts.answered(use.answer, uses_left=left)

    def _finish(self, outcome: Outcome | None, goal: str, text: str) -> Episode:
        if outcome is None:
            raise EnvError(f"{self.spec.task.level}: the episode ended without an outcome")
        return Episode(
            self.spec.key, self.spec.task, self.spec.guided, tuple(self.turns), outcome, self.reward, self.env_steps,
            self.guidance, tuple(self.asks), self.score, goal, text, tuple(self.clock.spans),
        )  # fmt: skip


FIRST_PAUSE_S = 0.5  # before an episode is played again; five times as long before the next try
_CAUSES: tuple[tuple[type[Exception], FailureCause], ...] = (
    (EnvTimeout, FailureCause.ENV_TIMEOUT),
    (EnvCrash, FailureCause.ENV_CRASH),
    (EnvError, FailureCause.ENV_CONTRACT),
    (EngineError, FailureCause.ENGINE),
    (TimeoutError, FailureCause.EPISODE_TIMEOUT),
)


async def play_with_retries(player: Player, spec: EpisodeSpec) -> Episode | EpisodeFailure:
    """Play; an episode lost to infrastructure is tried again from its start, with the same random streams."""
    rollout = player.config.rollout
    for attempt in range(1, rollout.attempts + 1):
        try:
            async with asyncio.timeout(rollout.episode_timeout_s):
                return await play(player, spec)
        except (EnvError, EngineError, TimeoutError) as error:
            cause = next(cause for kind, cause in _CAUSES if isinstance(error, kind))
            failure = EpisodeFailure(spec.key, spec.task, cause, str(error), attempt)
            if attempt < rollout.attempts:
                await asyncio.sleep(FIRST_PAUSE_S * 5 ** (attempt - 1))  # an engine that restarts needs a moment
    return failure


async def play_all(
    player: Player,
    specs: Iterable[EpisodeSpec],
    *,
    live: int,
    on_end: Callable[[Episode | EpisodeFailure], None] | None = None,
    joined: Callable[[], None] | None = None,
) -> list[Episode | EpisodeFailure]:
    """Play many episodes, `live` at a time; results in the order of the specs.

    `joined` is called once all workers take part in the turnstile (lockstep): whoever held the
    gate shut for them can let go.
    """
    specs = list(specs)
    queue = iter(enumerate(specs))
    ends: list[Episode | EpisodeFailure | None] = [None] * len(specs)

    async def worker() -> None:
        # The worker, not the episode, is the participant: when one ends, the next begins in the same wave.
        with player.turnstile.participant() if player.turnstile else nullcontext():
            for position, spec in queue:
                ends[position] = end = await play_with_retries(player, spec)
                if on_end:
                    on_end(end)

    workers = [asyncio.create_task(worker()) for _ in range(min(live, len(specs)))]
    try:
        if joined:
            await asyncio.sleep(0)  # every worker has run up to its first wait
            joined()
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
    return [end for end in ends if end is not None]


def stop_if_too_many_failed(ends: Iterable[Episode | EpisodeFailure], limit: float) -> None:
    """Raises RunStopped past the failure budget: results would be about the infrastructure, not the models."""
    ends = list(ends)
    failures = [end for end in ends if isinstance(end, EpisodeFailure)]
    if len(failures) > limit * len(ends):
        causes = ", ".join(sorted({f"{failure.cause}: {failure.detail}" for failure in failures})[:3])
        raise RunStopped(
            f"{len(failures)} of {len(ends)} episodes failed (rollout.max_failed_share = {limit}); {causes}. "
            "Remedy: mend the cause and run the same command; it resumes from the last round"
        )
