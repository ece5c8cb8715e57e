"""The headline says what the intervals support, and no more."""

import numpy as np
import pytest

from crl.evaluation.statistics import EpisodeRow, summarise
from crl.report.inputs import RoundsTable
from crl.report.verdict import experiences, points, training, verdict
from crl.round.report import EffectRow


def summary_of(rates: dict[tuple[str, str], float], levels: int = 100, tasks: tuple[str, ...] = ("a",)):
    rows = [
        EpisodeRow(task, str(level), arm, phase, level < rate * levels, 10)
        for task in tasks
        for (phase, arm), rate in rates.items()
        for level in range(levels)
    ]
    return summarise(rows, samples=300, confidence=0.95, seed=1)


def rates(bf: float, bg: float, af: float, ag: float) -> dict[tuple[str, str], float]:
    return {("before", "free"): bf, ("before", "guided"): bg, ("after", "free"): af, ("after", "guided"): ag}


def test_a_clear_gain_with_experience_is_the_headline():
    said = verdict(summary_of(rates(0.3, 0.3, 0.5, 0.7)))
    assert said.tone == "better"
    assert said.headline == "It learned: with experience, held-out success rose from 30 % to 70 %."
    assert "change +40 points" in said.sentences[0]


def test_a_gain_only_without_experience_is_not_sold_as_one_with_it():
    said = verdict(summary_of(rates(0.3, 0.3, 0.6, 0.31)))
    assert said.headline.startswith("It learned: without experience")
    assert "may be chance" in said.sentences[0]


@pytest.mark.parametrize("after", [0.31, 0.3, 0.29])
def test_a_change_whose_interval_includes_zero_is_called_undecided(after):
    said = verdict(summary_of(rates(0.3, 0.3, after, after)))
    assert said.tone == "undecided"
    assert "No change" in said.headline
    assert all("may be chance" in sentence for sentence in said.sentences[:3])


def test_a_loss_is_said_plainly():
    said = verdict(summary_of(rates(0.6, 0.6, 0.2, 0.2)))
    assert (said.tone, said.headline) == (
        "worse",
        "It got worse: with experience, held-out success fell from 60 % to 20 %.",
    )


def test_a_gain_in_one_arm_does_not_hide_a_loss_in_the_other():
    said = verdict(summary_of(rates(0.6, 0.2, 0.2, 0.7)))
    assert said.headline == "It learned with experience, but got worse without experience."
    assert said.tone == "undecided"


def test_an_evaluation_of_one_phase_claims_nothing():
    said = verdict(summary_of({("after", "free"): 0.9, ("after", "guided"): 0.9}))
    assert "Nothing to compare" in said.headline


def test_tasks_are_named_by_what_happened_to_them_with_the_caveat():
    said = verdict(summary_of(rates(0.3, 0.3, 0.5, 0.7), tasks=("a", "b")))
    assert (
        said.sentences[-1] == "By task, with experience: better: a, b (intervals not corrected for looking at 2 tasks)."
    )


def test_training_is_told_from_its_first_and_last_fifth_and_only_where_measured():
    columns = ("rollout/success_free", "rollout/success_guided", "distil/valid_share")
    series = np.linspace(0, 1, 10)
    table = RoundsTable(columns, np.stack([np.zeros(10), series, np.full(10, np.nan)], axis=1))
    assert training(table) == (
        "In training, guided episodes succeeded +6 points more often than free ones "
        "in the first fifth of the rounds and +94 in the last.",
    )
    assert training(RoundsTable((), np.zeros((0, 0)))) == ()


def test_points_carry_a_true_minus_and_zero_no_sign():
    assert [points(x) for x in (0.123, -0.031, 0.001, -0.001)] == ["+12", "−3", "0", "0"]


def test_experiences_are_named_only_where_their_interval_excludes_zero():
    rows = [
        EffectRow("1", "keyroom", "take the key", 0.4, 0.29, 0.51, 90, 200),
        EffectRow("2", "maze", "go on", 0.3, -0.1, 0.7, 3, 9),
        EffectRow("3", "room", "wait", -0.44, -0.6, -0.28, 90, 200),
    ]
    assert experiences(rows) == (
        'keyroom: "take the key" adds 40 points (+29 to +51, in 90 groups).',
        'room: "wait" costs 44 points (−60 to −28, in 90 groups).',
    )
    assert experiences(rows[1:2]) == ("No single experience has an effect that can be told from chance.",)
