"""Retrieval: queries are batched, embedded once, searched together; `choice.py` says which candidates are returned.

Members of a group ask for the same situation at the same time. They are served one after the other in
the order of their keys, each seeing the counters that the previous one left, so a group explores
several entries. Evaluation (negative rounds) neither counts nor draws: it measures the bank as it is.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from crl.bank.choice import Chosen, drawn, exploit, rerank
from crl.bank.records import Hit, ReadSide, Shown, Usage
from crl.config.play import RetrievalConfig
from crl.embedding.protocol import CachedEmbedder, Embedder
from crl.errors import RetrievalError
from crl.lockstep import Turnstile
from crl.seeding import derive_seed
from crl.types import Experience

_Found = dict[tuple[str, str], list[Hit]]  # candidates by (scope, text)

DEADLINE_S = 600.0  # of one retrieval; in lockstep it includes waiting for everybody else
SAVE_AFTER_S = 0.2  # async: showings of so long share one transaction; the bank's next write takes them along, too


@dataclass(slots=True, eq=False)
class _Request:
    scope: str
    text: str
    key: str
    round: int
    k: int
    answer: asyncio.Future[list[Experience]] = field(repr=False)


class Retriever:
    """Serves `retrieve` on one asyncio loop: when the turnstile says so, or batching by count and time."""

    def __init__(
        self,
        bank: ReadSide,
        retrieval_config: RetrievalConfig,
        embedder: Embedder,
        *,
        seed: int,
        turnstile: Turnstile | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        cached = isinstance(embedder, CachedEmbedder)
        self.embedder = embedder if cached else CachedEmbedder(embedder, retrieval_config.cache_entries)
        self._bank, self._config, self._seed = bank, retrieval_config, seed
        self._turnstile, self._deadline_s = turnstile, deadline_s
        self._pending: list[_Request] = []
        self._timer: asyncio.TimerHandle | None = None
        self._searches: set[asyncio.Future[_Found]] = set()
        self._saver: asyncio.TimerHandle | None = None
        # One batch embeds while another searches; OpenMP's thread count belongs to the calling thread.
        self._pool = ThreadPoolExecutor(2, "retrieval", torch.set_num_threads, (torch.get_num_threads(),))
        self._tally, self._hits_before = Counter(), 0
        self.busy_s = 0.0  # embedding and searching, since it was made
        if turnstile is not None:
            turnstile.register(self._fire)

    async def retrieve(self, scope: str, text: str, *, key: str, round: int, k: int | None = None) -> list[Experience]:
        """The k experiences for a situation, best first; `key` names the retrieval uniquely within the run.

        Raises RetrievalError when no answer came before the deadline, and what the embedder or the index raises.
        """
        answer = asyncio.get_running_loop().create_future()
        self._pending.append(_Request(scope, text, key, round, k or self._config.k, answer))
        try:
            async with asyncio.timeout(self._deadline_s):
                if self._turnstile is not None:
                    return await self._turnstile.wait(answer)
                self._arm()
                return await answer
        except TimeoutError:
            raise RetrievalError(
                f"retrieval {key}: no answer within {self._deadline_s:g} s. Remedy: look for a participant "
                "that never waits (lockstep) or an embedder that hangs"
            ) from None

    async def drain(self) -> None:
        """Wait until all batches in flight are answered and all showings are in the ledger."""
        if self._turnstile is None:
            self._dispatch()
        while self._searches:
            await asyncio.wait(self._searches)
        if self._saver is not None:
            self._saver.cancel()
            self._saver = None
        await asyncio.get_running_loop().run_in_executor(self._pool, self._bank.flush)

    def close(self) -> None:
        self._pool.shutdown()

    def metrics(self) -> dict[str, float]:
        """Since the last call."""
        tally, self._tally = self._tally, Counter()
        hits, self._hits_before = self.embedder.hits - self._hits_before, self.embedder.hits
        counted = {name: tally[name] for name in ("queries", "empty", "embed_s", "search_s", "record_s")}
        rows = counted | {"cache_hits": hits, "batch_size": tally["queries"] / max(1, tally["batches"])}
        return {f"retrieve/{name}": float(value) for name, value in rows.items()}

    # -- lockstep: the turnstile fires when everybody waits ------------------------------------------------

    def _fire(self) -> None:
        batch, self._pending = self._pending, []
        if batch:
            self._settle(batch, self._pool.submit(self._look_up, batch))
            started = time.perf_counter()
            self._bank.flush()
            self._tally["record_s"] += time.perf_counter() - started

    # -- async: by count or by time, whichever is first ----------------------------------------------------

    def _arm(self) -> None:
        if len(self._pending) >= self._config.batch_queries:
            self._dispatch()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._config.batch_wait_ms / 1000, self._dispatch)

    def _dispatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._pending = self._pending, []
        if batch:
            search = asyncio.get_running_loop().run_in_executor(self._pool, self._look_up, batch)
            self._searches.add(search)
            search.add_done_callback(partial(self._searched, batch))

    def _searched(self, batch: list[_Request], search: asyncio.Future[_Found]) -> None:
        self._searches.discard(search)
        self._settle(batch, search)
        if self._saver is None:
            self._saver = asyncio.get_running_loop().call_later(SAVE_AFTER_S, self._save)

    def _save(self) -> None:
        self._saver = None
        self._pool.submit(self._bank.flush)  # `drain` does it again, and hears of what went wrong

    # -- both ------------------------------------------------------------------------------------------------

    def _settle(self, batch: Sequence[_Request], search: asyncio.Future[_Found] | Future[_Found]) -> None:
        """Answer everybody, or tell everybody what went wrong."""
        error = search.exception()
        if error is None:
            self._answer(batch, search.result())
            return
        for request in batch:
            if not request.answer.done():
                request.answer.set_exception(error)

    def _look_up(self, batch: Sequence[_Request]) -> _Found:
        """Candidates by (scope, text): each distinct query is embedded and searched once."""
        scopes = sorted({request.scope for request in batch})
        texts = {scope: list(dict.fromkeys(r.text for r in batch if r.scope == scope)) for scope in scopes}
        started = time.perf_counter()
        lockstep = self._turnstile is not None
        vectors = self.embedder.embed([text for scope in scopes for text in texts[scope]], one_by_one=lockstep)
        embedded = time.perf_counter()
        bounds = np.cumsum([len(texts[scope]) for scope in scopes])[:-1]
        queries = dict(zip(scopes, np.split(vectors, bounds), strict=True))
        found = self._bank.search(queries, max(r.k for r in batch) * self._config.candidates, texts)
        self._tally["embed_s"] += embedded - started
        self._tally["search_s"] += time.perf_counter() - embedded
        self.busy_s += time.perf_counter() - started
        return {(scope, text): hits for scope in scopes for text, hits in zip(texts[scope], found[scope], strict=True)}

    def _answer(self, batch: Sequence[_Request], found: _Found) -> None:
        self._tally["queries"] += len(batch)
        self._tally["batches"] += 1
        for request in sorted(batch, key=lambda r: r.key):
            hits = found[request.scope, request.text][: request.k * self._config.candidates]
            chosen = self._choose(request, hits)
            self._tally["empty"] += not chosen
            if request.round >= 0:
                shown = [Shown(hits[one.rank].entry.id, request.key, request.round, one.probability) for one in chosen]
                self._bank.count_shown(shown)
            if not request.answer.done():  # it was cancelled, or its deadline passed
                request.answer.set_result([hits[one.rank].entry for one in chosen])

    def _choose(self, request: _Request, hits: Sequence[Hit]) -> list[Chosen]:
        config = self._config
        if config.rule == "newest":
            is_recent = self._recency(request.round)
            usages = (self._bank.usage(hit.entry.id) for hit in hits)
            return rerank(
                ((usage.shown, is_recent(usage)) for usage in usages),
                usage_penalty=config.usage_penalty,
                demote_recent=config.demote_recent,
                uniform=lambda: self._uniform("demote", request),
                k=request.k,
            )
        beliefs, similarities = [self._bank.belief(hit.entry.id) for hit in hits], [hit.score for hit in hits]
        if request.round < 0:
            return exploit(beliefs, similarities, similarity_weight=config.similarity_weight, k=request.k)
        return drawn(
            config.rule, beliefs, similarities, similarity_weight=config.similarity_weight, explore=config.explore,
            k=request.k, uniform=lambda place: self._uniform("choose", request, place),
        )  # fmt: skip

    def _uniform(self, purpose: str, request: _Request, *more: int) -> float:
        """In [0, 1), of this retrieval alone."""
        return derive_seed(self._seed, purpose, request.round, request.key, *more) / 2**63

    def _recency(self, round_: int) -> Callable[[Usage], bool]:
        """Whether a usage is recent in this round."""
        if round_ < 0:
            return lambda usage: False
        if self._config.recency_s is not None:
            since_s = time.monotonic() - self._config.recency_s
            return lambda usage: usage.last_s > since_s
        first = max(0, round_ - self._config.recency_rounds + 1)
        return lambda usage: usage.last_round >= first
