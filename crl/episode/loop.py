"""The turns of one episode: every environment, both models, training, evaluation and serving go through them.

Tokens go in and come out as ids; each turn records exactly what it added to the context.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from crl.actor.actions import parse_action, parse_ask, unread
from crl.actor.gate import GateReply, offered
from crl.engine.choices import Choices
from crl.engine.protocol import Session, fits
from crl.envs.contract import Observation, StepResult
from crl.episode.clock import Clock
from crl.episode.guidance import told_by_oracle
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.episode.situation import situation
from crl.errors import EnvError
from crl.models.chat import Message
from crl.replies.thoughts import passed_turn, whole_reply
from crl.types import AskUse, Completion, Episode, GateDecision, Guidance, Outcome, Turn, TurnKind

Ids = tuple[int, ...]


async def play(player: Player, spec: EpisodeSpec) -> Episode:
    """Play one episode to its end. Raises what infrastructure raises (`crl.errors`), and ConfigError or DataError."""
    clock, slot = Clock(), None
    for spectator in player.spectators:
        spectator.tried(spec, clock)
    try:
        clock.begin("env_step")
        slot, observation = await player.pool.reset(spec.task)
        clock.end()
        async with conversation(player, spec, observation, clock) as actor:
            return await _take_turns(player, spec, slot, actor, clock)
    finally:
        if slot is not None:
            player.pool.release(slot)


async def _take_turns(player: Player, spec: EpisodeSpec, slot: int, actor: "Conversation", clock: Clock) -> Episode:
    turns: list[Turn] = []
    goal, reward, env_steps, score = actor.observation.goal, 0.0, 0, None
    for spectator in player.spectators:
        spectator.began(spec, goal, actor.guidance)

    def took(turn: Turn) -> None:
        turns.append(turn)
        for spectator in player.spectators:
            spectator.took(spec, turn)

    def finish(outcome: Outcome | None, last: Observation) -> Episode:
        if outcome is None:
            raise EnvError(f"{spec.task.level}: the episode ended without an outcome")
        return Episode(
            spec.key, spec.task, spec.guided, tuple(turns), outcome, reward, env_steps, actor.guidance,
            tuple(actor.asks), score, goal, last.text, tuple(clock.spans), actor.opening_without_experience,
        )  # fmt: skip

    # Every turn counts, also an invalid or an asking one: a model that never acts still ends.
    for _ in range(spec.task.max_steps):
        if not actor.has_room:
            return finish(Outcome.TRUNCATED, actor.observation)
        seen, reply = actor.observation.text, await actor.reply()
        if reply.asks:
            took(Turn(TurnKind.ASK, seen, reply.completion, reply.action, dropped=reply.dropped))
            continue
        clock.begin("env_step")
        result: StepResult = await player.pool.step(slot, reply.action or reply.unread)
        clock.end()
        kind = TurnKind.ACTION if result.valid else TurnKind.INVALID
        took(Turn(kind, seen, reply.completion, reply.action, result.reward, reply.dropped))
        reward += result.reward
        env_steps += result.valid
        score = result.info.get("score", score)
        if result.done:
            return finish(result.outcome, result.observation)
        actor.observe(result.observation, valid=result.valid)
    return finish(Outcome.TIMEOUT, actor.observation)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the actor said in a turn."""

    completion: Completion
    dropped: int  # ids that the context lost before the completion's: thoughts, and what of the turn stands behind them
    action: str | None  # as the environment spells it, or the ask tool's query; None: neither could be read
    asks: bool = False
    unread: str = ""  # what the environment gets in place of an action, see `actor.actions`


@asynccontextmanager
async def conversation(
    player: Player, spec: EpisodeSpec, first: Observation, clock: Clock
) -> AsyncIterator["Conversation"]:
    """The actor's side of an episode that begins with the observation `first`: guided where the spec says so.

    Experience that leaves the actor no room to say anything is not shown.
    """
    offers = await _offers(player, spec, first, clock) if spec.guided and player.retriever else (None,)
    async with player.engine.session(str(spec.key)) as session:
        for guidance in offers:
            actor = Conversation(player, spec, session, guidance, first, clock)
            if guidance is None or guidance.shown is None or actor.has_room_beside(guidance):
                break
        yield actor


