"""Generation on any Hugging Face causal LM, in this process: sessions, batching, weights replaced in place.

    session.generate ─► queue ─► Scheduler.admit / step ─► Decoder ─► model
                                 (Slots, sampling, text)   (SlotCache)

Two schedules share all of it. In lockstep a turnstile decides when the whole queue is served, in the
order of the session keys; otherwise a worker thread serves requests as they come. A completion's
version is that of the weights at the request's start: its oldest token's. Cached keys and values of
earlier turns are kept over a change of weights.
"""

import asyncio
import dataclasses
import threading
import time
from collections.abc import Iterable

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crl.engine.answers import Answer, completion_of, fault, resolve, resolve_threadsafe
from crl.engine.decoder import Decoder
from crl.engine.scheduler import Request, Scheduler
from crl.engine.session import ContextSession
from crl.engine.text import TokenText
from crl.engine.weights import copy_weights
from crl.engine.worker import Worker
from crl.errors import EngineError
from crl.lockstep import Turnstile
from crl.models.resolve import vocabulary_of
from crl.types import Completion


class TransformersEngine:
    """Implements `engine.protocol.Engine`. Owns the model: nobody else may change its weights or mode."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        end_ids: Iterable[int],
        max_sessions: int,
        context_tokens: int,
        turnstile: Turnstile | None,
        version: int = 0,
        forward_tokens: int = 4096,
    ) -> None:
        """`max_sessions` contexts of `context_tokens` are cached at once; more sessions wait in line.

        `forward_tokens` bounds one forward (longer prompts are fed in pieces), and so its memory.
        """
        self._vocabulary = vocabulary_of(model)
        self._model = model
        self._text = TokenText(tokenizer)
        self._end_ids = frozenset(end_ids)
        self._scheduler = Scheduler(
            Decoder(model, max_sessions, context_tokens),
            self._text,
            end_ids=self._end_ids,
            version=version,
            forward_tokens=forward_tokens,
        )
        self._closed = False
        self._turnstile = turnstile
        self._queue: list[Request] = []  # of the lockstep schedule
        self._firing = threading.Lock()
        self._worker: Worker | None = None
        if turnstile is None:
            self._worker = Worker(self._serve_async, lambda: bool(self._scheduler.running), "crl-engine")
        else:
            turnstile.register(self.fire)

    @property
    def version(self) -> int:
        return self._scheduler.version

    def session(self, key: str) -> ContextSession:
        return ContextSession(
            key, self.submit, context_tokens=self._scheduler.context_tokens, vocabulary=self._vocabulary
        )

    def stats(self) -> dict[str, float]:
        """Counters since the engine was made, see `SchedulerCounts`."""
        return dataclasses.asdict(self._scheduler.counters)

    async def submit(self, request: Request) -> Completion:
        if self._closed:
            raise EngineError("the engine is closed. Remedy: finish all sessions before closing it")
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
            line = sorted(self._queue, key=lambda request: (request.context.key, request.id))
            answers: list[tuple[Request, Answer]] = []
            line = self._advance(line, answers)
            while self._scheduler.running:
                line = self._advance(line, answers)
            self._queue = line
        answers.sort(key=lambda answer: (answer[0].context.key, answer[0].id))
        resolve(answers)

    def _serve_async(self, line: list[Request]) -> list[Request]:
        answers: list[tuple[Request, Answer]] = []
        line = self._advance(line, answers)
        resolve_threadsafe(answers)
        return line

    def _advance(self, line: list[Request], answers: list[tuple[Request, Answer]]) -> list[Request]:
        """One step of the scheduler; appends what ended to `answers`, returns who is still in line."""
        line = self._scheduler.admit(line)
        try:
            ended = self._scheduler.step()
        except Exception as error:  # noqa: BLE001  whatever a model raises must reach those who wait for it
            answers += [(request, fault(error)) for request in self._scheduler.abandon()]
        else:
            answers += [(request, completion_of(request, self._text, self._end_ids)) for request in ended]
        return line

    def load_weights(self, state: dict[str, torch.Tensor], version: int) -> float:
        """Replace all weights in place between two steps; returns seconds. Running sessions go on."""
        start = time.perf_counter()
        with self._firing if self._worker is None else self._worker.paused():
            copy_weights(self._model, state)
            self._scheduler.version = version
        return time.perf_counter() - start

    def close(self) -> None:
        """Stop serving; whoever still waits gets an EngineError."""
        if self._closed:
            return
        self._closed = True
        waiting = self._queue if self._worker is None else self._worker.close()
        self._queue = []
        why = "the engine was closed while this request waited"
        resolve_threadsafe([(request, EngineError(why)) for request in waiting + self._scheduler.abandon()])
