"""Sessions, their requests, and how an answer reaches whoever awaits it: what all engines that hold contexts share."""

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from crl.engine.choices import Walk
from crl.engine.protocol import Sampling, fits
from crl.engine.text import TokenText
from crl.errors import EngineError
from crl.models.resolve import ids_without_text
from crl.types import Completion


@dataclass(eq=False, slots=True, weakref_slot=True)
class Context:
    """The engine's side of a session: its tokens, and how many of them the cache holds."""

    key: str
    history: list[int] = field(default_factory=list)
    cached: int = 0  # the first so many tokens of the history are in the cache
    slot: int | None = None
    weights: int = -1  # of which change of weights the cached tokens are; those of several are of their first's
    last_step: int = 0  # of the engine, in which it was served
    busy: bool = False  # a request is queued or running
    closed: bool = False  # nobody will ask again: once it does not run, its slot may be taken; set by any thread


OnToken = Callable[[int], None]  # is given each token when it is sampled, on the engine's thread


@dataclass(eq=False, slots=True)
class Request:
    """One generation in progress; `future` resolves to its completion."""

    id: str
    context: Context
    new_ids: tuple[int, ...]
    sampling: Sampling
    future: "asyncio.Future[Completion]"
    version: int = -1
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stop_reason: str = ""
    answer: Completion | EngineError | None = None  # once it has ended
    cancelled: bool = False  # set by the waiter, maybe from another thread
    on_token: OnToken | None = None
    walk: Walk | None = None  # None: a free reply

    def say(self, token: int, logprob: float) -> None:
        """The next token of the reply."""
        self.token_ids.append(token)
        self.logprobs.append(logprob)
        self.context.history.append(token)
        if self.on_token:
            self.on_token(token)

    def say_forced(self, *, to_the_end: bool) -> int:
        """What the choices leave no alternative to: it has probability 1, and asks for no forward of its own. Returns how many."""
        forced = self.walk.forced(to_the_end=to_the_end)
        for token in forced:
            self.say(token, 0.0)
        return len(forced)

    def give_up(self) -> None:
        """Nobody waits any more: the request leaves at the next step and its context is lost."""
        self.cancelled = self.context.closed = True
        self.future.cancel()


class SessionEngine(ABC):
    """Base of engines of `engine.protocol.Engine`; how requests are served, and weights replaced, is the engine's own."""

    streams = False  # whether it tells of each token when that is sampled (`ContextSession.generate`, `on_token`)
    constrains = False  # whether it draws replies among choices (`Sampling.among`)

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, end_ids: Iterable[int], vocabulary: int, context_tokens: int
    ) -> None:
        """`end_ids` end a turn. `vocabulary` is the number of token ids that the model takes: those without text are not said."""
        self.context_tokens, self.vocabulary = context_tokens, vocabulary
        self._text, self._end_ids = TokenText(tokenizer), frozenset(end_ids)
        self._never_ids = ids_without_text(tokenizer, vocabulary)
        self._closed = False
        self._tokens = 0  # of the replies that have ended

    @property
    def tokens(self) -> int:
        return self._tokens

    def session(self, key: str) -> "ContextSession":
        return ContextSession(key, self)

    async def submit(self, request: Request) -> Completion:
        if self._closed:
            raise EngineError("the engine is closed. Remedy: finish all sessions before closing it")
        return await self._answer(request)

    def close(self) -> None:
        """Stop serving; whoever still waits gets an EngineError."""
        if self._closed:
            return
        self._closed = True
        waiting = self._shut()
        for request in waiting:
            request.answer = EngineError("the engine was closed while this request waited")
        resolve_threadsafe(waiting)

    @abstractmethod
    async def _answer(self, request: Request) -> Completion:
        """Queue the request, and wait for its completion."""

    @abstractmethod
    def _shut(self) -> list[Request]:
        """Serve no more; returns the requests that still wait."""

    def _complete(self, request: Request) -> None:
        """What an ended request generated is its answer; an end token is kept in the ids, not in the text."""
        token_ids = request.token_ids
        self._tokens += len(token_ids)
        shown_ids = token_ids[:-1] if token_ids[-1] in self._end_ids else token_ids
        request.answer = Completion(
            id=request.id,
            prompt_ids=request.new_ids,
            token_ids=tuple(token_ids),
            logprobs=tuple(request.logprobs),
            text=self._text.decode(shown_ids),
            stop_reason=request.stop_reason,
            version=request.version,
            temperature=request.sampling.temperature,
            allowed=tuple(request.walk.allowed) if request.walk else (),
        )


