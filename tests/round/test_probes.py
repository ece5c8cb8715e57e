"""Probes: which entry, on which two instances, and what of the round they leave alone."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from crl.config.compose import composed
from crl.episode.plan import RoundPlan, plan_round
from crl.errors import ConfigError
from crl.round.probes import Probe, choose, memorised, probing, unprobed
from crl.tasks.sets import TaskSets
from crl.types import Episode, EpisodeKey, Experience, Origin, Outcome, Task
from tests.round.runs import CONF, small_config

CONFIG = small_config("lockstep", 4, "extractor.probe_pairs=1", "rollout.groups=6")
SOURCE = Task("room/train/before", "room", "minihack", "level", 77, 14)


def entry(name: str) -> Experience:
    return Experience(name, "room", f"text {name}", "key", Origin("c", "r0.g0.e4", 0, "distil"))


@pytest.fixture(scope="module")
def plan() -> RoundPlan:
    return plan_round(CONFIG, TaskSets.generate(CONFIG), 1)


def bank(*names: str) -> SimpleNamespace:
    """Of entries that are live."""
    return SimpleNamespace(get={name: entry(name) for name in names}.get)


def test_a_probe_replays_the_source_and_shows_the_text_to_both_guided_halves_only(plan):
    [probe] = choose(CONFIG, plan, {"a": SOURCE}, bank("a"))
    changed = probing(plan, [probe])
    for before, after in zip(plan.specs, changed.specs, strict=True):
        assert (after.key, after.guided) == (before.key, before.guided)
        assert after.task == (SOURCE if after.key.group == probe.own else before.task)
        assert after.task.name == before.task.name
        in_probe = after.key.group in (probe.own, probe.other)
        assert after.shown == (probe.entry if in_probe and after.guided else None)
    halves = {(spec.key.group, spec.guided) for spec in changed.specs}
    assert halves >= {(group, half) for group in (probe.own, probe.other) for half in (False, True)}


def test_what_has_left_the_bank_or_has_no_two_groups_of_its_task_is_not_probed(plan):
    assert choose(CONFIG, plan, {"a": SOURCE}, bank()) == ()
    assert choose(CONFIG, plan, {"a": replace(SOURCE, name="elsewhere")}, bank("a")) == ()
    assert choose(CONFIG, replace(plan, warming_up=True), {"a": SOURCE}, bank("a")) == ()


def test_the_lot_falls_the_same_way_for_the_same_seed_and_round(plan):
    written = dict.fromkeys("abcdefgh", SOURCE)
    drawn = choose(CONFIG, plan, written, bank(*"abcdefgh"))
    assert drawn == choose(CONFIG, plan, dict(reversed(written.items())), bank(*"abcdefgh"))
    entries = {
        choose(CONFIG, replace(plan, round=round_), written, bank(*"abcdefgh"))[0].entry.id for round_ in range(20)
    }
    assert len(entries) > 3


def played(group: int, index: int, won: bool, *, guided: bool) -> Episode:
    ending = Outcome.SUCCESS if won else Outcome.TIMEOUT
    return Episode(EpisodeKey(1, group, index), SOURCE, guided, (), ending, float(won), 1)


def group(number: int, free: str, guided: str) -> list[Episode]:
    """`+` won, `-` lost."""
    marks = [(mark, False) for mark in free] + [(mark, True) for mark in guided]
    return [played(number, i, mark == "+", guided=half) for i, (mark, half) in enumerate(marks)]


PROBE = Probe(entry("a"), SOURCE, own=0, other=1)


def test_memorised_is_the_own_difference_less_the_other_and_each_has_its_own_control():
    episodes = group(0, "----", "++--") + group(1, "++--", "+++-") + group(2, "----", "++++")
    assert memorised([PROBE], episodes) == {"a": 0.5 - 0.25}
    assert memorised([PROBE], group(0, "----", "++--") + group(1, "", "+++-")) == {}
    assert memorised([PROBE], group(0, "----", "++--") + group(1, "++--", "")) == {}


def test_a_probes_guided_episodes_credit_nobody_and_measure_no_effect():
    episodes = group(0, "--", "++") + group(1, "+-", "+-") + group(2, "--", "++")
    left = unprobed(episodes, [PROBE])
    assert [(one.key.group, one.guided) for one in left] == [
        (0, False), (0, False), (1, False), (1, False), (2, False), (2, False), (2, True), (2, True),
    ]  # fmt: skip
    assert unprobed(episodes, []) == episodes


@pytest.mark.parametrize(
    "overrides",
    [
        ["extractor.reward=probe"],
        ["extractor.probe_pairs=7"],
        ["extractor.probe_pairs=1", "rollout.free_per_group=0"],
        ["extractor.probe_pairs=1", "rollout.free_per_group=8"],
    ],
)
def test_probes_that_cannot_be_meant_are_refused(overrides):
    with pytest.raises(ConfigError, match=r"extractor\.probe_pairs = \d+: .*Remedy"):
        composed("quick", overrides, CONF)
