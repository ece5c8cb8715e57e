"""Intervals of effects cover where retrieval chooses by what it has seen; beliefs follow what is alike and what is new."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from crl.bank.effect import Use
from crl.bank.posterior import MEAN_SD, NOTHING_KNOWN, SPREAD, Subject, estimate
from crl.seeding import stream
from tests.bank.simulated import World, lived

LIVES = 24


@pytest.fixture(scope="module")
def lives():
    return [lived(World(), seed) for seed in range(LIVES)]


def intervals(lives):
    """Columns: true effect, estimate, low, high."""
    return np.array(
        [
            (true, effect.mean, effect.low, effect.high)
            for life in lives
            for subject, true in zip(life.subjects, life.effects, strict=True)
            if (effect := life.posterior.effects.get(subject.id))
        ]
    )


def naive_intervals(lives):
    """The same from each entry's own mean difference and its t interval, for entries of three groups or more."""
    rows = []
    for life in lives:
        true = dict(zip((subject.id for subject in life.subjects), life.effects, strict=True))
        for id_ in life.posterior.effects:
            own = np.array([use.difference for use in life.uses if use.entry_id == id_])
            if len(own) > 2:
                half = stdtrit(len(own) - 1, 0.975) * own.std(ddof=1) / np.sqrt(len(own))
                rows.append((true[id_], own.mean(), own.mean() - half, own.mean() + half))
    return np.array(rows)


def coverage(rows, share=1.0, tail="low"):
    """Of the intervals whose estimates lie in the lowest or highest share."""
    order = np.argsort(rows[:, 1])
    kept = rows[order[: round(share * len(rows))] if tail == "low" else order[-round(share * len(rows)) :]]
    return np.mean((kept[:, 2] <= kept[:, 0]) & (kept[:, 0] <= kept[:, 3]))


def test_intervals_cover_under_thompsons_choice_and_so_do_those_of_the_best_and_the_worst(lives):
    rows = intervals(lives)
    assert 0.93 <= coverage(rows) <= 0.97
    assert 0.93 <= coverage(rows, 0.2, "low") <= 0.97
    assert 0.93 <= coverage(rows, 0.2, "high") <= 0.97


def test_an_entrys_own_mean_is_biased_by_the_choice_and_its_interval_fails_at_both_ends(lives):
    rows, pooled = naive_intervals(lives), intervals(lives)
    error = rows[:, 1] - rows[:, 0]
    assert error.mean() < -4 * error.std() / np.sqrt(len(error))  # who was unlucky is not shown again
    assert coverage(rows, 0.1, "low") < 0.85
    assert coverage(rows, 0.1, "high") < 0.85
    assert np.square(pooled[:, 1] - pooled[:, 0]).mean() < 0.3 * np.square(error).mean()


def test_how_much_effects_differ_is_recovered(lives):
    found = np.mean(
        [(p.mean, p.entry_sd, p.cluster_sd) for p in (life.posterior.pools["maze"] for life in lives)], axis=0
    )
    assert found == pytest.approx((World.mean, World.entry_sd, World.cluster_sd), abs=0.025)


def test_forgetting_follows_effects_that_change():
    changing = World(drift=0.1, rounds=40)
    remembered = intervals([lived(changing, seed) for seed in range(8)])
    forgotten = intervals([lived(replace(changing, half_life_rounds=10), seed) for seed in range(8)])
    assert coverage(forgotten) > coverage(remembered) + 0.05
    assert np.square(forgotten[:, 1] - forgotten[:, 0]).mean() < np.square(remembered[:, 1] - remembered[:, 0]).mean()


def test_old_evidence_counts_half_as_much_after_a_half_life():
    def belief(first_round, groups, now):
        uses = [Use("a", first_round, group, 4, 3, 4, 1) for group in range(groups)]
        return estimate([Subject("a", "maze", 0)], uses, round=now, half_life_rounds=10, pooling="none").beliefs["a"]

    assert belief(0, 40, now=10) == pytest.approx(belief(10, 20, now=10), rel=0.02)
    assert belief(0, 8, now=60).mean < 0.3 * belief(0, 8, now=0).mean
    assert belief(0, 8, now=60).sd > 0.9 * SPREAD