class ContextSession:
    """The caller's side of one context. Implements `engine.protocol.Session`; a request that fails ends the session."""

    def __init__(self, key: str, engine: SessionEngine) -> None:
        self._engine = engine
        self._context = Context(key)
        self._request: Request | None = None

    @property
    def room(self) -> int:
        return self._engine.context_tokens - len(self._context.history)

    async def generate(
        self, new_ids: tuple[int, ...], sampling: Sampling, request_id: str, on_token: OnToken | None = None
    ) -> Completion:
        """As `Session.generate`. `on_token` is given each token of the reply when it is sampled, by engines that can.

        It is called on the engine's thread, and what it raises ends all requests that run. Raises EngineError where the engine
        cannot.
        """
        self._check(new_ids, sampling)
        if on_token and not self._engine.streams:
            raise self._refusal(
                f"cannot tell of single tokens: {type(self._engine).__name__} answers with whole replies",
                "engine.kind: transformers, or no on_token",
            )
        future = asyncio.get_running_loop().create_future()
        walk = None if sampling.among is None else Walk(sampling.among)
        self._request = request = Request(
            request_id, self._context, new_ids, sampling, future, on_token=on_token, walk=walk
        )
        self._context.busy = True
        try:
            return await self._engine.submit(request)
        except BaseException:
            request.give_up()
            raise
        finally:
            self._request = None

    def rewind(self, tokens: int) -> None:
        """As `Session.rewind`. Raises EngineError for more than there are, and while a reply is generated."""
        context = self._context
        left = len(context.history) - tokens
        if self._request is not None or left < 0:
            raise self._refusal(
                f"cannot go back {tokens} of {len(context.history)} tokens", "at most all of them, between two requests"
            )
        # The engine may take the slot away, or move it, on its own thread: it finds the old list or the new one, and an entry of
        # the cache that is not counted is written again. One token is left to be fed, since the last gives the logits.
        context.history = context.history[:left]
        context.cached = min(context.cached, max(left - 1, 0))

    def _check(self, new_ids: Sequence[int], sampling: Sampling) -> None:
        if self._context.closed:
            raise self._refusal("is over", "a new session after a cancelled or failed request")
        if self._request is not None:
            raise self._refusal("is generating already", "one request at a time")
        if sampling.among is not None and not self._engine.constrains:
            raise self._refusal(
                f"cannot draw among choices: {type(self._engine).__name__} answers freely",
                "engine.kind: transformers, or no choices",
            )
        if not fits(self, new_ids, sampling.among):
            left = "one" if sampling.among is None else sampling.among.longest
            raise self._refusal(
                f"has room for {self.room} of {self._engine.context_tokens} tokens, got {len(new_ids)}, and {left} must be left",
                "end the episode, or raise context_tokens",
            )
        if not new_ids and not self._context.history:
            raise self._refusal("has nothing to continue", "pass the prompt's ids")
        known = new_ids if sampling.among is None else (*new_ids, *sampling.among.extremes)
        if known and not 0 <= min(known) <= max(known) < self._engine.vocabulary:
            raise self._refusal(
                f"got token ids from {min(known)} to {max(known)}, the model knows 0 to {self._engine.vocabulary - 1}",
                "use the model's own tokenizer",
            )
        if (
            sampling.max_new_tokens < 1
            or sampling.temperature < 0
            or not 0 < sampling.top_p <= 1
            or "" in sampling.stop
        ):
            raise self._refusal(
                f"cannot sample by {sampling}",
                "max_new_tokens >= 1, temperature >= 0, 0 < top_p <= 1, no empty stop string",
            )

    def _refusal(self, fault: str, remedy: str) -> EngineError:
        return EngineError(f"session {self._context.key!r} {fault}. Remedy: {remedy}")

    async def __aenter__(self) -> "ContextSession":
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._context.closed = True
        if self._request is not None:
            self._request.give_up()


def fault(error: Exception) -> EngineError:
    wrapped = EngineError(f"generation failed: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def resolve(ended: Iterable[Request]) -> None:
    """Give the answers, on the event loop that the futures belong to."""
    for request in ended:
        if request.future.done():
            continue
        if isinstance(request.answer, EngineError):
            request.future.set_exception(request.answer)
        else:
            request.future.set_result(request.answer)


def resolve_threadsafe(ended: Iterable[Request]) -> None:
    """From any thread: one call per event loop, however many requests ended."""
    by_loop = defaultdict(list)
    for request in ended:
        by_loop[request.future.get_loop()].append(request)
    for loop, own in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(resolve, own)
