"""A trained agent as it is served: one observation in, one action out, guided by its bank as in evaluation.

An agent is the actor, the extractor (it answers the ask tool), a bank snapshot, and a description with the parameters they
were trained with. It keeps no episode: whoever plays sends the earlier turns along, and the context is rebuilt from
their texts. Those are the episode's tokens where the model wrote text; broken characters (of a random model) are not kept.
"""

import asyncio
import itertools
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from crl.actor.actions import parse_action, parse_ask
from crl.actor.ask import AskTool
from crl.actor.gate import Gate, GateReply, TaskRecord, offered
from crl.actor.prompts import ActorPrompts
from crl.bank.frozen import FrozenBank
from crl.bank.retrieval import Retriever
from crl.config import Config, from_mapping
from crl.embedding.pretrained import load_embedder
from crl.engine.open import open_engine
from crl.engine.protocol import Engine, Sampling
from crl.envs.contract import Observation
from crl.episode.loop import situation
from crl.errors import DataError
from crl.files import read_json
from crl.replies.screening import TextLimits
from crl.seeding import derive_seed
from crl.types import Experience, GateDecision

LIVE = 8  # contexts cached at once; more requests wait in line
SERVED_ROUND = -3  # negative: retrieval counts nothing; not evaluation's, so no stream is shared with it


@dataclass(frozen=True, slots=True)
class Exchange:
    """An earlier turn of the same episode."""

    observation: str
    reply: str  # what the agent said, word for word: `Answer.reply`


@dataclass(frozen=True, slots=True)
class Request:
    """What the agent is asked: `actions` are the names that the environment takes now, `forms` its free forms."""

    task: str  # entry of the task mix: whose experiences may guide
    goal: str
    observation: str
    actions: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    manual: str = ""
    history: tuple[Exchange, ...] = ()  # oldest first


@dataclass(frozen=True, slots=True)
class Answer:
    action: str | None  # exactly as the environment spells it; None: the reply names none
    reply: str
    gate: GateDecision
    experience: str | None  # what the agent was shown
    experience_ids: tuple[str, ...]  # what was retrieved


