"""Continuous batching: every step feeds each running request its next tokens and samples where one is due."""

import time
from collections.abc import Iterator, Mapping, Sequence

import torch

from crl.engine.decoder import Decoder
from crl.engine.sampling import sample
from crl.engine.session import Context, Request
from crl.engine.slots import Slots
from crl.engine.text import TokenText

# What another forward costs, in padding tokens: its fixed time (2 ms for a tiny model on a CPU, as much as 250
# tokens) and the slots that are moved to bring the group together.
_FORWARD_OVERHEAD_TOKENS = 512


class Scheduler:
    """Requests in, completions out, on whatever thread calls it; not thread-safe by itself."""

    def __init__(
        self,
        decoder: Decoder,
        text: TokenText,
        *,
        end_ids: frozenset[int],
        never_ids: Sequence[int],
        forward_tokens: int,
        shared_tokens: int,
    ) -> None:
        """A request ends with one of `end_ids`; `never_ids` are not sampled; `forward_tokens` bounds one forward.

        Openings of `shared_tokens` and more are computed once.
        """
        self.version = 0  # of the weights
        self.steps = 0
        self.busy_s = 0.0
        self.tokens = 0  # said
        self.running: dict[Context, Request] = {}
        self._decoder = decoder
        self._slots = Slots(decoder.cache, shared_tokens)
        self._text = text
        self._end_ids = end_ids
        self._never_N = torch.tensor(never_ids, device=decoder.model.device) if never_ids else None
        self._forward_tokens = forward_tokens
        self._weights = 0  # how often they changed: a version may come twice

    @property
    def reused(self) -> int:
        return self._slots.reused

    def changed(self, version: int) -> None:
        """The weights are of `version` now. Contexts go on with what they hold; nobody else is given of it."""
        self.version = version
        self._weights += 1

    def forget(self) -> None:
        """Unless a session lives: forget what the cache holds, so that what follows does not depend on what was before."""
        if not self._slots.live:
            self._slots.clear()

    def admit(self, waiting: Sequence[Request]) -> list[Request]:
        """Start requests in order as far as there are slots; returns those that stay in line.

        If nothing at all could run, idle sessions give up their slots: whoever holds one may be
        waiting, elsewhere, for somebody in this line.
        """
        self.running = {context: request for context, request in self.running.items() if not request.cancelled}
        left = [request for request in waiting if not request.cancelled and not self._start(request)]
        if left and not self.running:
            self._slots.evict_idle(len(left))
            left = [request for request in left if not self._start(request)]
        return left

    def _start(self, request: Request) -> bool:
        context = request.context
        if not self._slots.take(context, self.running):
            return False
        context.history.extend(request.new_ids)
        request.version = self.version
        if request.walk:
            self.tokens += request.say_forced(to_the_end=False)  # a token is left to be drawn: it is how a request ends
        self.running[context] = request
        return True

    def step(self) -> list[Request]:
        """Feed every running request; sample one token for each that has seen all of its context. Returns the ended."""
        if not self.running:
            return []
        start = time.perf_counter()
        self.steps += 1
        due, logits = self._feed()
        ended = self._sample(due, torch.cat(logits)) if due else []
        for request in ended:
            del self.running[request.context]
        self.busy_s += time.perf_counter() - start
        return ended

    def abandon(self) -> list[Request]:
        """After a failed step: give up all running requests and whatever the cache holds."""
        given_up, self.running = list(self.running.values()), {}
        self._slots.clear()
        return given_up

    def _feed(self) -> tuple[list[Request], list[torch.Tensor]]:
        """The requests that are due a token, and their logits: a list of [B, V] in the same order."""
        waiting = self._slots.share(self.running, self._weights)
        chunk_of = {
            context: context.history[context.cached : context.cached + self._forward_tokens]
            for context in self.running
            if context not in waiting
        }
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
                ready = []
                for row, owner in enumerate(owners):
                    if owner is not None:
                        owner.weights = owner.weights if owner.cached else self._weights
                        owner.cached += len(chunk_of[owner])
                        if owner.cached == len(owner.history):
                            ready.append(row)
                            due.append(self.running[owner])
                logits.append(logits_BV if len(ready) == len(owners) else logits_BV[ready])
        return due, logits

    def _sample(self, due: Sequence[Request], logits_BV: torch.Tensor) -> list[Request]:
        counters = [len(request.token_ids) for request in due]
        among = [request.walk and request.walk.ids for request in due]
        tokens, logprobs = sample(
            logits_BV, [request.sampling for request in due], counters, self._never_N, among if any(among) else None
        )
        ended = []
        self.tokens += len(due)
        for request, token, logprob in zip(due, tokens, logprobs, strict=True):
            request.say(token, logprob)
            if request.walk:
                request.walk.take(token)
                self.tokens += request.say_forced(to_the_end=True)
            request.stop_reason = self._why_ended(request, token)
            if request.stop_reason:
                request.context.last_step = self.steps
                request.context.busy = False
                ended.append(request)
        return ended

    def _why_ended(self, request: Request, token: int) -> str:
        if request.walk:
            return "" if request.walk.ids else "stop"
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
