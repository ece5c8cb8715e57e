"""Micro-batches: all sequences, once, within the budget, in a fixed order."""

from hypothesis import given
from hypothesis import strategies as st

from crl.learn.collate import micro_batches

lengths = st.lists(st.integers(1, 300), max_size=60)
budgets = st.integers(64, 2000)


@given(lengths, budgets)
def test_every_sequence_is_in_exactly_one_micro_batch(values, budget):
    assert sorted(i for batch in micro_batches(values, budget) for i in batch) == list(range(len(values)))


@given(lengths, budgets)
def test_padded_tokens_stay_within_the_budget_unless_one_sequence_alone_exceeds_it(values, budget):
    for batch in micro_batches(values, budget):
        padded = len(batch) * max(values[i] for i in batch)
        assert padded <= budget or len(batch) == 1


@given(lengths, budgets)
def test_longest_come_first_and_ties_keep_their_order(values, budget):
    order = [i for batch in micro_batches(values, budget) for i in batch]
    assert order == sorted(range(len(values)), key=lambda i: (-values[i], i))
