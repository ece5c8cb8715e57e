"""From episodes and buffer samples to what the trainers are given."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.config.learn import ActorLearningConfig
from crl.learn.batches import actor_batch, extractor_batch
from crl.learn.buffer import Sample, WeightedSample
from crl.learn.sequences import episode_sequence
from crl.types import Completion, Episode, EpisodeKey, Outcome, Task, Turn, TurnKind

TASK = Task("room/train/1", "room", "minihack", "Room-5x5", 1, 14)


def episode(group: int, index: int, reward: float, *, guided: bool, version: int = 3) -> Episode:
    completion = Completion(f"{group}-{index}", (1, group, index), (5, 6), (-0.5, -0.25), "", "stop", version)
    turn = Turn(TurnKind.ACTION, "", completion, "north")
    outcome = Outcome.SUCCESS if reward > 0 else Outcome.TIMEOUT
    return Episode(EpisodeKey(3, group, index), TASK, guided, (turn,), outcome, reward, 1)


def group(number: int, free: list[float], guided: list[float]) -> list[Episode]:
    episodes = [episode(number, i, reward, guided=False) for i, reward in enumerate(free)]
    return episodes + [episode(number, len(free) + i, reward, guided=True) for i, reward in enumerate(guided)]


def weights(batch) -> list[float]:
    return [item.weight for item in batch.sequences]


def test_each_episode_is_compared_with_its_own_half_of_its_own_group():
    episodes = group(0, [1.0, 0.0], [1.0, 1.0, 0.0, 0.0]) + group(1, [0.0, 0.0], [0.0, 1.0])
    batch = actor_batch(episodes, ActorLearningConfig(), current_version=3)
    assert weights(batch) == [0.5, -0.5, 0.5, 0.5, -0.5, -0.5, 0.0, 0.0, -0.5, 0.5]
    assert [item.sequence for item in batch.sequences] == [episode_sequence(each) for each in episodes]
    assert batch.metrics["actor/groups"] == 2.0
    assert batch.metrics["actor/flat_share"] == 0.25
    assert batch.metrics["actor/trainable_tokens"] == 20.0


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), max_size=6), st.sampled_from(["skip", "count"]))
def test_free_and_guided_episodes_never_see_each_others_rewards(rewards, flat):
    config = ActorLearningConfig(flat_groups=flat)
    alone = actor_batch(group(0, [], rewards), config, current_version=3)
    both = actor_batch(group(0, [0.0, 1.0, 1.0], rewards), config, current_version=3)
    assert weights(both)[3:] == weights(alone)


def test_skipping_flat_subgroups_leaves_them_out_of_the_denominator():
    config = ActorLearningConfig(flat_groups="skip")
    batch = actor_batch(group(0, [0.0, 0.0], [0.0, 1.0]), config, current_version=3)
    assert weights(batch) == [-0.5, 0.5]
    assert batch.metrics["actor/flat_share"] == 0.5
    assert batch.metrics["actor/subgroups"] == 2.0


def test_stale_episodes_are_dropped_before_baselines_are_taken():
    episodes = group(0, [1.0, 0.0, 0.0], [])
    episodes[2] = episode(0, 2, 0.0, guided=False, version=1)
    batch = actor_batch(episodes, ActorLearningConfig(max_staleness=1), current_version=3)
    assert weights(batch) == [0.5, -0.5]
    assert batch.metrics["actor/stale_dropped"] == 1.0


def test_an_episode_is_as_stale_as_its_oldest_turn():
    fresh = episode(0, 0, 1.0, guided=False)
    old_turn = replace(fresh.turns[0], completion=replace(fresh.turns[0].completion, version=0))
    mixed = replace(fresh, turns=(old_turn, *fresh.turns))
    batch = actor_batch([mixed], ActorLearningConfig(max_staleness=2), current_version=3)
    assert batch.sequences == ()
    kept = actor_batch([mixed], ActorLearningConfig(max_staleness=3), current_version=3)
    lags = [3 - turn.completion.version for turn in mixed.turns]
    assert kept.metrics["actor/staleness_max"] == max(lags) == 3
    assert kept.metrics["actor/staleness_mean"] == pytest.approx(sum(lags) / len(lags))


@given(st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_change_the_batch(random):
    episodes = group(0, [1.0, 0.0], [1.0, 0.0, 0.0]) + group(1, [0.0, 1.0], [1.0, 1.0, 0.0])
    shuffled = episodes[:]
    random.shuffle(shuffled)
    config = ActorLearningConfig()
    assert actor_batch(shuffled, config, 3) == actor_batch(episodes, config, 3)


def test_no_episodes_give_an_empty_batch_with_all_metrics():
    empty = actor_batch([], ActorLearningConfig(), 0)
    full = actor_batch(group(0, [1.0, 0.0], [1.0]), ActorLearningConfig(), 3)
    assert empty.sequences == ()
    assert empty.metrics.keys() == full.metrics.keys()


def sample(name: str, score: float, weight: float, version: int = 0) -> WeightedSample:
    completion = Completion(name, (1,), (2, 3), (-0.1, -0.2), "", "stop", version)
    return WeightedSample(Sample(completion, score * 2, 2, 0), weight)


def test_the_extractors_repeat_weight_acts_after_the_mean_is_taken_off():
    batch = extractor_batch([sample("a", 1.0, 1.0), sample("b", 0.0, 0.5), sample("c", 0.5, 0.0)], current_version=4)
    assert weights(batch) == pytest.approx([0.5, -0.25, 0.0])
    assert batch.metrics["extractor/score_mean"] == pytest.approx(0.5)
    assert batch.metrics["extractor/staleness_max"] == 4.0


def test_the_extractor_is_trained_on_its_completion_only():
    batch = extractor_batch([sample("a", 1.0, 1.0), sample("b", 0.0, 1.0)], current_version=0)
    assert [item.sequence.loss_mask for item in batch.sequences] == [(0, 1, 1), (0, 1, 1)]
