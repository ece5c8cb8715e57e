"""Continuous batching: every step feeds each running request its next tokens and samples where one is due."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from crl.engine.decoder import Decoder
from crl.engine.protocol import Sampling
from crl.engine.sampling import sample
from crl.engine.slots import Context, Slots
from crl.engine.text import TokenText
from crl.types import Completion

# What another forward costs, in padding tokens: its fixed time (2 ms for a tiny model on a CPU, as much as 250
# tokens) and the slots that are moved to bring the group together.
_FORWARD_OVERHEAD_TOKENS = 512


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
    cancelled: bool = False  # set by the waiter, maybe from another thread

    def cancel(self) -> None:
        """Nobody waits any more: the request leaves at the next step and its context is lost."""
        self.cancelled = self.context.closed = True
        self.future.cancel()


@dataclass(slots=True)
class SchedulerCounts:
    """Since the scheduler was made."""

    generated_tokens: float = 0.0
    prefilled_tokens: float = 0.0  # fed before a request's first token was sampled
    steps: float = 0.0
    forwards: float = 0.0
    evictions: float = 0.0  # sessions that lost their cache to let others run
    busy_s: float = 0.0


class Scheduler:
    """Requests in, completions out, on whatever thread calls it; not thread-safe by itself."""

    def __init__(
        self,
        decoder: Decoder,
        text: TokenText,
        *,
        end_ids: frozenset[int],
        version: int,
        forward_tokens: int,
    ) -> None:
        self.version = version
        self.counters = SchedulerCounts()
        self.running: list[Request] = []
        self._decoder = decoder
        self._slots = Slots(decoder.cache)
        self._text = text
        self._end_ids = end_ids
        self._forward_tokens = forward_tokens

    @property
    def context_tokens(self) -> int:
        return self._decoder.context_tokens

    def admit(self, waiting: Sequence[Request]) -> list[Request]:
        """Start requests in order as far as there are slots; returns those that stay in line.

        If nothing at all could run, idle sessions give up their slots: whoever holds one may be
        waiting, elsewhere, for somebody in this line.
        """
        self._keep([request for request in self.running if not request.cancelled])
        left = [request for request in waiting if not request.cancelled and not self._start(request)]
        if left and not self.running:
            self.counters.evictions += self._slots.evict_idle(len(left))
            left = [request for request in left if not self._start(request)]
        return left

    def _start(self, request: Request) -> bool:
        context = request.context
        if not self._slots.take(context):
            return False
        context.running = True
        context.history.extend(request.new_ids)
        self.counters.prefilled_tokens += len(context.history) - context.cached
        request.version = self.version
        self.running.append(request)
        return True

    def step(self) -> list[Request]:
        """Feed every running request; sample one token for each that has seen all of its context. Returns the ended."""
        if not self.running:
            return []
        start = time.perf_counter()
        self.counters.steps += 1
        due, logits = self._feed()
        ended = self._sample(due, torch.cat(logits)) if due else []
        if ended:
            gone = set(ended)
            self._keep([request for request in self.running if request not in gone])
        self.counters.busy_s += time.perf_counter() - start
        return ended

    def abandon(self) -> list[Request]:
        """After a failed step: give up all running requests and whatever the cache holds."""
        given_up = self.running
        self._keep([])
        for request in given_up:
            request.context.closed = True
        self._slots.clear()
        return given_up

    def _keep(self, requests: list[Request]) -> None:
        """From now on only these run."""
        for request in self.running:
            request.context.running = False
        self.running = requests
        for request in requests:
            request.context.running = True

    def _feed(self) -> tuple[list[Request], list[torch.Tensor]]:
        """The requests that are due a token, and their logits: a list of [B, V] in the same order."""
        request_of = {request.context: request for request in self.running}
        chunk_of = {context: context.unfed(self._forward_tokens) for context in request_of}
        groups = _similar_lengths({context: len(chunk) for context, chunk in chunk_of.items()})
        self._slots.gather(groups)
        due: list[Request] = []
        logits: list[torch.Tensor] = []
        for group in groups:
            rows = max(1, self._forward_tokens // len(chunk_of[group[0]]))
            for owners in _ranges(group, rows):
                first = next(owner.slot for owner in owners if owner is not None)
                logits_BV = self._decoder.last_logits(
                    first,
                    [() if owner is None else chunk_of[owner] for owner in owners],
                    [0 if owner is None else owner.cached for owner in owners],
                )
                self.counters.forwards += 1
                ready = []
                for row, owner in enumerate(owners):
                    if owner is not None:
                        owner.cached += len(chunk_of[owner])
                        if owner.cached == len(owner.history):
                            ready.append(row)
                            due.append(request_of[owner])
                logits.append(logits_BV if len(ready) == len(owners) else logits_BV[ready])
        return due, logits

    def _sample(self, due: Sequence[Request], logits_BV: torch.Tensor) -> list[Request]:
        counters = [len(request.token_ids) for request in due]
        tokens, logprobs = sample(logits_BV, [request.sampling for request in due], counters)
        self.counters.generated_tokens += len(due)
        ended = []
        for request, token, logprob in zip(due, tokens, logprobs, strict=True):
            request.token_ids.append(token)
            request.logprobs.append(logprob)
            request.context.history.append(token)
            request.stop_reason = self._why_ended(request, token)
            if request.stop_reason:
                request.context.last_step = int(self.counters.steps)
                request.context.busy = False
                ended.append(request)
        return ended

    def _why_ended(self, request: Request, token: int) -> str:
        if token in self._end_ids or self._text.completes_stop(request.token_ids, request.sampling.stop):
            return "stop"
        full = len(request.context.history) >= self._decoder.context_tokens
        return "length" if full or len(request.token_ids) >= request.sampling.max_new_tokens else ""


def _similar_lengths(lengths: Mapping[Context, int]) -> list[list[Context]]:
    """Split into groups, longest first, where padding to the longest would cost more than another forward."""
    ordered = sorted(lengths, key=lambda context: (-lengths[context], context.slot))
    groups: list[list[Context]] = []
    remaining = sum(lengths.values())
    for index, context in enumerate(ordered):
        longest = lengths[groups[-1][0]] if groups else 0
        padding = longest * (len(ordered) - index) - remaining  # if this one and all shorter ones joined the group
        if not groups or (padding > _FORWARD_OVERHEAD_TOKENS and 2 * lengths[context] <= longest):
            groups.append([])
        groups[-1].append(context)
        remaining -= lengths[context]
    return groups


def _ranges(group: Sequence[Context], rows: int) -> Iterator[list[Context | None]]:
    """The owners of consecutive slots, at most `rows` at a time; None for slots that are not of the group."""
    by_slot = {context.slot: context for context in group}
    slots = sorted(by_slot)
    start = 0
    while start < len(slots):
        inside = [slot for slot in slots[start : start + rows] if slot < slots[start] + rows]
        yield [by_slot.get(slot) for slot in range(inside[0], inside[-1] + 1)]
        start += len(inside)
