"""When a candidate becomes the champion: exactly when the whole interval of its paired gain lies above the bound."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.config import Config, from_mapping
from crl.config.compose import compose
from crl.errors import DataError
from crl.evaluation.paired import paired
from crl.evaluation.statistics import EpisodeRow
from flows.registry.decision import Decision, compare, judged, refused_untested, unlike, with_bank


def rules(min_gain: float = 0.0, arm: str = "guided", confidence: float = 0.95) -> Config:
    changes = {"min_gain": min_gain, "arm": arm}
    overrides = [f"evaluate.champion.{name}={value}" for name, value in changes.items()]
    return from_mapping(
        compose("quick", [*overrides, f"evaluate.confidence={confidence}", "evaluate.bootstrap_samples=100"])
    )


CONFIGS = {gain: rules(gain) for gain in (-0.5, 0.0, 0.1, 0.5)}


def episodes(won: list[bool], arm: str = "guided", phase: str = "after") -> list[EpisodeRow]:
    return [EpisodeRow(f"task{i % 2}", f"level{i}", arm, phase, success, 5) for i, success in enumerate(won)]


pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def compared(won: list[tuple[bool, bool]], gain: float = 0.0):
    ours, theirs = zip(*won, strict=True)
    return compare(episodes(list(ours)), episodes(list(theirs)), CONFIGS[gain])


@given(pairs, st.sampled_from(list(CONFIGS)))
@settings(max_examples=40)
def test_a_promotion_has_its_whole_interval_above_the_bound(won, min_gain):
    comparison = compared(won, min_gain)
    decision = judged(comparison, 7, "version 3", False)
    assert (decision.verdict == "promoted") == (comparison.gain_low > min_gain)
    assert -1 <= comparison.gain_low <= comparison.gain <= comparison.gain_high <= 1
    assert comparison.gain == pytest.approx(comparison.candidate_success - comparison.opponent_success)


@given(pairs)
@settings(max_examples=40)
def test_of_two_agents_at_most_one_replaces_the_other_and_none_replaces_its_equal(won):
    assert not (compared(won).passes and compared([(b, a) for a, b in won]).passes)
    assert not compared([(a, a) for a, _ in won]).passes


@given(pairs)
@settings(max_examples=40)
def test_a_higher_bound_never_promotes_what_a_lower_one_refuses(won):
    passed = [compared(won, gain).passes for gain in sorted(CONFIGS)]
    assert passed == sorted(passed, reverse=True)


@given(pairs, st.randoms())
@settings(max_examples=30)
def test_neither_the_order_of_episodes_nor_the_other_arm_matters(won, random):
    ours, theirs = (episodes(list(side)) for side in zip(*won, strict=True))
    expected = compare(ours, theirs, CONFIGS[0.0])
    noise = episodes([random.random() < 0.5 for _ in won], arm="free")
    shuffled = [*ours, *noise]
    random.shuffle(shuffled)
    assert compare(shuffled, reversed(theirs), CONFIGS[0.0]) == expected


def test_one_lucky_level_promotes_nobody_and_a_clear_gain_does():
    assert not compared([(True, False)]).passes
    assert compared([(True, False)] * 10 + [(True, True)] * 10).passes


def test_the_arm_of_the_parameters_is_compared():
    both = [*episodes([True] * 20), *episodes([False] * 20, arm="free")]
    other = [*episodes([False] * 20), *episodes([True] * 20, arm="free")]
    assert compare(both, other, rules()).passes
    assert not compare(both, other, rules(arm="free")).passes


def test_only_levels_that_both_played_count():
    comparison = compare(episodes([True] * 30), episodes([False] * 10), CONFIGS[0.0])
    assert comparison.levels == 10
    with pytest.raises(DataError, match="share no level"):
        compare(episodes([True] * 2)[1:], episodes([True]), CONFIGS[0.0])
    with pytest.raises(DataError, match=r"evaluate\.champion\.arm = guided: the opponent has no episode of it"):
        compare(episodes([True]), episodes([True], arm="free"), CONFIGS[0.0])


def test_a_decision_tells_its_figures():
    decision = judged(compared([(True, False)] * 20), 7, "version 3", True)
    assert "1.000" in decision.markdown()
    assert "played again" in decision.markdown()
    assert decision.tags()["crl.decision.gain"] == "1"
    assert decision.tags()["crl.decision.opponent"] == "version 3"
    assert decision.metrics()["champion/promoted"] == 1.0
    assert "| gain" not in Decision("postponed", "down", "not compared").markdown()


WON, LOST = [True] * 20, [False] * 20


@pytest.mark.parametrize(
    ("own", "champions", "passes"),
    [(WON, LOST, ("not_worse", "better")), (WON, WON, ("not_worse",)), (LOST, WON, ())],
    ids=["better", "the same", "worse"],
)
def test_a_promotion_that_asks_for_a_test_of_the_bank_stands_as_far_as_that_says(own, champions, passes):
    promotion = judged(compared([(True, False)] * 20), 7, "version 3", False)
    bank = paired(episodes(own), episodes(champions), CONFIGS[0.0])[-1]
    for required in ("not_worse", "better"):
        decision = with_bank(promotion, bank, required)
        assert decision.verdict == ("promoted" if required in passes else "refused")
        assert decision.reason.startswith(promotion.reason)
        assert f"its bank is {bank.verdict}" in decision.reason
        asked = f"evaluate.champion.require_bank = '{required}'" in decision.reason
        assert asked == (decision.verdict == "refused")
        assert (decision.tags()["crl.decision.bank"], decision.comparison) == (bank.verdict, promotion.comparison)
        assert decision.metrics()["champion/bank_gain"] == bank.gain
        assert f"its own is {bank.verdict}" in decision.markdown()


def test_banks_that_one_actor_cannot_play_with_refuse_a_promotion_that_asks_for_their_test():
    here, other = CONFIGS[0.0], CONFIGS[0.5]
    assert unlike(here, other) is None
    there = here.model_copy(update={"bank": here.bank.model_copy(update={"scope": "shared"})})
    promotion = judged(compared([(True, False)] * 20), 7, "version 3", False)
    refused = refused_untested(promotion, unlike(here, there), "not_worse")
    assert refused.verdict == "refused"
    assert "bank.scope is 'task' here and 'shared' there" in refused.reason
    assert "Remedy: `python -m flows.registry.promotion promote 7`" in refused.reason
