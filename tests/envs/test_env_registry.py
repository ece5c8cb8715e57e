"""Families by name, and what is said about names that nobody knows."""

import subprocess
import sys

import pytest

from crl.envs.contract import TextEnv
from crl.envs.registry import families, make_env
from crl.errors import ConfigError


def test_minihack_and_classes_by_module_satisfy_the_contract():
    assert "minihack" in families()
    assert isinstance(make_env("minihack", "slots"), TextEnv)
    assert isinstance(make_env("tests.envs.toy_envs:Corridor", "grid"), TextEnv)


def test_an_unknown_family_is_refused_with_the_list():
    with pytest.raises(ConfigError, match="did you mean minihack"):
        make_env("minihak", "grid")


def test_a_class_that_does_not_load_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"toy_envs:Nothing does not load"):
        make_env("tests.envs.toy_envs:Nothing", "grid")


def test_an_unknown_observation_style_is_refused_with_the_choices():
    with pytest.raises(ConfigError, match=r"'pixels'.*slots, grid"):
        make_env("minihack", "pixels")


def test_environments_and_their_workers_do_not_import_torch():
    modules = "crl.envs.hosting.pool, crl.envs.hosting.worker, crl.envs.check, crl.envs.minihack.env"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