class Conversation:
    """The actor's side of one episode: the context that grows turn by turn, and what it asks in between.

    After each `reply` that does not ask, the environment's answer goes to `observe`. Earlier turns, which another session
    generated, are put before the first reply by `recall`.
    """

    def __init__(
        self, player: Player, spec: EpisodeSpec, session: Session, guidance: Guidance | None, first: Observation,
        clock: Clock,
    ) -> None:  # fmt: skip
        self.guidance, self.observation = guidance, first
        self.asks: list[AskUse] = []
        self._player, self._spec, self._session, self._clock = player, spec, session, clock
        self._turns, self._asked = 0, 0
        opening = player.prompts.opening(
            first, guidance.shown if guidance else None, ask_manual=player.asking(spec)
        )  # fmt: skip
        self._new_ids = player.chat.open(opening)  # what the session has not seen yet
        self.opening_without_experience: tuple[int, ...] = ()  # a free episode's, where the actor is to learn from it
        if player.config.learn.actor.internalise and guidance is not None and guidance.shown is not None:
            self.opening_without_experience = player.chat.open(player.prompts.opening(first))
        self._said: tuple[int, ...] = ()  # what is left of the last reply
        self._dropped = 0  # ids that the context has lost since it was last continued

    @property
    def new_tokens(self) -> int:
        """Tokens that the context grows by before the next reply is generated."""
        return len(self._new_ids)

    @property
    def room(self) -> int:
        """Tokens that still fit into the context."""
        return self._session.room

    @property
    def has_room(self) -> bool:
        """Whether a token of the next reply fits, at least, or any legal reply."""
        return fits(self._session, self._new_ids, self._among())

    async def reply(self) -> Reply:
        """The next turn. A question is answered at once; the answer is what the turn after it reads."""
        player, key = self._player, self._spec.key
        self._clock.begin("generate")
        sampling = player.sampling(self._spec, self._turns, among=self._among())
        completion = await self._session.generate(self._new_ids, sampling, f"{player.run_id}/{key}/t{self._turns}")
        self._clock.end()
        dropped, self._dropped = self._dropped, 0
        self._forget_thoughts(completion)
        text = whole_reply(completion, player.chat)
        query = parse_ask(text) if player.asking(self._spec) else None
        if query is None or self._asked >= player.config.actor.ask.max_uses:
            seen = self.observation
            action = parse_action(text, seen.actions, seen.forms)
            return Reply(completion, dropped, action, unread=unread(text, seen.forms))
        self._clock.begin("retrieve")
        use = await player.ask.ask(
            query, scope=player.scope(self._spec), key=f"{key}/ask{self._asked}", round=key.round
        )
        self._clock.end()
        self.asks.append(use)
        self.answer(use.answer)
        return Reply(completion, dropped, query, asks=True)

    def has_room_beside(self, guidance: Guidance) -> bool:
        """Whether what is shown leaves the room that it must: for a token, or half of the context beside transcripts."""
        return self.has_room and (guidance.recalled == 0 or self.new_tokens <= self.room // 2)

    def observe(self, observation: Observation, *, valid: bool) -> None:
        """What the environment answered to the last reply; `valid`: it was understood."""
        self.observation = observation
        self._hear(self._player.prompts.following(observation, valid=valid))

    def answer(self, text: str) -> None:
        """What the ask tool answered to the last reply."""
        self._asked += 1
        left = self._player.config.actor.ask.max_uses - self._asked
        self._hear(self._player.prompts.answered(text, uses_left=left))

    def recall(self, token_ids: tuple[int, ...]) -> None:
        """An earlier reply of this episode, as the ids that were generated."""
        prompt_ids, said = self._left_of(self._new_ids, token_ids)
        self._new_ids = prompt_ids + said
        self._spoken(said)

    def _among(self) -> Choices | None:
        """The legal replies of this turn; None: any text."""
        legal = self._player.legal
        return legal and legal.among(self.observation)

    def _left_of(self, prompt_ids: Ids, token_ids: Ids) -> tuple[Ids, Ids]:
        """Of a turn, in the prompts of later ones."""
        drops = self._player.drops_thoughts
        return passed_turn(prompt_ids, token_ids, self._player.chat) if drops else (prompt_ids, token_ids)

    def _forget_thoughts(self, completion: Completion) -> None:
        """Go back to where the context of the next turn parts from this one's; what is kept of the reply is fed once more."""
        prompt_ids, said = self._left_of(completion.prompt_ids, completion.token_ids)
        self._new_ids = ()
        if said != completion.token_ids:
            self._dropped = len(completion.prompt_ids) - len(prompt_ids) + len(completion.token_ids)
            self._session.rewind(self._dropped)
            self._new_ids = said
        self._spoken(said)

    def _spoken(self, said: Ids) -> None:
        self._said = said
        self._turns += 1

    def _hear(self, message: Message) -> None:
        self._new_ids += self._player.chat.reply([message], self._said)


async def _offers(player: Player, spec: EpisodeSpec, observation: Observation, clock: Clock) -> tuple[Guidance, ...]:
    """What may be shown, the fullest first: the first that fits is; the last one shows nothing, and always does."""
    query, source = situation(observation.goal, observation.text), player.guidance
    if source == "oracle":
        offered = (told_by_oracle(spec.task, query),)
    elif source == "transcripts":
        offered = player.recollections.offers(player.scope(spec), query)
    else:
        offered = (await _guide(player, spec, observation, clock),)
    fullest = offered[0]
    return (*offered, replace(fullest, decision=GateDecision.TOO_LONG, shown=None)) if fullest.shown else offered


async def _guide(player: Player, spec: EpisodeSpec, observation: Observation, clock: Clock) -> Guidance:
    """Retrieve once at the start, and settle what is shown."""
    query = situation(observation.goal, observation.text)
    clock.begin("retrieve")
    if spec.shown is not None:
        found = [spec.shown]
    else:
        found = await player.retriever.retrieve(player.scope(spec), query, key=str(spec.key), round=spec.key.round)
    clock.end()

    async def ask_gate(text: str) -> GateReply:
        clock.begin("gate")
        reply = await player.gate.decide(
            player.engine, player.chat, observation, text, task=spec.task.name, key=f"{spec.key}/gate",
            sampling=player.sampling(spec, 0, "gate"),
        )  # fmt: skip
        clock.end()
        return reply

    decision, shown = await offered(player.prompts, player.config.actor.inject, found, player.gate and ask_gate)
    return Guidance(
        query,
        decision,
        entry_ids=tuple(entry.id for entry in found),
        retrieved=tuple(entry.text for entry in found),
        shown=shown,
    )
