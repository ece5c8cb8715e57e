"""The environment checker: a good environment passes, each planted fault is found under its rule."""

import pytest

from crl.envs.check import RULES, check_env
from crl.envs.errors import EnvError
from crl.types import Task
from tests.envs import toy_envs

TASKS = [Task(f"toy/{seed}", "toy", "toy", "plain", seed, 12) for seed in range(5)]


def test_a_good_environment_passes_every_rule():
    findings = check_env(lambda: toy_envs.Corridor("slots"), TASKS)
    assert [finding.rule for finding in findings] == [rule.__name__ for rule, _, _ in RULES]
    assert [finding for finding in findings if not finding.ok] == []


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("UnseededCorridor", "deterministic"),
        ("OneLevelCorridor", "seeds_matter"),
        ("LeakyCorridor", "resettable"),
        ("WordlessCorridor", "well_typed"),
        ("FussyCorridor", "actions_accepted"),
        ("HastyCorridor", "unknown_action_moves_nothing"),
        ("SilentCorridor", "outcome_tells_the_end"),
        ("ShapedCorridor", "reward_is_the_outcome"),
        ("EndlessCorridor", "step_limit_holds"),
        ("TirelessCorridor", "step_after_end_refused"),
        ("UnpicklableCorridor", "picklable"),
    ],
)
def test_a_planted_fault_is_found_and_its_remedy_named(fault, rule):
    findings = check_env(lambda: getattr(toy_envs, fault)("slots"), TASKS)
    violated = {finding.rule: finding for finding in findings if not finding.ok}
    assert rule in violated
    assert violated[rule].remedy


@pytest.mark.parametrize("name", ["TextCorridor", "CommandCorridor", "GrammarCorridor"])
def test_an_environment_that_offers_forms_and_no_actions_passes(name):
    findings = check_env(lambda: getattr(toy_envs, name)("slots"), TASKS)
    assert [finding for finding in findings if not finding.ok] == []


def test_faults_are_found_where_only_forms_are_offered():
    findings = {f.rule: f for f in check_env(lambda: toy_envs.UnpicklableTextCorridor("slots"), TASKS)}
    assert not findings["picklable"].ok
    assert findings["step_limit_holds"].ok
    findings = {f.rule: f for f in check_env(lambda: toy_envs.MuteCorridor("slots"), TASKS)}
    assert "neither actions nor forms are offered" in findings["deterministic"].explanation


def test_an_environment_that_raises_is_a_finding_not_a_crash_of_the_checker():
    broken = [Task(f"toy/{seed}", "toy", "toy", "broken", seed, 12) for seed in range(2)]
    findings = check_env(lambda: toy_envs.Corridor("slots"), broken)
    assert all("cannot be built" in finding.explanation for finding in findings if not finding.ok)
    assert not findings[0].ok


def test_one_seed_is_not_enough_to_check():
    with pytest.raises(EnvError, match="two or more seeds"):
        check_env(lambda: toy_envs.Corridor("slots"), TASKS[:1])
