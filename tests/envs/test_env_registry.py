"""Families by name, and what is said about names that nobody knows."""

import subprocess
import sys

import pytest

from crl.envs.contract import TextEnv
from crl.envs.registry import families, make_env
from crl.errors import ConfigError
from crl.types import Task
from tests.envs.toy_envs import Corridor


def test_minihack_and_classes_by_module_satisfy_the_contract():
    assert "minihack" in families()
    assert isinstance(make_env("minihack", "slots"), TextEnv)
    assert isinstance(make_env("tests.envs.toy_envs:Corridor", "grid"), TextEnv)


class TwoTongues(Corridor):
    """Knows two texts of its own."""

    def __init__(self, observation: str) -> None:
        super().__init__(observation)
        self.style = observation


def shouting(family: str, env: TextEnv) -> TextEnv:
    """A style from a package of the user's: `env` in capitals."""
    text, env.text = env.text, lambda: f"{family}: {text().upper()}"
    return env


@pytest.mark.parametrize("style", ["grid", "slots", "tests.envs.test_env_registry:shouting"])
def test_a_class_whose_constructor_names_the_observation_style_is_told_it(style):
    assert make_env("tests.envs.test_env_registry:TwoTongues", style).style == style


def test_a_style_from_another_package_wraps_any_family():
    env = make_env("tests.envs.toy_envs:Corridor", "tests.envs.test_env_registry:shouting")
    shown = env.reset(Task("t", "t", "corridor", "", 1, 5)).text
    assert shown.startswith("tests.envs.toy_envs:Corridor: AT 0, GOAL ")


def test_a_family_given_by_its_class_has_the_same_slots_as_by_its_name():
    by_name, by_class = make_env("sokoban", "slots"), make_env("crl.envs.sokoban.env:SokobanEnv", "slots")
    task = Task("t", "t", "sokoban", "6x6-1", 3, 5)
    assert by_name.reset(task) == by_class.reset(task)


def test_an_unknown_family_is_refused_with_the_list():
    with pytest.raises(ConfigError, match="did you mean minihack"):
        make_env("minihak", "grid")


def test_a_class_that_does_not_load_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"toy_envs:Nothing does not load"):
        make_env("tests.envs.toy_envs:Nothing", "grid")


def test_an_unknown_observation_style_is_refused_with_the_choices():
    with pytest.raises(ConfigError, match=r"'pixels'.*grid, slots"):
        make_env("minihack", "pixels")


def test_environments_and_their_workers_do_not_import_torch():
    modules = "crl.envs.hosting.pool, crl.envs.hosting.worker, crl.envs.check, crl.envs.minihack.env"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
