"""The repository schedules: the next time that fits an hour and a minute field."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""The next time that fits an hour and a minute field."""

from datetime import timedelta


def parse_field(text, limit):
    """The values of a field: "*", "*/15", "5" or "1,2,3"."""
    if text == "*":
        return set(range(limit))
    if text.startswith("*/"):
        return set(range(0, limit, int(text[2:])))
    values = {int(part) for part in text.split(",")}
    if any(value > limit for value in values):
        raise ValueError(f"{text!r} is out of range")
    return values


def next_run(schedule, now):
    """The first full minute after `now` that fits "minute hour"."""
    minute_text, hour_text = schedule.split()
    minutes, hours = parse_field(minute_text, 60), parse_field(hour_text, 24)
    moment = now.replace(second=0, microsecond=0)
    while moment.minute not in minutes or moment.hour not in hours:
        moment += timedelta(minutes=1)
    return moment
'''
_TESTS = """\
from datetime import datetime

import pytest

from schedules import next_run, parse_field


def test_fields():
    assert parse_field("*/15", 60) == {0, 15, 30, 45}
    assert parse_field("1,2", 24) == {1, 2}


def test_far_out_of_range():
    with pytest.raises(ValueError):
        parse_field("99", 60)


def test_later_today():
    assert next_run("30 12", datetime(2024, 5, 6, 9, 0)) == datetime(2024, 5, 6, 12, 30)
"""
_HIDDEN = """\


def test_the_current_minute_is_over():
    assert next_run("0 10", datetime(2024, 5, 6, 10, 0, 20)) == datetime(2024, 5, 7, 10, 0)
    assert next_run("* *", datetime(2024, 5, 6, 10, 0)) == datetime(2024, 5, 6, 10, 1)


def test_the_limit_itself_is_out_of_range():
    with pytest.raises(ValueError):
        parse_field("24", 24)
    assert parse_field("23", 24) == {23}


def test_the_very_next_minute():
    assert next_run("1 10", datetime(2024, 5, 6, 10, 0, 59)) == datetime(2024, 5, 6, 10, 1)
"""
_ISSUE = """\
next_run returns the current minute, and hour 24 hangs

If now is 10:00:20 and the schedule is "0 10", the next run is tomorrow at 10:00, not today at 10:00, which is over.
And a schedule with hour 24 loops for ever instead of raising ValueError.
"""
RECIPE = Recipe(
    name="schedules",
    split="train",
    difficulty=3,
    issue=_ISSUE,
    files={"schedules.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_the_current_minute_is_over", "test_the_limit_itself_is_out_of_range"),
    candidates=(
        (
            Edit("schedules.py", "value > limit", "value >= limit"),
            Edit(
                "schedules.py",
                "    moment = now.replace(second=0, microsecond=0)\n",
                ("    moment = now.replace(second=0, microsecond=0) + timedelta(minutes=1)\n"),
            ),
        ),
        (
            Edit("schedules.py", "value > limit", "value >= limit - 1"),
            Edit(
                "schedules.py",
                "    moment = now.replace(second=0, microsecond=0)\n",
                ("    moment = now.replace(second=0, microsecond=0) + timedelta(minutes=1)\n"),
            ),
        ),
        (
            Edit("schedules.py", "value > limit", "value >= limit"),
            Edit(
                "schedules.py",
                "    moment = now.replace(second=0, microsecond=0)\n",
                ("    moment = now.replace(second=0, microsecond=0) + timedelta(hours=1)\n"),
            ),
        ),
        (
            Edit(
                "schedules.py",
                "    moment = now.replace(second=0, microsecond=0)\n",
                ("    moment = now.replace(second=0, microsecond=0) + timedelta(minutes=1)\n"),
            ),
        ),
    ),
)
