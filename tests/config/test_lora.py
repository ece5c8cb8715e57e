"""Parameters of adapters: off in every profile, and refused by name where they cannot hold."""

from pathlib import Path

import pytest

from crl.config.compose import composed, profiles
from crl.errors import ConfigError
from tests import outside

CONF = Path(__file__).parents[2] / "conf"
OWN_ENGINE = """
from crl.config.engines import EngineKind


class Plain(EngineKind):
    lockstep = True
"""


@pytest.mark.parametrize("profile", ["paper_single", "quick"])
def test_all_weights_learn_unless_a_rank_is_named(profile):
    assert profile in profiles(CONF)
    config = composed(profile, folder=CONF)
    assert config.learn.actor.adapter is config.learn.extractor.adapter is None
    changed = composed(profile, ["learn.extractor.lora.rank=8", "learn.extractor.lora.targets=q_proj"], CONF)
    assert changed.learn.extractor.adapter.targets == ("q_proj",)
    assert changed.learn.actor.adapter is None
    assert (
        composed(profile, ["learn.extractor.lora.rank=8", "learn.extractor.freeze=true"], CONF).learn.extractor.adapter
        is None
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("actor.lora.rank=-1", r"learn.actor.lora.rank = -1: out of range. Remedy: use a value of at least 0"),
        ("actor.lora.alpha=0", r"learn.actor.lora.alpha = 0: out of range"),
        (
            "actor.lora.dropout=0.1",
            r"learn.actor.lora.dropout = 0.1: .*importance ratios would measure noise. Remedy: 0",
        ),
        ("extractor.lora.targets=[]", r"learn.extractor.lora.targets = \[\]: names no layers. Remedy: all-linear"),
        (
            "extractor.lora.targets=[all-linear,q_proj]",
            r"learn.extractor.lora.targets = .*Remedy: all-linear by itself",
        ),
    ],
)
def test_a_bad_value_is_refused_by_name(change, fault):
    with pytest.raises(ConfigError, match=fault):
        composed("quick", [f"learn.{change}"], CONF)


def test_an_engine_that_takes_whole_weights_alone_is_refused(tmp_path):
    with outside.module("team_of_three", OWN_ENGINE, tmp_path):
        composed("quick", ["engine.kind=team_of_three:Plain"], CONF)
        with pytest.raises(
            ConfigError, match=r"learn.actor.lora.rank = 8: engine.kind = 'team_of_three:Plain' takes whole"
        ):
            composed("quick", ["engine.kind=team_of_three:Plain", "learn.actor.lora.rank=8"], CONF)