def test_what_nobody_used_has_the_prior():
    nothing = estimate([Subject("a", "maze", 0)], [], round=0)
    assert nothing.effects == {}
    assert nothing.beliefs["a"].mean == 0
    assert nothing.beliefs["a"] == nothing.prior(Subject("x", "maze", 0))
    assert nothing.prior(Subject("x", "room", 3)).sd == NOTHING_KNOWN.unseen_sd
    assert estimate([], [], round=0).prior(Subject("x", "maze", 0)).sd == NOTHING_KNOWN.unseen_sd
    alone = estimate([Subject("a", "maze", 0)], [], round=0, pooling="none").beliefs["a"]
    assert alone.sd == pytest.approx(SPREAD)
    assert MEAN_SD < nothing.beliefs["a"].sd < 1


def test_a_new_text_is_expected_to_be_like_its_cluster_else_like_its_scope():
    subjects = [Subject(f"{c}{i}", "maze", c) for c in range(6) for i in range(5)]
    uses = [Use(s.id, r, s.cluster, 4, 4 if s.cluster == 0 else 2, 4, 2) for s in subjects for r in range(4)]
    found = estimate([*subjects, Subject("new", "maze", 0), Subject("odd", "maze", 9)], uses, round=4)
    assert found.beliefs["new"] == found.prior(Subject("x", "maze", 0))
    assert found.beliefs["new"].mean > 0.3
    assert abs(found.beliefs["odd"].mean) < 0.15
    assert found.beliefs["odd"].sd > found.beliefs["new"].sd
    by_scope = estimate([*subjects, Subject("new", "maze", 0)], uses, round=4, pooling="scope")
    assert by_scope.beliefs["new"] == by_scope.prior(Subject("x", "maze", 0)) == by_scope.prior(Subject("x", "maze", 7))


def test_what_was_made_from_others_starts_at_their_pooled_belief_with_more_doubt():
    subjects = [Subject("good", "maze", 0), Subject("bad", "maze", 1), Subject("both", "maze", 2, ("good", "bad"))]
    uses = [Use(id_, r, 0, 4, won, 4, 2) for r in range(12) for id_, won in (("good", 4), ("bad", 0))]
    beliefs = estimate(subjects, uses, round=12).beliefs
    assert beliefs["both"].mean == pytest.approx((beliefs["good"].mean + beliefs["bad"].mean) / 2)
    assert beliefs["both"].sd > abs(beliefs["good"].mean - beliefs["bad"].mean) / 2
    used = estimate(subjects, [*uses, *(Use("both", r, 1, 4, 4, 4, 2) for r in range(12))], round=12).beliefs["both"]
    assert used.mean > 0.3
    assert used.sd < beliefs["both"].sd


def test_an_effect_that_depends_on_the_level_has_a_wider_interval():
    subjects = [Subject("a", "maze", 0)]
    alike = [Use("a", r, 0, 4, 3, 4, 2) for r in range(40)]
    apart = [Use("a", r, 0, 4, 4 if r % 2 else 2, 4, 0 if r % 2 else 4) for r in range(40)]
    assert (
        estimate(subjects, apart, round=40).effects["a"].sd > 1.3 * estimate(subjects, alike, round=40).effects["a"].sd
    )


counts = st.tuples(st.integers(1, 4), st.integers(0, 4), st.integers(1, 4), st.integers(0, 4))


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(0, 2)), counts, max_size=30),
    st.sampled_from(["cluster", "scope", "none"]),
    st.randoms(use_true_random=False),
)
def test_neither_the_order_of_uses_nor_that_of_entries_matters(rows, pooling, random):
    subjects = [Subject(f"e{i}", "maze" if i < 4 else "room", i % 3) for i in range(8)]
    uses = [
        Use(f"e{e}", round_, group, n, min(s, n), free, min(f, free))
        for (e, round_, group), (n, s, free, f) in rows.items()
    ]
    options = {"round": 6, "half_life_rounds": 5.0, "pooling": pooling}
    one = estimate(subjects, uses, **options)
    assert estimate(subjects, random.sample(uses, len(uses)), **options) == one
    other = estimate(random.sample(subjects, len(subjects)), uses, **options)
    for id_, belief in one.beliefs.items():
        assert other.beliefs[id_] == pytest.approx(belief, abs=1e-9)
        assert belief.sd > 0
    assert one.effects.keys() == {use.entry_id for use in uses}
    assert all(-1 <= e.low <= e.high <= 1 for e in one.effects.values())


def test_many_entries_and_uses_are_estimated_alike_however_often():
    rng = stream(1, "many")
    subjects = [Subject(f"{i:05d}", "maze", i % 700) for i in range(20_000)]
    uses = [Use(f"{e:05d}", i // 64, i, 1, i % 2, 4, i % 5) for i, e in enumerate(rng.integers(0, 20_000, 4000))]
    assert estimate(subjects, uses, round=70) == estimate(subjects, uses, round=70)
