"""What sessions have in common is computed once, by the weights of now, and whoever copies it gets what it would have computed."""

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crl.engine.prefixes import Held, Openings, common_prefix, share
from crl.engine.protocol import Sampling
from crl.engine.session import Context
from crl.lockstep import Turnstile

texts = st.lists(st.integers(0, 1), min_size=1, max_size=12)
GREEDY = Sampling(temperature=0, max_new_tokens=4)


def naive(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@given(texts, texts)
def test_a_common_prefix_is_as_long_as_reading_both_says(a, b):
    assert common_prefix(a, b) == naive(a, b)


@given(st.lists(texts, max_size=8), texts)
def test_the_longest_held_opening_is_found_but_for_the_last_token(held, ids):
    openings = Openings()
    for slot, each in enumerate(held):
        openings.add(Held(each, "k", slot))
    length, found = openings.longest(ids)
    assert length == max((min(naive(each, ids), len(ids) - 1) for each in held), default=0)
    assert found is None or naive(found.ids, ids) >= length


@given(st.lists(texts, max_size=4), st.lists(texts, min_size=1, max_size=8), st.integers(1, 5))
def test_waiting_ends_and_no_opening_is_computed_twice(held, new, shortest):
    known = [Held(ids, "old", slot) for slot, ids in enumerate(held)]
    left = {Context(f"new{i}", history=ids, slot=10 + i) for i, ids in enumerate(new)}
    steps = 0
    while left:
        steps += 1
        copies, waiting = share(left, Openings(known), Openings(), shortest)
        fed = left - waiting
        assert fed, "somebody goes ahead"
        ready = {context: copies[context][1] if context in copies else 0 for context in fed}
        for one, other in combinations(fed, 2):
            common = min(naive(one.history, other.history), len(one.history) - 1, len(other.history) - 1)
            assert common < max(ready[one], ready[other]) + shortest
        known += [Held(context.history, context.key, context.slot) for context in fed]
        left = waiting
    assert steps <= 1 + max(map(len, new)) // shortest


def plans(opening, count):
    return {f"s{i}": [((*opening, 10 + i), GREEDY), ((20 + i,), GREEDY)] for i in range(count)}


@pytest.mark.parametrize("lockstep", [True, False])
def test_sessions_that_start_together_compute_their_opening_once(make_engine, play, lockstep):
    turnstile = Turnstile() if lockstep else None
    engine = make_engine(turnstile, max_sessions=8)
    opening = tuple(range(100, 170))
    play(engine, turnstile, plans(opening, 8))
    assert engine.reused == 7 * len(opening)


def test_a_session_finds_what_an_ended_one_left_in_its_slot(make_engine, play):
    engine = make_engine(None, max_sessions=1)
    opening = tuple(range(100, 170))
    first, again = (play(engine, None, plans(opening, 1))["s0"].completions for _ in range(2))
    assert [one.token_ids for one in first] == [one.token_ids for one in again]
    assert engine.reused == len(opening)


def test_lockstep_begins_anew_where_no_session_lives(make_engine, play):
    """A resumed run has no past either, and must get the same last bits."""
    turnstile = Turnstile()
    engine = make_engine(turnstile)
    opening = tuple(range(100, 170))
    for _ in range(2):
        play(engine, turnstile, plans(opening, 1))
    assert engine.reused == 0


def test_nothing_of_other_weights_is_copied(make_engine, make_model, play, reference_logprobs_of):
    engine = make_engine(None, max_sessions=4)
    opening = tuple(range(100, 170))
    play(engine, None, plans(opening, 2))
    before = engine.reused
    state = {name: tensor * 1.1 for name, tensor in make_model().state_dict().items()}
    engine.load_weights(state, 0)  # the version that they had
    completion = play(engine, None, plans(opening, 1))["s0"].completions[0]
    assert engine.reused == before
    ids = [*completion.prompt_ids, *completion.token_ids]
    logprobs_TV = reference_logprobs_of(state, ids, 1.0)
    rows = torch.arange(len(completion.prompt_ids) - 1, len(ids) - 1)
    expected = logprobs_TV[rows, list(completion.token_ids)].tolist()
    assert completion.logprobs == pytest.approx(expected, abs=1e-5)
