"""A study's arms: each is one set of changes, on any profile, and what cannot be meant is refused."""

from pathlib import Path

import pytest

from crl.config.base import flatten
from crl.config.compose import arms, changed, compose, composed
from crl.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize("profile", ["quick", "paper_3task"])
@pytest.mark.parametrize("arm", arms(CONF))
def test_every_arm_is_valid_on_the_smallest_profile_and_the_largest(arm: str, profile: str) -> None:
    assert composed(profile, [f"+arm={arm}"], CONF).profile == profile


@pytest.mark.parametrize("arm", arms(CONF))
def test_an_arm_says_the_same_on_a_profile_and_on_a_parameter_file(arm: str) -> None:
    assert changed(compose("quick", folder=CONF), [f"+arm={arm}"], CONF) == compose("quick", [f"+arm={arm}"], CONF)


def test_the_complementary_arm_is_the_profile_itself() -> None:
    assert compose("quick", ["+arm=complementary"], CONF) == compose("quick", folder=CONF)


def test_grpo_has_no_guided_episode_whatever_the_groups_size() -> None:
    rollout = composed("quick", ["+arm=grpo", "rollout.group_size=6"], CONF).rollout
    assert rollout.free_per_group == rollout.group_size == 6


def test_arms_differ_in_nothing_but_what_their_file_says() -> None:
    plain = dict(flatten(compose("quick", folder=CONF)))
    frozen = dict(flatten(compose("quick", ["+arm=frozen_extractor"], CONF)))
    assert {name for name in plain if plain[name] != frozen[name]} == {"learn.extractor.freeze"}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["extractor.until_round=41"],
            "extractor.until_round = 41: the run ends after rounds.count = 40. Remedy: null",
        ),
        (["extractor.until_round=0"], "extractor.until_round = 0: the bank stays empty.*free_per_group: 8"),
        (["actor.guidance=oracle"], "actor.guidance = 'oracle': nothing reads the bank.*extractor.until_round: 0"),
        (["+arm=long_context", "actor.ask.enabled=true"], "actor.guidance = 'transcripts'.*actor.ask.enabled: false"),
        (
            ["+arm=long_context", "run.schedule=async", "engine.kind=server", "run.task_runner=ray"],
            "actor.guidance = 'transcripts': nodes are sent the bank.*run.task_runner: threads",
        ),
        (["+arm=placebo"], "placebo"),
    ],
)
def test_what_no_arm_can_mean_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        composed("quick", overrides, CONF)
