"""What the trainers are given: of the actor a round's finished episodes, of the extractor popped buffer samples."""

import statistics
from collections.abc import Iterable, Sequence

from crl.config.choices import ADVANTAGES
from crl.config.learn import ActorLearningConfig
from crl.learn.advantages import carries_signal, subgroup_advantages, subgroups
from crl.learn.buffer import WeightedSample
from crl.learn.internalise import internalised
from crl.learn.sequences import TrainingBatch, WeightedSequence, completion_sequence, episode_sequence
from crl.types import Episode


def actor_batch(episodes: Iterable[Episode], config: ActorLearningConfig, current_version: int) -> TrainingBatch:
    """Advantages inside each group's free and guided half, over the episodes that are fresh enough (method 1.2 - 1.5).

    The paper's (arXiv 2603.17621) split: an episode is compared only with those that played the same instance under the
    same condition, so that an experience's help does not push the free policy down. A subgroup without variance has
    advantage 0: by `flat_groups` it counts in the loss's denominator (as in the paper's runs) or is left out. What is
    internalised comes on top.

    `episodes` are finished ones (infrastructure failures never get here), of any number of groups and in
    any order: the batch is sorted by key. Stale episodes are dropped before baselines are taken.
    """
    finished = [episode for episode in episodes if episode.turns]
    fresh = [episode for episode in finished if current_version - episode.oldest_version <= config.max_staleness]
    estimator = ADVANTAGES.load(config.advantage, "learn.actor.advantage")
    compared = subgroups(fresh)
    sequences: list[WeightedSequence] = []
    for subgroup in compared:
        if config.flat_groups == "skip" and not carries_signal(subgroup):
            continue
        advantages = subgroup_advantages([episode.reward for episode in subgroup], estimator)
        sequences += [
            WeightedSequence(episode_sequence(episode), advantage)
            for episode, advantage in zip(subgroup, advantages, strict=True)
        ]
    # Of a turn: where updates overlap the round they feed, most of a slow round is sampled after them.
    lags = [current_version - turn.completion.version for episode in fresh for turn in episode.turns]
    advantages = [item.weight for item in sequences]
    added = internalised(compared, config.internalise) if config.internalise else ()
    flat = sum(not carries_signal(subgroup) for subgroup in compared)
    metrics = {
        "actor/groups": float(len({(episode.key.round, episode.key.group) for episode in fresh})),
        "actor/subgroups": float(len(compared)),
        "actor/flat_share": flat / len(compared) if compared else 0.0,
        "actor/stale_dropped": float(len(finished) - len(fresh)),
        "actor/staleness_max": float(max(lags, default=0)),
        "actor/staleness_mean": statistics.fmean(lags) if lags else 0.0,
        "actor/sequences": float(len(sequences)),
        "actor/signal_sequences": float(sum(advantage != 0 for advantage in advantages)),
        "actor/trainable_tokens": float(sum(item.sequence.trainable_tokens for item in sequences)),
        "actor/context_tokens": float(sum(len(item.sequence.input_ids) for item in sequences)),
        "actor/advantage_mean": statistics.fmean(advantages) if advantages else 0.0,
        "actor/advantage_abs_mean": statistics.fmean(map(abs, advantages)) if advantages else 0.0,
        "actor/internalised": float(len(added)),
        "actor/internalised_tokens": float(sum(item.sequence.trainable_tokens for item in added)),
    }
    return TrainingBatch((*sequences, *added), metrics)


def extractor_batch(samples: Sequence[WeightedSample], current_version: int) -> TrainingBatch:
    """A = w (r - mean r) over the batch: the repeat weight acts after the mean is taken off (method 2.4)."""
    scores = [item.sample.score for item in samples]
    baseline = statistics.fmean(scores)
    sequences = tuple(
        WeightedSequence(completion_sequence(item.sample.completion), item.weight * (item.sample.score - baseline))
        for item in samples
    )
    staleness = [current_version - item.sample.completion.version for item in samples]
    metrics = {
        "extractor/samples": float(len(samples)),
        "extractor/score_mean": baseline,
        "extractor/score_std": statistics.pstdev(scores),
        "extractor/uses_mean": statistics.fmean(item.sample.uses for item in samples),
        "extractor/repeat_weight_mean": statistics.fmean(item.weight for item in samples),
        "extractor/staleness_mean": statistics.fmean(staleness),
        "extractor/staleness_max": float(max(staleness)),
        "extractor/trainable_tokens": float(sum(item.sequence.trainable_tokens for item in sequences)),
    }
    return TrainingBatch(sequences, metrics)
