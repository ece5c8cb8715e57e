"""Evaluation figures: what they mean, that they are reproducible, and that their intervals keep their promise."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.errors import DataError
from crl.evaluation.intervals import wilson
from crl.evaluation.statistics import ARMS, PHASES, EpisodeRow, EvaluationSummary, summarise

SETTINGS = {"samples": 500, "confidence": 0.95, "seed": 7}


def rows_of(task: str, phase: str, arm: str, successes: list[bool], actions: int = 10) -> list[EpisodeRow]:
    return [EpisodeRow(task, f"{task}/{i}", arm, phase, bool(s), actions) for i, s in enumerate(successes)]


def all_cells(rates: dict[tuple[str, str], float], levels: int = 60, task: str = "maze") -> list[EpisodeRow]:
    return [
        row
        for (phase, arm), rate in rates.items()
        for row in rows_of(task, phase, arm, [i < rate * levels for i in range(levels)])
    ]


EVERYWHERE = {(phase, arm): 0.5 for phase in PHASES for arm in ARMS}


def test_the_json_has_the_promised_shape_and_reads_back_as_the_same_summary():
    summary = summarise(all_cells(EVERYWHERE) + all_cells(EVERYWHERE, task="room"), **SETTINGS)
    body = json.loads(json.dumps(summary.as_json()))
    for phase in ("before", "after"):
        for arm in ("free", "guided"):
            assert list(body[phase][arm]) == ["maze", "room", "all"]
            for task in body[phase][arm].values():
                assert {"success", "success_low", "success_high", "actions", "episodes"} <= set(task)
    assert body["before"]["free"]["all"]["episodes"] == 120
    assert EvaluationSummary.from_json(body) == summary


def test_all_pools_the_levels_of_the_tasks():
    rows = rows_of("a", "after", "free", [True] * 30) + rows_of("b", "after", "free", [False] * 90)
    summary = summarise(rows, **SETTINGS)
    assert summary.cell("after", "free").success == pytest.approx(0.25)
    assert summary.cell("before", "free") is None


def test_every_level_counts_the_same_however_many_episodes_survived_on_it():
    rows = [EpisodeRow("a", "1", "free", "after", True, 4)] * 9 + [EpisodeRow("a", "2", "free", "after", False, 8)]
    estimate = summarise(rows, **SETTINGS).cell("after", "free", "a")
    assert (estimate.success, estimate.actions, estimate.episodes) == (0.5, 6.0, 10)


def test_the_same_seed_gives_the_same_figures_in_any_order_of_rows():
    rows = all_cells({cell: 0.3 + 0.1 * i for i, cell in enumerate(EVERYWHERE)})
    shuffled = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]
    assert summarise(rows, **SETTINGS) == summarise(shuffled, **SETTINGS)
    assert summarise(rows, **SETTINGS) != summarise(rows, **(SETTINGS | {"seed": 8}))


def test_a_tasks_figures_do_not_depend_on_the_other_tasks():
    alone = summarise(all_cells(EVERYWHERE), **SETTINGS)
    together = summarise(all_cells(EVERYWHERE) + all_cells(EVERYWHERE, task="a"), **SETTINGS)
    assert alone.cell("after", "guided", "maze") == together.cell("after", "guided", "maze")


def test_a_constant_gain_on_very_unequal_levels_is_seen_because_levels_are_paired():
    hard_and_easy = [i % 2 == 0 for i in range(80)]
    better = [s or i % 8 == 1 for i, s in enumerate(hard_and_easy)]
    summary = summarise(
        rows_of("a", "before", "free", hard_and_easy) + rows_of("a", "after", "free", better), **SETTINGS
    )
    before, after = summary.cell("before", "free", "a"), summary.cell("after", "free", "a")
    paired = summary.difference("after_minus_before", "free", "a")
    assert paired.excludes_zero
    width = paired.success_high - paired.success_low
    assert width < 0.7 * (after.success_high - after.success_low + before.success_high - before.success_low)


def test_differences_use_only_the_levels_that_both_sides_played():
    rows = rows_of("a", "before", "free", [False] * 20) + rows_of("a", "before", "guided", [True] * 10)
    summary = summarise(rows, **SETTINGS)
    contrast = summary.difference("guided_minus_free", "before", "a")
    assert (contrast.success, contrast.episodes) == (1.0, 20)
    assert summary.difference("after_minus_before", "free", "a") is None


@pytest.mark.parametrize(("successes", "low", "high"), [([False] * 120, 0.0, 0.031), ([True] * 120, 0.969, 1.0)])
def test_a_perfect_or_hopeless_arm_keeps_an_honest_interval(successes, low, high):
    estimate = summarise(rows_of("a", "after", "free", successes), **SETTINGS).cell("after", "free", "a")
    assert estimate.success_low == pytest.approx(low, abs=1e-3)
    assert estimate.success_high == pytest.approx(high, abs=1e-3)


def test_identical_arms_do_not_claim_a_difference_of_exactly_zero():
    summary = summarise(all_cells(EVERYWHERE), **SETTINGS)
    estimate = summary.difference("guided_minus_free", "after")
    assert estimate.success == 0
    assert estimate.success_low < -0.02 < 0.02 < estimate.success_high


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]), st.integers(0, 5), st.sampled_from(ARMS), st.sampled_from(PHASES),
            st.booleans(), st.integers(0, 30),
        ),
        min_size=1, max_size=40,
    )
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_every_interval_contains_its_value_and_stays_in_range(raw):
    rows = [EpisodeRow(task, str(level), arm, phase, success, n) for task, level, arm, phase, success, n in raw]
    summary = summarise(rows, samples=100, confidence=0.9, seed=1)
    for estimate in summary.cells.values():
        assert 0 <= estimate.success_low <= estimate.success <= estimate.success_high <= 1
        assert estimate.success_low < estimate.success_high
        assert 0 <= estimate.actions_low <= estimate.actions <= estimate.actions_high <= 30
    for estimate in summary.differences.values():
        assert -1 <= estimate.success_low <= estimate.success <= estimate.success_high <= 1
        assert estimate.success_low < estimate.success_high


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.5), (0.3, 0.7), (0.02, 0.05), (0.98, 0.9)])
@pytest.mark.parametrize("per_level", [1, 3])
def test_intervals_cover_the_truth_about_as_often_as_they_say(before, after, per_level):
    """40 levels of unequal difficulty, 250 repetitions: at least 91 % of nominal 95 % intervals hold the truth.

    250 draws of a true 95 % stay above 91 % with probability 0.996.
    """
    draws = np.random.default_rng(3)
    hits = np.zeros(2)
    for repetition in range(250):
        skill = np.clip(draws.normal(0, 0.5, 40), -1, 1)  # a level's difficulty, shared by both phases
        rows, truth = [], {}
        for phase, rate in (("before", before), ("after", after)):
            spread = min(rate, 1 - rate)
            truth[phase] = rate
            wins = draws.random((per_level, 40)) < rate + spread * skill
            rows += [row for episode in wins for row in rows_of("a", phase, "free", list(episode))]
        summary = summarise(rows, samples=200, confidence=0.95, seed=repetition)
        rate = summary.cell("before", "free", "a")
        gain = summary.difference("after_minus_before", "free", "a")
        hits += (
            rate.success_low <= truth["before"] <= rate.success_high,
            gain.success_low <= truth["after"] - truth["before"] <= gain.success_high,
        )
    assert (hits / 250 >= 0.91).all(), hits / 250


def test_episodes_of_one_level_that_always_agree_count_once():
    alike = wilson(np.array([0.0, 1.0] * 20), episodes=400, z=1.96)
    assert alike == wilson(np.array([0.0, 1.0] * 20), episodes=40, z=1.96)
    varied = wilson(np.array([0.4, 0.6] * 20), episodes=400, z=1.96)
    assert varied[1] - varied[0] < 0.5 * (alike[1] - alike[0])


def test_no_episodes_and_a_task_named_all_are_refused_with_a_remedy():
    with pytest.raises(DataError, match="Remedy"):
        summarise([], **SETTINGS)
    with pytest.raises(DataError, match="rename the task"):
        summarise(rows_of("all", "after", "free", [True]), **SETTINGS)


@pytest.mark.parametrize("body", [{}, {"before": 3}, [], {"before": {"free": {"a": {"success": 1}}}}])
def test_a_damaged_file_of_figures_is_a_data_error(body):
    with pytest.raises(DataError):
        EvaluationSummary.from_json(body)
