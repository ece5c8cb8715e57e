"""An entry whose family or level needs a package that is not installed is left out of a run, with the remedy; the others go on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In a process whose import system does not find these packages, as on a machine that lacks them.
PREPARE = """
import json, sys
from pathlib import Path

class Without:
    def __init__(self, finder, absent):
        self._finder, self._absent = finder, absent

    def find_spec(self, name, *others):
        return None if name.partition(".")[0] in self._absent else self._finder.find_spec(name, *others)

absent, mix, folder = json.loads(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
sys.meta_path[:] = [Without(finder, absent) for finder in sys.meta_path]

from crl.tasks.prepare import prepare
from tests.tasks.test_task_sets import config_of

config = config_of(**{name: entry | {"max_steps": 30} for name, entry in mix.items()})
print(json.dumps({name: prepare(config, name, folder).unavailable for name in mix}))
"""
ENTRIES = {
    "room": {"family": "minihack", "level": "MiniHack-Room-Random-5x5-v0"},
    "rooms": {"family": "minihack", "level": "MiniHack-MultiRoom-N2-v0"},
    "shop": {"family": "webshop", "level": "generated-60"},
    "house": {"family": "alfworld", "level": "generated"},
    "repair": {"family": "swe", "level": "local"},
    "hub": {"family": "swe", "level": "verified", "source": "someone/some-data"},
    "own": {"family": "tests.envs.toy_envs:NeedyCorridor", "level": "plain"},
    "walk": {"family": "tests.envs.toy_envs:Corridor", "level": "plain"},
}
LEVEL = "install it, or choose another level"


@pytest.mark.parametrize(
    "told",
    [
        {
            "room": ("gymnasium", "pip install 'crl[minihack]'"),
            "shop": ("bm25s", "pip install 'crl[webshop]'"),
            "house": ("textworld", "install a C++ compiler"),
            "repair": ("swebench", "pip install 'crl[swe]'"),
        },
        {
            "rooms": ("minigrid", LEVEL),
            "shop": ("rapidfuzz", "make install"),
            "repair": ("docker", "pip install 'crl[swe]'"),
            "hub": ("datasets", "give a .parquet, .json or .jsonl file"),
            "own": ("package_of_a_team", "install it"),
        },
    ],
)
def test_an_entry_that_lacks_a_package_is_left_out_with_the_remedy_and_the_others_go_on(told, tmp_path):
    mix = {name: ENTRIES[name] for name in (*told, "walk")}
    absent = [package for package, _ in told.values()]
    command = [sys.executable, "-c", PREPARE, json.dumps(absent), json.dumps(mix), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    reasons = json.loads(done.stdout.splitlines()[-1])
    assert reasons.pop("walk") is None
    assert (tmp_path / "walk/train.parquet").is_file()
    assert reasons.keys() == told.keys()
    for name, (package, remedy) in told.items():
        assert package in reasons[name]
        assert f"Remedy: {remedy}" in reasons[name] or f"or {remedy}" in reasons[name]
        assert (tmp_path / name / "unavailable.txt").read_text() == reasons[name]


def test_a_slip_in_an_import_of_ones_own_family_is_an_error_and_not_left_out(tmp_path, monkeypatch):
    from crl.envs.registry import family_class
    from crl.errors import ConfigError
    from crl.tasks.prepare import prepare
    from tests.tasks.test_task_sets import config_of

    entry = {"family": "tests.envs.toy_envs:SlipCorridor", "level": "plain", "max_steps": 6}
    with pytest.raises(ModuleNotFoundError, match=r"crl\.evns"):
        prepare(config_of(walk=entry), "walk", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "family_with_a_slip.py").write_text("import nunpy\n")
    with pytest.raises(ConfigError, match=r"does not load.*nunpy"):
        family_class("family_with_a_slip:Env")


def test_a_family_that_does_not_exist_is_an_error_and_not_left_out():
    from crl.envs.registry import family_class
    from crl.errors import ConfigError

    for name in ("nowhere:Env", "tests.envs.nowhere:Env", "tests.envs.toy_envs:Nothing"):
        with pytest.raises(ConfigError, match="does not load"):
            family_class(name)
