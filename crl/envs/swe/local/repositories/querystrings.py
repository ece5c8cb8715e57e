"""The repository querystrings: query strings: a=1&b=2."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Query strings: a=1&b=2."""

from urllib.parse import quote, unquote


def parse_query(text):
    """{name: [values in order]}"""
    values = {}
    for part in text.split("&"):
        name, _, value = part.partition("=")
        values[unquote(name)] = [unquote(value)]
    return values


def build_query(values):
    parts = []
    for name, items in values.items():
        for item in items:
            parts.append(f"{quote(name)}={quote(item)}")
    return "&".join(parts)
'''
_TESTS = """\
from querystrings import build_query, parse_query


def test_names_and_values():
    assert parse_query("a=1&b=x%20y") == {"a": ["1"], "b": ["x y"]}


def test_building():
    assert build_query({"a": ["1", "2"], "b": ["x y"]}) == "a=1&a=2&b=x%20y"
"""
_HIDDEN = """\


def test_repeated_names():
    assert parse_query("tag=a&tag=b&x=1") == {"tag": ["a", "b"], "x": ["1"]}


def test_nothing():
    assert parse_query("") == {}
    assert parse_query("a=1&&") == {"a": ["1"]}


def test_there_and_back():
    values = {"q": ["a&b", "c=d"], "p": [""]}
    assert parse_query(build_query(values)) == values


def test_a_name_without_a_value():
    assert parse_query("flag") == {"flag": [""]}
"""
_ISSUE = """\
Repeated names keep only the last value, and an empty query has a nameless entry

parse_query("tag=a&tag=b") should be {"tag": ["a", "b"]}. parse_query("") should be {}, and so should stray ampersands
be ignored.
"""
RECIPE = Recipe(
    name="querystrings",
    split="train",
    difficulty=3,
    issue=_ISSUE,
    files={"querystrings.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_repeated_names", "test_nothing", "test_there_and_back"),
    candidates=(
        (
            Edit(
                "querystrings.py",
                '        name, _, value = part.partition("=")\n',
                ('        if not part:\n            continue\n        name, _, value = part.partition("=")\n'),
            ),
            Edit(
                "querystrings.py",
                "        values[unquote(name)] = [unquote(value)]\n",
                "        values.setdefault(unquote(name), []).append(unquote(value))\n",
            ),
        ),
        (
            Edit(
                "querystrings.py",
                "        values[unquote(name)] = [unquote(value)]\n",
                "        values.setdefault(unquote(name), []).append(unquote(value))\n",
            ),
        ),
        (
            Edit(
                "querystrings.py",
                '        name, _, value = part.partition("=")\n',
                ('        name, _, value = part.partition("=")\n        if not value:\n            continue\n'),
            ),
            Edit(
                "querystrings.py",
                "        values[unquote(name)] = [unquote(value)]\n",
                "        values.setdefault(unquote(name), []).append(unquote(value))\n",
            ),
        ),
        (
            Edit(
                "querystrings.py",
                '        name, _, value = part.partition("=")\n',
                ('        if not part:\n            break\n        name, _, value = part.partition("=")\n'),
            ),
            Edit(
                "querystrings.py",
                "        values[unquote(name)] = [unquote(value)]\n",
                "        values[unquote(name)] = [*values, unquote(value)]\n",
            ),
        ),
    ),
)
