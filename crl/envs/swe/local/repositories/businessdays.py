"""The repository businessdays: business days: Monday to Friday without holidays."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Business days: Monday to Friday without holidays."""

from datetime import timedelta


def is_business_day(day, holidays=()):
    return day.weekday() <= 5 and day not in holidays


def add_business_days(day, count, holidays=()):
    """The date `count` business days later; earlier if count is negative."""
    step = timedelta(days=1)
    while count:
        day += step
        if is_business_day(day, holidays):
            count -= 1
    return day
'''
_TESTS = """\
from datetime import date

from businessdays import add_business_days, is_business_day

MONDAY = date(2024, 5, 6)


def test_weekdays():
    assert is_business_day(MONDAY)
    assert not is_business_day(date(2024, 5, 5))


def test_within_a_week():
    assert add_business_days(MONDAY, 3) == date(2024, 5, 9)


def test_holidays_are_skipped():
    assert add_business_days(MONDAY, 1, holidays={date(2024, 5, 7)}) == date(2024, 5, 8)
"""
_HIDDEN = """\


def test_saturday_is_no_business_day():
    assert not is_business_day(date(2024, 5, 4))
    assert add_business_days(date(2024, 5, 3), 1) == MONDAY


def test_going_back():
    assert add_business_days(MONDAY, -1) == date(2024, 5, 3)
    assert add_business_days(date(2024, 5, 9), -2) == date(2024, 5, 7)


def test_going_back_over_a_holiday():
    assert add_business_days(date(2024, 5, 8), -1, holidays={date(2024, 5, 7)}) == MONDAY


def test_zero_days():
    assert add_business_days(MONDAY, 0) == MONDAY
"""
_ISSUE = """\
Saturdays count as business days; negative counts never return

add_business_days(Friday, 1) gives Saturday. And add_business_days(day, -1) runs until the dates overflow, though the
docstring allows it.
"""
RECIPE = Recipe(
    name="businessdays",
    split="eval",
    difficulty=4,
    issue=_ISSUE,
    files={"businessdays.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_saturday_is_no_business_day", "test_going_back", "test_going_back_over_a_holiday"),
    candidates=(
        (
            Edit("businessdays.py", "day.weekday() <= 5", "day.weekday() < 5"),
            Edit(
                "businessdays.py",
                (
                    "    step = timedelta(days=1)\n"
                    "    while count:\n"
                    "        day += step\n"
                    "        if is_business_day(day, holidays):\n"
                    "            count -= 1\n"
                ),
                (
                    "    step = timedelta(days=1 if count > 0 else -1)\n"
                    "    left = abs(count)\n"
                    "    while left:\n"
                    "        day += step\n"
                    "        if is_business_day(day, holidays):\n"
                    "            left -= 1\n"
                ),
            ),
        ),
        (
            Edit("businessdays.py", "day.weekday() <= 5", "day.weekday() < 5"),
            Edit("businessdays.py", "    while count:\n", "    while count > 0:\n"),
        ),
        (
            Edit("businessdays.py", "day.weekday() <= 5", "day.weekday() < 5"),
            Edit("businessdays.py", "    while count:\n", "    count = abs(count)\n    while count:\n"),
        ),
        (
            Edit(
                "businessdays.py",
                (
                    "    step = timedelta(days=1)\n"
                    "    while count:\n"
                    "        day += step\n"
                    "        if is_business_day(day, holidays):\n"
                    "            count -= 1\n"
                ),
                (
                    "    step = timedelta(days=1 if count > 0 else -1)\n"
                    "    left = abs(count)\n"
                    "    while left:\n"
                    "        day += step\n"
                    "        if is_business_day(day, holidays):\n"
                    "            left -= 1\n"
                ),
            ),
        ),
    ),
)
