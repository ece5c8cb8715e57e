"""From popped buffer samples to the extractor's training batch (method 2.4)."""

import statistics
from collections.abc import Sequence

from crl.learn.buffer import WeightedSample
from crl.learn.sequences import TrainingBatch, WeightedSequence, completion_sequence


def extractor_batch(samples: Sequence[WeightedSample], current_version: int) -> TrainingBatch:
    """A = w (r - mean r) over the batch: the repeat weight acts after the mean is taken off, as in the method."""
    scores = [item.sample.score for item in samples]
    sequences = tuple(
        WeightedSequence(completion_sequence(item.sample.completion), item.weight * advantage)
        for item, advantage in zip(samples, batch_advantages(scores), strict=True)
    )
    staleness = [current_version - item.sample.completion.version for item in samples]
    metrics = {
        "extractor/samples": float(len(samples)),
        "extractor/score_mean": statistics.fmean(scores) if scores else 0.0,
        "extractor/score_std": statistics.pstdev(scores) if scores else 0.0,
        "extractor/uses_mean": statistics.fmean(item.sample.uses for item in samples) if samples else 0.0,
        "extractor/repeat_weight_mean": statistics.fmean(item.weight for item in samples) if samples else 0.0,
        "extractor/staleness_mean": statistics.fmean(staleness) if staleness else 0.0,
        "extractor/staleness_max": float(max(staleness, default=0)),
        "extractor/trainable_tokens": float(sum(item.sequence.trainable_tokens for item in sequences)),
    }
    return TrainingBatch(sequences, metrics)


def batch_advantages(scores: Sequence[float]) -> tuple[float, ...]:
    """Each score minus the batch's mean (method 2.4)."""
    if not scores:
        return ()
    baseline = statistics.fmean(scores)
    return tuple(score - baseline for score in scores)
