"""A trained agent as it is served: one observation in, one action out, guided by its bank as in evaluation.

An agent is the actor, the extractor (it answers the ask tool), a bank snapshot, and a description with the parameters they
were trained with. It keeps no episode: whoever plays sends the earlier turns along, each as the agent returned it, and
the player continues from them (`crl.episode.loop`). The context is then the episode's own, token for token.
"""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from crl.actor.actions import parse_action
from crl.actor.gate import TaskRecord, success_records
from crl.bank.retrieval import Retriever
from crl.bank.snapshot_reader import FrozenBank
from crl.concurrency import run_all
from crl.config import Config, from_mapping
from crl.embedding.open import load_embedder
from crl.engine.open import open_engine
from crl.envs.contract import Observation
from crl.episode.clock import Clock
from crl.episode.loop import Conversation, conversation
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.errors import DataError
from crl.files import read_json
from crl.models.chat import Message
from crl.replies.thoughts import opened_thought
from crl.seeding import derive_seed
from crl.types import EpisodeKey, GateDecision, Guidance, Task

LIVE = 8  # contexts cached at once; more requests wait in line
SERVED_ROUND = -4  # negative: retrieval counts nothing; of no other use, so no stream is shared


@dataclass(frozen=True, slots=True)
class Exchange:
    """An earlier turn of the same episode: what was shown and could be done then, and what the agent said."""

    observation: str
    reply: str  # word for word
    actions: tuple[str, ...] = ()  # names that the environment took in this turn
    forms: tuple[str, ...] = ()  # free forms that it took besides
    reply_ids: tuple[int, ...] = ()  # the reply's tokens as they were generated; (): the text is tokenised again
    valid: bool | None = None  # whether the environment understood the reply; None: whether it names an action
    answer: str | None = None  # what the ask tool answered; None: the reply was no question


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

    @property
    def first(self) -> Observation:
        """What the episode began with."""
        turn = self.history[0] if self.history else self
        return Observation(turn.observation, self.goal, turn.actions, self.manual, turn.forms)

    @property
    def spec(self) -> EpisodeSpec:
        """The episode that it belongs to: one and the same in all its turns, so that its random streams are, too."""
        first = self.first
        opening = derive_seed(self.task, first.goal, first.manual, first.text, *first.actions, "forms", *first.forms)
        task = Task(self.task, self.task, family="", level="", seed=0, max_steps=0)
        return EpisodeSpec(EpisodeKey(SERVED_ROUND, opening, 0), task, guided=True)


@dataclass(frozen=True, slots=True)
class Answer:
    action: str | None  # exactly as the environment spells it; None: the reply names none
    reply: str
    gate: GateDecision
    experience: str | None  # what the agent was shown
    experience_ids: tuple[str, ...]  # what was retrieved
    turns: tuple[Exchange, ...]  # what to append to the history: questions to the ask tool, then the reply


