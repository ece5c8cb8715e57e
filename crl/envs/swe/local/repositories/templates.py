"""The repository templates: fill {name} places in a text."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Fill {name} places in a text."""

import re

_PLACE = re.compile(r"\\{(\\w+)\\}")


class MissingValue(KeyError):
    """A place has no value."""


def render(template, values, default=None):
    """The template with its places filled. `{{` and `}}` stand for braces."""
    text = template.replace("{{", "\\0").replace("}}", "\\1")

    def fill(match):
        value = values.get(match[1]) or default
        if value is None:
            raise MissingValue(match[1])
        return str(value)

    return _PLACE.sub(fill, text).replace("\\0", "{").replace("\\1", "}")
'''
_TESTS = """\
import pytest

from templates import MissingValue, render


def test_places_are_filled():
    assert render("Hi {name}!", {"name": "Ada"}) == "Hi Ada!"


def test_missing_values():
    with pytest.raises(MissingValue):
        render("{x}", {})
    assert render("{x}", {}, default="?") == "?"


def test_braces():
    assert render("{{x}} {a}", {"a": 1}) == "{x} 1"
"""
_HIDDEN = """\


def test_zero_is_a_value():
    assert render("{n} items", {"n": 0}) == "0 items"
    assert render("{n}", {"n": 0}, default="many") == "0"


def test_empty_text_is_a_value():
    assert render("[{s}]", {"s": ""}, default="?") == "[]"


def test_none_falls_back():
    assert render("{s}", {"s": None}, default="?") == "?"
"""
_ISSUE = """\
render() treats 0 and the empty string as missing

render("{n} items", {"n": 0}) raises MissingValue. A value that is given must be used, whatever it is; only names that
are absent
(or None) fall back to the default.
"""
RECIPE = Recipe(
    name="templates",
    split="train",
    difficulty=2,
    issue=_ISSUE,
    files={"templates.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_zero_is_a_value", "test_empty_text_is_a_value"),
    candidates=(
        (
            Edit(
                "templates.py",
                "        value = values.get(match[1]) or default\n",
                ("        value = values.get(match[1])\n        if value is None:\n            value = default\n"),
            ),
        ),
        (
            Edit(
                "templates.py",
                "        value = values.get(match[1]) or default\n",
                "        value = values.get(match[1], default)\n",
            ),
        ),
        (
            Edit(
                "templates.py",
                "        value = values.get(match[1]) or default\n",
                "        value = values[match[1]] if match[1] in values else default\n",
            ),
        ),
        (
            Edit(
                "templates.py",
                "        value = values.get(match[1]) or default\n",
                '        value = values.get(match[1]) or default or ""\n',
            ),
        ),
    ),
)
