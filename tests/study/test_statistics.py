"""Interquartile means, intervals and probabilities of improvement, against computations of their own."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.study.metrics import Curve, area, figures, steps_to
from crl.study.statistics import CONFIDENCE, difference, improvement, iqm, of_one

RATES = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=12)
PAIRS = st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=2, max_size=8)


@given(RATES)
def test_the_interquartile_mean_is_the_mean_of_the_middle(values: list[float]) -> None:
    cut = len(values) // 4
    assert iqm(np.array(values)) == pytest.approx(np.mean(sorted(values)[cut : len(values) - cut]))


def test_an_outlier_does_not_move_it() -> None:
    assert of_one([0.5] * 6 + [0.0, 1.0]).value == pytest.approx(0.5)


@settings(max_examples=25)
@given(RATES)
def test_an_interval_lies_within_what_was_seen_and_holds_the_median_resample(values: list[float]) -> None:
    found = of_one(values)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found.seeds == len(values)


def test_equal_runs_have_an_interval_of_one_point_and_a_single_run_has_none() -> None:
    same = of_one([0.25] * 8)
    assert (same.value, same.low, same.high) == (0.25, 0.25, 0.25)
    assert np.isnan(of_one([0.25]).low)


def test_the_interval_agrees_with_a_bootstrap_by_hand() -> None:
    values, rng = np.array([0.1, 0.2, 0.35, 0.4, 0.6, 0.62, 0.7, 0.9]), np.random.default_rng(0)
    drawn = np.sort(values[rng.integers(8, size=(40_000, 8))], axis=1)[:, 2:6].mean(1)
    found = of_one(values)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.02)


@settings(max_examples=25)
@given(PAIRS)
def test_differences_are_paired_by_seed(pairs: list[tuple[float, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    found, mirrored = difference(first, second), difference(second, first)
    assert found.value == pytest.approx(float(iqm(np.array(first) - np.array(second))))
    assert found.value == pytest.approx(-mirrored.value)
    shifted = difference(np.array(second) + 0.25, second)
    assert (shifted.value, shifted.low, shifted.high) == pytest.approx((0.25, 0.25, 0.25))


@settings(max_examples=25)
@given(PAIRS)
def test_the_probability_of_improvement_counts_wins_over_all_pairs_of_runs(pairs: list[tuple[float, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(first, second)]
    found = improvement(first, second)
    assert found.value == pytest.approx(np.mean(wins))
    assert improvement(first, second, less_is_more=True).value == pytest.approx(1 - np.mean(wins))
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1


def test_the_interval_of_eight_seeds_covers_about_what_the_module_says(record_property) -> None:
    rng, trials = np.random.default_rng(7), 200
    covered = 0
    for _ in range(trials):
        found = of_one(rng.normal(0.5, 0.1, 8))
        covered += found.low <= 0.5 <= found.high
    record_property("coverage", covered / trials)
    assert 0.84 <= covered / trials <= CONFIDENCE + 0.02


# ------------------------------------------------------------------ figures of one run


CURVES = st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1, width=32)), min_size=1, max_size=8)


@given(CURVES, st.floats(0, 1), st.floats(0.1, 1.0))
def test_the_area_is_the_mean_of_the_curve_over_the_budget(points: list, first: float, share: float) -> None:
    steps = np.cumsum([0, *(gap for gap, _ in points)]).astype(float)
    curve = np.array([first, *(y for _, y in points)])
    budget = share * steps[-1]
    fine = np.linspace(0, budget, 20_001)
    assert area(curve, steps, budget) == pytest.approx(np.interp(fine, steps, curve).mean(), abs=2e-3)


@given(CURVES, st.floats(0, 1, width=32), st.floats(0.05, 0.95))
def test_steps_to_a_level_are_where_the_curve_first_is_at_it(points: list, first: float, level: float) -> None:
    steps = np.cumsum([0, *(gap for gap, _ in points)]).astype(float)
    curve = np.array([first, *(y for _, y in points)])
    found = steps_to(curve, steps, level, steps[-1])
    before = np.linspace(0, found, 2001)[:-1] if found else np.empty(0)
    assert (np.interp(before, steps, curve) <= level + 1e-6).all()
    if found < steps[-1]:
        assert np.interp(found, steps, curve) >= level - 1e-6


def test_the_figures_of_a_curve_by_hand() -> None:
    curve = Curve(
        np.array([0.0, 100, 200, 300]), np.array([0.2, 0.4, 0.6, 0.6]), np.array([0.2, 0.6, 0.8, 0.7]), 20.0, 15.0
    )
    found = figures(curve, budget=200, level=0.5)
    assert (found["half_without"], found["half_with"]) == (0.4, 0.6)
    assert (found["end_without"], found["end_with"]) == (0.6, 0.8)
    assert found["gain_end"] == pytest.approx(0.2)
    assert found["area_with"] == pytest.approx((0.4 * 100 + 0.7 * 100) / 200)
    assert (found["steps_without"], found["steps_with"]) == (pytest.approx(150), pytest.approx(75))
    assert (found["actions_without"], found["actions_with"]) == (20.0, 15.0)
