"""From a round's finished episodes to the actor's training batch (method 1.2 - 1.5)."""

import itertools
import statistics
from collections.abc import Iterable, Sequence

from crl.config.choices import ADVANTAGES
from crl.config.learn import ActorLearningConfig
from crl.learn.sequences import TrainingBatch, WeightedSequence, episode_sequence
from crl.learn.subgroups import group_advantages
from crl.types import Episode


def actor_batch(episodes: Iterable[Episode], config: ActorLearningConfig, current_version: int) -> TrainingBatch:
    """Advantages inside each group's subgroups, over the episodes that are fresh enough.

    `episodes` are finished ones (infrastructure failures never get here), of any number of groups and in
    any order: the batch is sorted by key. Stale episodes are dropped before baselines are taken.
    """
    finished = sorted((episode for episode in episodes if episode.turns), key=lambda episode: episode.key)
    fresh = [episode for episode in finished if _staleness(episode, current_version) <= config.max_staleness]
    estimator = ADVANTAGES.load(config.advantage, "learn.actor.advantage")
    sequences: list[WeightedSequence] = []
    groups = subgroups = flat = 0
    for _, members in itertools.groupby(fresh, key=lambda episode: (episode.key.round, episode.key.group)):
        group = list(members)
        advantages = group_advantages(
            [episode.reward for episode in group],
            [episode.guided for episode in group],
            estimator,
            config.flat_groups,
        )
        sequences += [
            WeightedSequence(episode_sequence(episode), advantage)
            for episode, advantage in zip(group, advantages.values, strict=True)
            if advantage is not None
        ]
        groups += 1
        subgroups += advantages.subgroups
        flat += advantages.flat_subgroups
    metrics = {
        "actor/groups": float(groups),
        "actor/subgroups": float(subgroups),
        "actor/flat_share": flat / subgroups if subgroups else 0.0,
        "actor/stale_dropped": float(len(finished) - len(fresh)),
        "actor/staleness_max": float(max((_staleness(episode, current_version) for episode in fresh), default=0)),
        "actor/staleness_mean": _mean_staleness(fresh, current_version),
        **_sequence_metrics(sequences),
    }
    return TrainingBatch(tuple(sequences), metrics)


def _staleness(episode: Episode, current_version: int) -> int:
    """Versions between the oldest weights that sampled the episode and those to be updated."""
    return current_version - episode.versions[0]


def _mean_staleness(episodes: Sequence[Episode], current_version: int) -> float:
    """Of a turn: where updates overlap the round they feed, most of a slow round is sampled after them."""
    lags = [current_version - turn.completion.version for episode in episodes for turn in episode.turns]
    return statistics.fmean(lags) if lags else 0.0


def _sequence_metrics(sequences: list[WeightedSequence]) -> dict[str, float]:
    advantages = [item.weight for item in sequences]
    return {
        "actor/sequences": float(len(sequences)),
        "actor/signal_sequences": float(sum(advantage != 0 for advantage in advantages)),
        "actor/trainable_tokens": float(sum(item.sequence.trainable_tokens for item in sequences)),
        "actor/context_tokens": float(sum(len(item.sequence.input_ids) for item in sequences)),
        "actor/advantage_mean": statistics.fmean(advantages) if advantages else 0.0,
        "actor/advantage_abs_mean": statistics.fmean(map(abs, advantages)) if advantages else 0.0,
    }
