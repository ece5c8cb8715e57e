"""What is trainable: sampled tokens, all of them, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.errors import DataError
from crl.learn.sequences import TrainingSequence, completion_sequence, episode_sequence
from crl.types import Completion, Episode, EpisodeKey, Outcome, Task, Turn, TurnKind

TASK = Task("room/train/1", "room", "minihack", "Room-5x5", 1, 14)


def completion(prompt_ids, token_ids, logprobs=None, temperature=1.0) -> Completion:
    logprobs = [-0.5 * (1 + k) for k in range(len(token_ids))] if logprobs is None else logprobs
    return Completion("c", tuple(prompt_ids), tuple(token_ids), tuple(logprobs), "", "stop", 0, temperature)


def episode(*completions: Completion) -> Episode:
    turns = tuple(Turn(TurnKind.ACTION, "", each, "north") for each in completions)
    return Episode(EpisodeKey(0, 0, 0), TASK, False, turns, Outcome.SUCCESS, 1.0, len(turns))


ids = st.lists(st.integers(0, 999), max_size=6)
turns = st.lists(st.tuples(ids, ids), min_size=1, max_size=5).filter(lambda parts: parts[0][0])


@given(turns)
def test_the_context_is_the_exact_concatenation_and_only_sampled_ids_are_trainable(parts):
    sequence = episode_sequence(episode(*(completion(prompt, sampled) for prompt, sampled in parts)))
    assert list(sequence.input_ids) == [token for prompt, sampled in parts for token in prompt + sampled]
    trained = [token for token, mask in zip(sequence.input_ids, sequence.loss_mask, strict=True) if mask]
    assert trained == [token for _, sampled in parts for token in sampled]


@given(turns)
def test_every_trainable_token_keeps_its_own_sampling_logprob(parts):
    completions = [completion(prompt, sampled) for prompt, sampled in parts]
    sequence = episode_sequence(episode(*completions))
    kept = [logprob for logprob, mask in zip(sequence.old_logprobs, sequence.loss_mask, strict=True) if mask]
    assert kept == [logprob for each in completions for logprob in each.logprobs]
    assert all(x == 0.0 for x, mask in zip(sequence.old_logprobs, sequence.loss_mask, strict=True) if not mask)


def test_a_completion_alone_is_an_episode_of_one_turn():
    single = completion([1, 2], [3, 4])
    assert completion_sequence(single) == episode_sequence(episode(single))


def test_greedy_completions_are_scored_under_the_plain_softmax():
    assert completion_sequence(completion([1], [2], temperature=0.0)).temperature == 1.0


def test_a_sequence_of_two_temperatures_is_refused_with_a_remedy():
    with pytest.raises(DataError, match=r"temperatures \[0.5, 1.0\].*Remedy"):
        episode_sequence(episode(completion([1], [2]), completion([3], [4], temperature=0.5)))


def test_missing_logprobs_are_refused():
    with pytest.raises(DataError, match="2 token ids but 1 log-probs"):
        completion_sequence(completion([1], [2, 3], logprobs=[-1.0]))


def test_a_completion_without_a_prompt_is_refused():
    with pytest.raises(DataError, match="no prompt"):
        completion_sequence(completion([], [2]))


def test_parallel_fields_of_unequal_length_are_refused():
    with pytest.raises(DataError, match="parallel"):
        TrainingSequence((1, 2), (0,), (0.0, 0.0), 1.0)
