"""Parameters of what is done about ratios: refused by name where they cannot hold."""

from pathlib import Path

import pytest

from crl.config.compose import composed
from crl.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            "extractor.dual_clip=3",
            r"extractor.dual_clip = 3.0: cispo bounds.*Remedy: null, or learn.extractor.objective: grpo",
        ),
        (
            "actor.dual_clip=1.2",
            r"actor.dual_clip = 1.2: not above 1 \+ learn.actor.clip_high. Remedy: raise it, say 3",
        ),
        ("actor.correction.high=1", r"actor.correction.high = 1: out of range. Remedy: use a value of more than 1"),
    ],
)
def test_a_bad_value_is_refused_by_name(change, fault):
    with pytest.raises(ConfigError, match=f"learn.{fault}"):
        composed("quick", [f"learn.{change}"], CONF)
