"""The repository configfile: configuration files: [section] headers and key = value lines."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Configuration files: [section] headers and key = value lines."""


def load(text, defaults={}):
    """{section: {key: value}}; `defaults` fill in what a section does not set."""
    sections = {}
    current = defaults
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        if line.startswith("["):
            current = sections.setdefault(line[1:-1], {})
            continue
        key, _, value = line.partition("=")
        current[key.strip()] = value.strip()
    return {name: {**defaults, **section} for name, section in sections.items()}
'''
_TESTS = """\
from configfile import load


def test_sections():
    assert load("[a]\\nx = 1\\n[b]\\ny=2") == {"a": {"x": "1"}, "b": {"y": "2"}}


def test_comments():
    assert load("[a] # first\\n# nothing\\nx = 1 # one") == {"a": {"x": "1"}}


def test_defaults_fill_in():
    assert load("[a]\\nx = 1", {"x": "0", "z": "9"}) == {"a": {"x": "1", "z": "9"}}
"""
_HIDDEN = """\


def test_calls_share_nothing():
    load("colour = red\\n[a]\\nx = 1")
    assert load("[b]\\ny = 2") == {"b": {"y": "2"}}


def test_the_callers_defaults_are_not_changed():
    defaults = {"z": "9"}
    load("colour = red\\n[a]", defaults)
    assert defaults == {"z": "9"}


def test_keys_above_the_first_section_are_defaults():
    assert load("size = 3\\n[m]\\nk = v", {"z": "9"}) == {"m": {"size": "3", "k": "v", "z": "9"}}
"""
_ISSUE = """\
Keys above the first section leak into later calls

load("colour = red\\n[a]\\nx = 1") is right to give section a the colour, too. But after that call, load("[b]\\ny = 2")
has the colour as well,
and a dictionary that I pass as `defaults` is changed.
"""
RECIPE = Recipe(
    name="configfile",
    split="train",
    difficulty=2,
    issue=_ISSUE,
    files={"configfile.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_calls_share_nothing", "test_the_callers_defaults_are_not_changed"),
    candidates=(
        (Edit("configfile.py", "    current = defaults\n", "    current = defaults = dict(defaults)\n"),),
        (Edit("configfile.py", "    current = defaults\n", "    current = dict(defaults)\n"),),
        (Edit("configfile.py", "    current = defaults\n", "    defaults = defaults or {}\n    current = defaults\n"),),
        (Edit("configfile.py", "    current = defaults\n", "    current = {}\n"),),
    ),
)