class Agent:
    """Answers batches, from any thread; generation batches over all that wait."""

    def __init__(
        self, config: Config, actor: Path, extractor: Path, bank: Path, records: dict[str, TaskRecord]
    ) -> None:
        """Load everything. `records`: what the gate is told of the actor's success without experience, by task."""
        self.config, self._prompts = config, ActorPrompts.of(config.actor)
        embedder = load_embedder(config.models.embedder, config.run.device)
        self._retriever = Retriever(FrozenBank(bank, embedder.name), config.retrieval, embedder, seed=config.run.seed)
        _, self._chat, self._engine = open_engine(config, "actor", str(actor), sessions=LIVE, turnstile=None)
        self._ask: AskTool | None = None
        self._expert: Engine | None = None
        if config.actor.ask.enabled:
            _, chat, self._expert = open_engine(config, "extractor", str(extractor), sessions=LIVE, turnstile=None)
            self._ask = AskTool(config, "serve", self._retriever, self._expert, chat)
        limits = TextLimits.of(config.actor.prompts, config.bank.max_entry_chars)
        self._gate = Gate(self._prompts, "serve", config.actor.gate.max_new_tokens, limits, records)
        self._calls = itertools.count()  # requests that wait at once have keys of their own
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crl-agent", daemon=True)
        self._thread.start()

    @classmethod
    def load(cls, *, actor: Path, extractor: Path, bank: Path, description: Path, evaluation: Path | None) -> "Agent":
        """From the parts of a registered version. Raises DataError or ConfigError for files of another release."""
        config = from_mapping(read_json(description)["config"])
        # Served where it fits: on the GPU if there is one, by this process.
        run = config.run.model_copy(update={"device": "auto"})
        engine = config.engine.model_copy(update={"kind": "transformers"})
        config = config.model_copy(update={"run": run, "engine": engine})
        return cls(config, actor, extractor, bank, _records(evaluation))

    def answer(
        self, requests: Sequence[Request], *, temperature: float | None = None, seed: int | None = None
    ) -> list[Answer]:
        """One answer per request, in order. The same request with the same seed draws the same random numbers.

        Raises DataError for a request that cannot be answered; EngineError or BankError when a part fails.
        """
        for number, request in enumerate(requests):
            _check(number, request)
        work = self._answer_all(requests, temperature, self.config.run.seed if seed is None else seed)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        with ExitStack() as stack:
            stack.callback(self._retriever.close)
            stack.callback(self._engine.close)
            if self._expert is not None:
                stack.callback(self._expert.close)

    # ------------------------------------------------------------------ one request

    async def _answer_all(self, requests: Sequence[Request], temperature: float | None, seed: int) -> list[Answer]:
        call = f"serve/{next(self._calls)}"
        return await asyncio.gather(
            *(self._answer(r, f"{call}/{i}", temperature, seed) for i, r in enumerate(requests))
        )

    async def _answer(self, request: Request, key: str, temperature: float | None, seed: int) -> Answer:
        first = request.history[0].observation if request.history else request.observation
        observation = Observation(first, request.goal, request.actions, request.manual, request.forms)
        sampling = self._sampling(request, temperature, seed)
        decision, shown, found = await self._guide(request, observation, key, sampling)
        ids = self._context(request, observation, shown)
        asks = 0
        async with self._engine.session(key) as session:
            while True:
                if session.room < len(ids) + 1:
                    raise DataError(
                        f"history and observation of {len(ids)} tokens: the context has room for {session.room}. Remedy: "
                        "send fewer earlier turns"
                    )
                completion = await session.generate(ids, sampling, f"{key}/{asks}")
                query = parse_ask(completion.text) if self._ask else None
                if query is None or asks >= self.config.actor.ask.max_uses:
                    break
                use = await self._ask.ask(query, scope=self._scope(request), key=f"{key}/ask{asks}", round=SERVED_ROUND)
                asks += 1
                message = self._prompts.answered(use.answer, uses_left=self.config.actor.ask.max_uses - asks)
                closed = bool(completion.token_ids) and completion.token_ids[-1] in self._chat.end_ids
                ids = self._chat.reply([message], closed)
        action = parse_action(completion.text, request.actions, request.forms).action
        return Answer(action, completion.text, decision, shown, tuple(entry.id for entry in found))

    async def _guide(
        self, request: Request, observation: Observation, key: str, sampling: Sampling
    ) -> tuple[GateDecision, str | None, list[Experience]]:
        """What is shown, as at the start of a guided episode, and what was retrieved."""
        query = situation(observation.goal, observation.text)
        found = await self._retriever.retrieve(self._scope(request), query, key=key, round=SERVED_ROUND)

        async def ask_gate(text: str) -> GateReply:
            return await self._gate.decide(
                self._engine, self._chat, observation, text, task=request.task, key=f"{key}/gate", sampling=sampling
            )

        settings = self.config.actor
        decision, shown = await offered(
            self._prompts, settings.inject, found, ask_gate if settings.gate.enabled else None
        )
        return decision, shown, found

    def _context(self, request: Request, observation: Observation, shown: str | None) -> tuple[int, ...]:
        """The episode so far as token ids: the opening, then each reply with the observation that followed."""
        ids = self._chat.open(self._prompts.opening(observation, shown, ask_manual=self._ask is not None))
        seen = [turn.observation for turn in request.history[1:]] + [request.observation]
        for turn, text in zip(request.history, seen, strict=False):  # without a history nothing follows the opening
            understood = parse_action(turn.reply, request.actions, request.forms).action is not None
            message = self._prompts.following(replace(observation, text=text), valid=understood)
            ids += self._chat.encode(turn.reply) + self._chat.reply([message], closed=False)
        return ids

    def _scope(self, request: Request) -> str:
        return request.task if self.config.bank.scope == "task" else "shared"

    def _sampling(self, request: Request, temperature: float | None, seed: int) -> Sampling:
        base, evaluated = self.config.rollout.sampling, self.config.evaluate.temperature
        chosen = next(t for t in (temperature, evaluated, base.temperature) if t is not None)
        return Sampling(
            temperature=chosen, top_p=base.top_p, top_k=base.top_k, max_new_tokens=base.max_new_tokens,
            stop=self._prompts.stop_strings(asking=self._ask is not None),
            seed=derive_seed(seed, "serve", repr(request)),
        )  # fmt: skip


def _check(number: int, request: Request) -> None:
    for field in ("task", "observation"):
        if not getattr(request, field).strip():
            raise DataError(f"row {number}: {field} is empty. Remedy: send what the environment showed")
    if not request.actions and not request.forms:
        raise DataError(
            f"row {number}: neither actions nor forms. Remedy: send the action names that the environment takes"
        )


def _records(evaluation: Path | None) -> dict[str, TaskRecord]:
    """Success without experience in the version's evaluation; nothing is known of a version that was not evaluated."""
    if evaluation is None:
        return {}
    successes: dict[str, list[bool]] = defaultdict(list)
    for row in read_json(evaluation)["rows"]:
        if row["arm"] == "free":
            successes[row["task"]].append(row["success"])
    return {task: TaskRecord(sum(each) / len(each), len(each)) for task, each in successes.items()}
