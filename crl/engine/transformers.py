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
from collections import defaultdict
from collections.abc import Iterable

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crl.engine.decoder import Decoder
from crl.engine.scheduler import Request, Scheduler
from crl.engine.session import TransformersSession
from crl.engine.text import TokenText
from crl.engine.weights import copy_weights
from crl.engine.worker import Worker
from crl.errors import EngineError
from crl.turnstile import Turnstile
from crl.types import Completion

Answer = Completion | EngineError


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
        self._vocabulary = model.get_input_embeddings().num_embeddings
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

    def session(self, key: str) -> TransformersSession:
        return TransformersSession(
            key, self.submit, context_tokens=self._scheduler.context_tokens, vocabulary=self._vocabulary
        )

    def stats(self) -> dict[str, float]:
        """Counters since the engine was made, see `scheduler.Counters`."""
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
        _resolve(answers)

    def _serve_async(self, line: list[Request]) -> list[Request]:
        answers: list[tuple[Request, Answer]] = []
        line = self._advance(line, answers)
        _resolve_threadsafe(answers)
        return line

    def _advance(self, line: list[Request], answers: list[tuple[Request, Answer]]) -> list[Request]:
        """One step of the scheduler; appends what ended to `answers`, returns who is still in line."""
        line = self._scheduler.admit(line)
        try:
            ended = self._scheduler.step()
        except Exception as error:  # noqa: BLE001  whatever a model raises must reach those who wait for it
            answers += [(request, _fault(error)) for request in self._scheduler.abandon()]
        else:
            answers += [(request, self._completion(request)) for request in ended]
        return line

    def _completion(self, request: Request) -> Completion:
        token_ids = request.token_ids
        shown_ids = token_ids[:-1] if token_ids[-1] in self._end_ids else token_ids
        return Completion(
            id=request.id,
            prompt_ids=request.new_ids,
            token_ids=tuple(token_ids),
            logprobs=tuple(request.logprobs),
            text=self._text.decode(shown_ids),
            stop_reason=request.stop_reason,
            version=request.version,
            temperature=request.sampling.temperature,
        )

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
        fault = "the engine was closed while this request waited"
        _resolve_threadsafe([(request, EngineError(fault)) for request in waiting + self._scheduler.abandon()])


def _fault(error: Exception) -> EngineError:
    fault = EngineError(f"generation failed: {type(error).__name__}: {error}")
    fault.__cause__ = error
    return fault


def _resolve(answers: Iterable[tuple[Request, Answer]]) -> None:
    for request, answer in answers:
        if request.future.done():
            continue
        if isinstance(answer, EngineError):
            request.future.set_exception(answer)
        else:
            request.future.set_result(answer)


def _resolve_threadsafe(answers: Iterable[tuple[Request, Answer]]) -> None:
    """One call per event loop, however many requests ended."""
    by_loop = defaultdict(list)
    for request, answer in answers:
        by_loop[request.future.get_loop()].append((request, answer))
    for loop, own in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, own)
