"""The repository durations: durations such as 1h30m as seconds."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Durations such as 1h30m as seconds."""

import re

_PART = re.compile(r"(\\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 360, "d": 86400}


def parse_duration(text):
    """Seconds. Raises ValueError unless all of the text is understood."""
    parts = _PART.findall(text)
    if not parts:
        raise ValueError(f"not a duration: {text!r}")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)
'''
_TESTS = """\
import pytest

from durations import parse_duration


def test_units():
    assert parse_duration("45s") == 45
    assert parse_duration("2m") == 120
    assert parse_duration("1d") == 86400


def test_nonsense():
    with pytest.raises(ValueError):
        parse_duration("soon")
"""
_HIDDEN = """\


def test_hours():
    assert parse_duration("1h") == 3600
    assert parse_duration("1h30m") == 5400


@pytest.mark.parametrize("text", ["5m_oops", "x5m", "5m5", ""])
def test_all_of_the_text_must_be_understood(text):
    with pytest.raises(ValueError):
        parse_duration(text)


def test_combinations():
    assert parse_duration("1d2m3s") == 86400 + 120 + 3
"""
_ISSUE = """\
Hours are too short and rubbish is accepted

parse_duration("1h") gives 360. While looking at it I noticed that parse_duration("5m oops") gives 300 instead of
raising ValueError.
"""
RECIPE = Recipe(
    name="durations",
    split="eval",
    difficulty=3,
    issue=_ISSUE,
    files={"durations.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=(
        "test_hours",
        "test_all_of_the_text_must_be_understood[5m_oops]",
        "test_all_of_the_text_must_be_understood[x5m]",
        "test_all_of_the_text_must_be_understood[5m5]",
    ),
    candidates=(
        (
            Edit("durations.py", '"h": 360,', '"h": 3600,'),
            Edit("durations.py", "    if not parts:\n", '    if not parts or "".join(map("".join, parts)) != text:\n'),
        ),
        (
            Edit("durations.py", '"h": 360,', '"h": 3600,'),
            Edit("durations.py", "    if not parts:\n", "    if not parts or not _PART.match(text):\n"),
        ),
        (Edit("durations.py", '"h": 360,', '"h": 3600,'),),
        (
            Edit("durations.py", '"h": 360,', '"h": 3600,'),
            Edit("durations.py", "    if not parts:\n", "    if not _PART.fullmatch(text):\n"),
        ),
    ),
)
