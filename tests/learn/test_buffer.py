"""The extractor's buffer: means over uses, oldest first, weights that really fall with training."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.config.learn import ExtractorLearningConfig
from crl.errors import DataError
from crl.learn.buffer import TrainingBuffer
from crl.types import Completion


def completion(name: str) -> Completion:
    return Completion(name, (1, 2), (3, 4), (-0.1, -1 / 3), "text", "stop", 0, 0.7)


def buffer(**changes) -> TrainingBuffer:
    return TrainingBuffer(ExtractorLearningConfig(buffer=6, batch=2, **changes))


def test_scores_of_all_uses_are_averaged_while_the_completion_waits():
    held = buffer()
    for score, round in ((1.0, 0), (0.0, 0), (1.0, 3)):
        held.credit(completion("a"), score, round)
    held.credit(completion("b"), 0.0, 3)
    first, second = held.pop(3)
    assert (first.sample.score, first.sample.uses, first.sample.entered_round) == (pytest.approx(2 / 3), 3, 0)
    assert second.sample.completion.id == "b"
    assert len(held) == 0


def test_the_oldest_leave_first_and_the_rest_keep_waiting():
    held = buffer()
    for name in "abcde":
        held.credit(completion(name), 1.0, 0)
    assert [item.sample.completion.id for item in held.pop(0)] == ["a", "b"]
    assert [item.sample.completion.id for item in held.pop(0)] == ["c", "d"]
    assert not held.ready


def test_popping_too_few_is_an_error_that_says_so():
    held = buffer()
    held.credit(completion("a"), 1.0, 0)
    with pytest.raises(ValueError, match="1 of 2"):
        held.pop(0)


def test_what_does_not_fit_evicts_the_oldest():
    held = buffer()
    for name in "abcdefgh":
        held.credit(completion(name), 1.0, 0)
    assert len(held) == 6
    assert held.pop(0)[0].sample.completion.id == "c"


def test_what_is_no_longer_fresh_leaves_and_the_others_keep_their_order():
    held = buffer()
    for version, name in enumerate("abcde"):
        held.credit(replace(completion(name), version=version), 1.0, 0)
    assert held.drop(lambda version: version != 1 and version > 0) == 2
    assert [item.sample.completion.id for item in held.pop(0)] == ["c", "d"]
    assert held.drop(lambda version: True) == 0


def test_a_completion_trained_n_times_weighs_one_over_root_of_n_plus_one():
    held, weights = buffer(), []
    for round in range(3):
        for name in "ab":
            held.credit(completion(name), 1.0, round)
        taken = held.pop(round)
        held.record_training(taken, round)
        weights.append(taken[0].weight)
    assert weights == pytest.approx([1.0, 2**-0.5, 3**-0.5])


def test_a_cooling_completion_weighs_nothing_and_is_not_counted_as_trained():
    held, weights = buffer(cooldown_rounds=2), []
    for round in range(3):
        for name in "ab":
            held.credit(completion(name), 1.0, round)
        taken = held.pop(round)
        held.record_training(taken, round)
        weights.append(taken[0].weight)
    assert weights == pytest.approx([1.0, 0.0, 2**-0.5])


def test_power_zero_switches_the_repeat_weight_off():
    held = buffer(repeat_power=0.0)
    for round in range(2):
        for name in "ab":
            held.credit(completion(name), 1.0, round)
        taken = held.pop(round)
        held.record_training(taken, round)
    assert taken[0].weight == 1.0


credits = st.lists(st.tuples(st.sampled_from("abcdefghij"), st.floats(-2, 2, allow_nan=False)), max_size=40)


@given(credits)
def test_a_buffer_restored_from_a_checkpoint_behaves_exactly_as_the_original(events):
    original, restored = buffer(), buffer()
    for round, (name, score) in enumerate(events):
        original.credit(completion(name), score, round)
        if len(original) == 5:
            original.record_training(original.pop(round), round)
    restored.load(original.dump())
    assert restored.dump() == original.dump()
    while original.ready:
        assert restored.pop(99) == original.pop(99)


@pytest.mark.parametrize("damaged", [b"", b'{"buffer": []}', b'[[{"uses": 1}], {}]'])
def test_what_is_no_buffer_is_refused_with_a_remedy(damaged):
    with pytest.raises(DataError, match=r"training buffer: (.|\n)*Remedy"):
        buffer().load(damaged)


def test_token_ids_are_kept_in_as_few_bytes_as_their_digits_need():
    held, ids = buffer(), tuple(range(100_000, 110_000))
    held.credit(Completion("long", ids, (1,), (float("-inf"),), "text", "stop", 0), 1 / 3, 0)
    assert len(held.dump()) < 7 * len(ids) + 300
    restored = buffer()
    restored.load(held.dump())
    assert restored.dump() == held.dump()