class Agent:
    """Answers batches, from any thread; generation batches over all that wait."""

    def __init__(
        self, config: Config, actor: Path, extractor: Path, bank: Path, records: dict[str, TaskRecord]
    ) -> None:
        """Load everything. `records`: what the gate is told of the actor's success without experience, by task."""
        self.config, self._records = config, records
        embedder = load_embedder(config.models.embedder, config.run.device)
        self._retriever = Retriever(FrozenBank(bank, embedder.name), config.retrieval, embedder, seed=config.run.seed)
        _, self._chat, self._engine = open_engine(config, "actor", str(actor), sessions=LIVE, turnstile=None)
        self._thought = opened_thought(self._chat.open([Message("user", "")]), self._chat)
        self._expert = None
        if config.actor.ask.enabled:
            _, chat, engine = open_engine(config, "extractor", str(extractor), sessions=LIVE, turnstile=None)
            self._expert = engine, chat
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crl-agent", daemon=True)
        self._thread.start()

    @classmethod
    def load(cls, *, actor: Path, extractor: Path, bank: Path, description: Path, evaluation: Path | None) -> "Agent":
        """From the parts of a registered version, which this process alone serves: it generates and embeds itself.

        Servers of the training run are left out, also an embedder's (`servers.embedder`): they may be gone. Raises DataError or
        ConfigError for files of another release.
        """
        config = from_mapping(read_json(description)["config"])
        # On the GPU if there is one.
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
            self._check(number, request)
        work = self._answer_all(requests, self._player(temperature, seed))
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        with ExitStack() as stack:
            stack.callback(self._retriever.close)
            stack.callback(self._engine.close)
            if self._expert is not None:
                stack.callback(self._expert[0].close)

    def _player(self, temperature: float | None, seed: int | None) -> Player:
        config = self.config
        if seed is not None:
            config = config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})})
        return Player(
            config, "serve", self._engine, self._chat, None, retriever=self._retriever, records=self._records,
            expert=self._expert, temperature=config.evaluate.temperature if temperature is None else temperature,
        )  # fmt: skip

    async def _answer_all(self, requests: Sequence[Request], player: Player) -> list[Answer]:
        return await run_all(self._answer(number, request, player) for number, request in enumerate(requests))

    async def _answer(self, number: int, request: Request, player: Player) -> Answer:
        async with conversation(player, request.spec, request.first, Clock()) as actor:
            self._continue(actor, request)
            turns: list[Exchange] = []
            reply = None
            while reply is None or reply.asks:
                if not actor.has_room:
                    raise DataError(
                        f"row {number}: history and observation of {actor.new_tokens} tokens: the context has room for "
                        f"{actor.room}. Remedy: end the episode here, as training does"
                    )
                reply = await actor.reply()
                turns.append(
                    Exchange(
                        request.observation, reply.completion.text, request.actions, request.forms,
                        reply.completion.token_ids, answer=actor.asks[-1].answer if reply.asks else None,
                    )
                )  # fmt: skip
        told: Guidance = actor.guidance
        return Answer(reply.action, turns[-1].reply, told.decision, told.shown, told.entry_ids, tuple(turns))

    def _continue(self, actor: Conversation, request: Request) -> None:
        """Bring the actor to the present turn: its earlier replies, each with what was answered to it."""
        for turn, after in zip(request.history, (*request.history[1:], request), strict=False):
            actor.recall(turn.reply_ids or self._chat.encode(turn.reply))
            if turn.answer is not None:
                actor.answer(turn.answer)
                continue
            understood = parse_action(self._thought + turn.reply, turn.actions, turn.forms) is not None
            seen = Observation(after.observation, actions=after.actions, forms=after.forms)
            actor.observe(seen, valid=understood if turn.valid is None else turn.valid)

    def _check(self, number: int, request: Request) -> None:
        row = f"row {number}"
        for field in ("task", "observation"):
            value = getattr(request, field)
            if not (isinstance(value, str) and value.strip()):
                raise DataError(f"{row}: {field} is empty. Remedy: send what the environment showed")
        if not isinstance(request.goal, str):
            raise DataError(f"{row}: goal is null. Remedy: send the task's goal, or an empty text where it has none")
        for place, told in (("", request), *((f"history[{i}].", turn) for i, turn in enumerate(request.history))):
            for field in ("actions", "forms"):
                if not all(isinstance(name, str) for name in getattr(told, field)):
                    raise DataError(f"{row}: {place}{field} holds a null. Remedy: send names alone")
        if not request.actions and not request.forms:
            raise DataError(
                f"{row}: neither actions nor forms. Remedy: send the action names that the environment takes"
            )
        if self.config.actor.replies == "legal" and (request.forms or not request.actions):
            raise DataError(
                f"{row}: this agent answers with one of the actions (actor.replies: legal), and forms = {list(request.forms)} "
                "cannot be listed. Remedy: send the names of all actions, and no forms"
            )
        for place, turn in enumerate(request.history):
            if not (isinstance(turn.observation, str) and isinstance(turn.reply, str)):
                raise DataError(
                    f"{row}: history[{place}] has a null for its observation or its reply. Remedy: append the column "
                    "`turns` of each answer as it is"
                )
            if not turn.actions and not turn.forms:
                raise DataError(
                    f"{row}: history[{place}] has neither actions nor forms, and they may have changed since. Remedy: append "
                    "the column `turns` of each answer to the history, or send what the environment took in that turn"
                )
            if turn.reply_ids and not self._spells(turn):
                raise DataError(
                    f"{row}: history[{place}].reply_ids are not the tokens of its reply. Remedy: send both as they were "
                    "returned, or the reply alone"
                )

    def _spells(self, turn: Exchange) -> bool:
        ids = turn.reply_ids[:-1] if turn.reply_ids[-1] in self._chat.end_ids else turn.reply_ids
        return min(turn.reply_ids) >= 0 and self._chat.decode(ids) == turn.reply


def _records(evaluation: Path | None) -> dict[str, TaskRecord]:
    """Success without experience in the version's evaluation; nothing is known of a version that was not evaluated."""
    rows = read_json(evaluation)["rows"] if evaluation is not None else []
    return success_records((row["task"], row["success"]) for row in rows if row["arm"] == "free")
