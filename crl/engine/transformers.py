"""Generation on any Hugging Face causal LM, in this process: sessions, batching, weights replaced in place.

    session.generate ─► queue ─► Scheduler.admit / step ─► Decoder ─► model
                                 (Slots, sampling, text)   (SlotCache)

Two schedules share all of it. In lockstep a turnstile decides when the whole queue is served, in the
order of the session keys; otherwise a worker thread serves requests as they come. A completion's
version is that of the weights at the request's start: its oldest token's. Cached keys and values of
earlier turns are kept over a change of weights. An opening that several sessions share is computed once (`engine.prefixes`).
"""

import asyncio
import threading
import time
from collections.abc import Iterable

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crl.engine.decoder import Decoder
from crl.engine.prefixes import SHORTEST
from crl.engine.scheduler import Scheduler
from crl.engine.session import Request, SessionEngine, fault, resolve, resolve_threadsafe
from crl.engine.weights import copy_weights
from crl.engine.worker import Worker
from crl.lockstep import Turnstile
from crl.models.adapter import has_adapter, merge_into, merged
from crl.models.resolve import vocabulary_of
from crl.types import Completion


class TransformersEngine(SessionEngine):
    """Owns the model: nobody else may change its weights or mode."""

    streams = True
    constrains = True

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        end_ids: Iterable[int],
        max_sessions: int,
        context_tokens: int,
        turnstile: Turnstile | None,
        forward_tokens: int = 4096,
        shared_tokens: int = SHORTEST,
    ) -> None:
        """`max_sessions` contexts of `context_tokens` are cached at once; more sessions wait in line.

        `forward_tokens` bounds one forward (longer prompts are fed in pieces), and so its memory. An opening that a new session
        has in common with another one, of `shared_tokens` or more, is computed once.
        """
        super().__init__(tokenizer, end_ids, vocabulary_of(model), context_tokens)
        self._given = model  # what is given weights
        # Thin products beside each layer take a fifth of the time. In bfloat16 they stay: small updates would be rounded away.
        self._merges = has_adapter(model) and model.dtype == torch.float32
        self._model = model = merged(model) if self._merges else model
        decoder = Decoder(model, max_sessions, context_tokens)
        self._scheduler = Scheduler(
            decoder, self._text, end_ids=self._end_ids, never_ids=self._never_ids, forward_tokens=forward_tokens,
            shared_tokens=shared_tokens,
        )  # fmt: skip
        self._turnstile = turnstile
        self._queue: list[Request] = []  # of the lockstep schedule
        self._firing = threading.Lock()
        self._worker: Worker | None = None
        if turnstile is None:
            self._worker = Worker(self._serve, lambda: bool(self._scheduler.running), "crl-engine")
        else:
            turnstile.register(self.fire)

    @property
    def version(self) -> int:
        return self._scheduler.version

    @property
    def busy_s(self) -> float:
        return self._scheduler.busy_s

    @property
    def tokens(self) -> int:
        return self._scheduler.tokens

    @property
    def reused(self) -> int:
        """Tokens of prompts that were copied from another session's, not computed."""
        return self._scheduler.reused

    async def _answer(self, request: Request) -> Completion:
        if self._worker is not None:
            self._worker.submit(request)
            # In the loop's next iteration: all that ask in this one, e.g. on a batch of observations, make one batch.
            asyncio.get_running_loop().call_soon(self._worker.wake)
            return await request.future
        self._queue.append(request)
        return await self._turnstile.wait(request.future)

    def fire(self) -> None:
        """Serve the queue to the end, as far as there are slots, as one batch ordered by session key.

        Whoever finds no slot stays queued until a session ends; at least one request is always served.
        """
        if not self._queue:
            return
        with self._firing:
            self._scheduler.forget()
            self._queue, ended = self._advance(sorted(self._queue, key=_by_session))
            while self._scheduler.running:
                self._queue, more = self._advance(self._queue)
                ended += more
        resolve(sorted(ended, key=_by_session))

    def _serve(self, line: list[Request]) -> list[Request]:
        line, ended = self._advance(line)
        resolve_threadsafe(ended)
        return line

    def _advance(self, line: list[Request]) -> tuple[list[Request], list[Request]]:
        """One step of the scheduler; returns who is still in line, and who ended."""
        line = self._scheduler.admit(line)
        try:
            ended = self._scheduler.step()
        except Exception as error:  # noqa: BLE001  whatever a model raises must reach those who wait for it
            ended = self._scheduler.abandon()
            for request in ended:
                request.answer = fault(error)
        else:
            for request in ended:
                self._complete(request)
        return line, ended

    def load_weights(self, state: dict[str, torch.Tensor], version: int) -> float:
        """Replace all weights in place between two steps, or the adapter's; returns seconds. Running sessions go on."""
        start = time.perf_counter()
        with self._firing if self._worker is None else self._worker.paused():
            copy_weights(self._given, state)
            if self._merges:
                merge_into(self._model, self._given)
            self._scheduler.changed(version)
        return time.perf_counter() - start

    def _shut(self) -> list[Request]:
        waiting = self._queue if self._worker is None else self._worker.close()
        self._queue = []
        return waiting + self._scheduler.abandon()


def _by_session(request: Request) -> tuple[str, str]:
    return request.context.key, request.id
