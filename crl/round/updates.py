"""Both models' updates: the actor's on a round's episodes, the extractor's on what its buffer has credited."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from crl.learn.batches import actor_batch, extractor_batch
from crl.learn.guard import Verdict
from crl.learn.learner import Learner
from crl.learn.sequences import WeightedSequence
from crl.round.parts import Parts
from crl.spans import Spans
from crl.types import Episode

T = TypeVar("T")


async def update_actor(parts: Parts, episodes: Sequence[Episode], spans: Spans) -> dict[str, float]:
    """One update on the episodes; returns its metrics."""
    learner, learning = parts.actor, parts.config.learn.actor
    if not episodes or learner.trainer is None:
        return {}
    batch = actor_batch(episodes, learning, learner.version)
    return dict(batch.metrics) | await _update(parts, learner, batch.sequences, learning.steps_per_round, spans)


async def update_extractor(parts: Parts, round_: int, spans: Spans) -> dict[str, float]:
    """One update when enough fresh completions have been credited, and the guard lets it pass; returns its metrics."""
    learner, buffer = parts.extractor, parts.buffer
    if learner.trainer is None:
        return {}
    verdict, metrics = await _guard(parts)
    metrics["extractor/stale_dropped"] = float(buffer.drop(parts.learns_from))
    if verdict in (Verdict.WAIT, Verdict.TAKE_BACK) or not buffer.ready:
        return metrics
    samples = buffer.pop(round_)
    batch = extractor_batch(samples, learner.version)
    metrics |= batch.metrics | await _update(parts, learner, batch.sequences, 1, spans)
    buffer.record_training(samples, round_)
    parts.bank.mark_trained([item.sample.completion.id for item in samples if item.weight > 0], round_)
    return metrics


async def _guard(parts: Parts) -> tuple[Verdict, dict[str, float]]:
    """Judge the extractor's newest weights, and do what follows from it, short of training."""
    if parts.guard is None:
        return Verdict.TRAIN, {}
    verdict, metrics = parts.guard.judge()
    if verdict is Verdict.KEEP:
        await _beside(parts, parts.guard.keep)
    elif verdict is Verdict.TAKE_BACK:
        metrics["sync/extractor_s"] = await _beside(parts, parts.guard.take_back)
        metrics["extractor/version"] = float(parts.extractor.version)
    return verdict, metrics


async def _beside(parts: Parts, work: Callable[[], T]) -> T:
    """In lockstep here and now, else beside the event loop."""
    return work() if parts.turnstile else await asyncio.to_thread(work)


async def _update(
    parts: Parts, learner: Learner, sequences: Sequence[WeightedSequence], steps: int, spans: Spans
) -> dict[str, float]:
    """Optimise, and give the engine the new weights: in lockstep here and now, else beside the event loop."""
    if not sequences:
        return {}
    if parts.turnstile:
        metrics = learner.update(sequences, steps)
        with spans.on_path("weight_sync"):
            synced_s = learner.sync()
    else:
        began = time.perf_counter()
        metrics = await asyncio.to_thread(learner.update, sequences, steps)
        spans.add(f"{learner.role}_update", time.perf_counter() - began)
        synced_s = await asyncio.to_thread(learner.sync)  # servers take their time
        spans.add("weight_sync", synced_s)
    return metrics | {f"sync/{learner.role}_s": synced_s, f"{learner.role}/version": float(learner.version)}
