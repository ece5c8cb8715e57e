"""Each rule takes what it says, with the probability that it tells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.bank.choice import DRAWS, drawn, exploit, probabilities, rerank
from crl.bank.effect import Belief
from crl.seeding import stream


def shares(rule, beliefs, similarities=None, *, similarity_weight=1.0, explore=0.0):
    near = [1.0] * len(beliefs) if similarities is None else similarities
    return probabilities(rule, beliefs, near, similarity_weight=similarity_weight, explore=explore)


def test_thompson_takes_each_as_often_as_it_is_the_best():
    assert shares("thompson", [(0.1, 0.1), (0.1, 0.1)]) == pytest.approx([0.5, 0.5], abs=0.05)
    # The difference of two draws is N(0.1, 0.02), above 0 in 76 % of cases.
    assert shares("thompson", [(0.2, 0.1), (0.1, 0.1)])[0] == pytest.approx(0.76, abs=0.05)
    assert shares("thompson", [(0.4, 0.01), (-0.4, 0.01)])[0] == 1.0


def test_doubt_is_explored_and_proven_harm_is_not():
    known, unknown, harmful = shares("thompson", [(0.2, 0.03), (0.0, 0.3), (-0.4, 0.05)])
    assert known > unknown > 0.15
    assert harmful == 0
    assert list(shares("ucb", [(0.2, 0.03), (0.0, 0.3), (-0.4, 0.05)])) == [0, 1, 0]


def test_a_less_similar_candidate_must_be_worth_so_much_more():
    alike = [(0.0, 0.01), (0.15, 0.01)]
    assert list(shares("ucb", alike, (0.9, 0.8), similarity_weight=1.0)) == [0, 1]
    assert list(shares("ucb", alike, (0.9, 0.8), similarity_weight=2.0)) == [1, 0]
    assert list(shares("ucb", alike, (0.9, 0.1), similarity_weight=0.0)) == [0, 1]


def test_exploring_never_ends():
    assert shares("ucb", [(0.9, 0.01), (-0.9, 0.01)], explore=0.2) == pytest.approx([0.9, 0.1])


beliefs = st.lists(st.builds(Belief, st.floats(-1, 1), st.floats(0.001, 0.5)), min_size=1, max_size=16)


@given(beliefs, st.sampled_from(["thompson", "ucb"]), st.floats(0, 1), st.integers(1, 4), st.integers(0, 99))
def test_k_different_ones_are_drawn_each_with_the_probability_that_is_told(beliefs, rule, explore, k, seed):
    similarities = np.linspace(1, 0.5, len(beliefs)).tolist()
    options = {"similarity_weight": 1.0, "explore": explore}
    places = stream(seed, "places").random(k)
    chosen = drawn(rule, beliefs, similarities, k=k, uniform=lambda place: places[place], **options)
    assert len({one.rank for one in chosen}) == len(chosen) == min(k, len(beliefs))
    first = probabilities(rule, beliefs, similarities, **options)
    assert first.sum() == pytest.approx(1)
    assert chosen[0].probability == first[chosen[0].rank] > 0
    assert chosen == drawn(rule, beliefs, similarities, k=k, uniform=lambda place: places[place], **options)


def test_draws_follow_the_probabilities():
    known, near = [Belief(0.1, 0.1), Belief(0.0, 0.2), Belief(0.05, 0.05)], (0.9, 0.9, 0.8)
    told = probabilities("thompson", known, near, similarity_weight=1.0, explore=0.1)
    rng = stream(3, "draws")
    taken = [
        drawn("thompson", known, near, similarity_weight=1.0, explore=0.1, k=1, uniform=lambda place: rng.random())[0]
        for _ in range(2000)
    ]
    seen = np.bincount([one.rank for one in taken], minlength=3) / len(taken)
    assert seen == pytest.approx(told, abs=0.04)
    assert DRAWS >= 100


def test_exploiting_takes_the_best_mean_whatever_the_doubt_and_among_equals_the_nearest():
    known = [Belief(0.0, 0.5), Belief(0.3, 0.01), Belief(0.3, 0.5), Belief(-0.1, 0.9)]
    chosen = exploit(known, (0.9, 0.9, 0.9, 0.9), similarity_weight=1.0, k=3)
    assert [one.rank for one in chosen] == [1, 2, 0]
    assert [one.rank for one in exploit(known, (0.9, 0.5, 0.5, 0.5), similarity_weight=1.0, k=1)] == [0]
    assert exploit([], [], similarity_weight=1.0, k=1) == []


def test_newest_tells_the_probability_of_demoting_a_recent_first_place():
    usages = [(0, True), (5, False)]
    options = {"usage_penalty": 0.0, "demote_recent": 0.3, "k": 1}
    assert rerank(usages, uniform=lambda: 0.2, **options) == [(1, 0.3)]
    assert rerank(usages, uniform=lambda: 0.4, **options) == [(0, 0.7)]
    assert rerank([(0, False)], uniform=lambda: 0.2, **options) == [(0, 1.0)]
