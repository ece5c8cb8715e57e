"""The repository dateranges: closed ranges of dates."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Closed ranges of dates."""

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class DateRange:
    first: date
    last: date  # included

    def __post_init__(self):
        if self.last < self.first:
            raise ValueError("a range ends after it begins")

    def __len__(self):
        return (self.last - self.first).days

    def __contains__(self, day):
        return self.first <= day <= self.last

    def overlaps(self, other):
        return self.first <= other.last and other.first < self.last

    def days(self):
        return [self.first + timedelta(days=offset) for offset in range(len(self))]
'''
_TESTS = """\
from datetime import date

import pytest

from dateranges import DateRange

JANUARY = DateRange(date(2024, 1, 1), date(2024, 1, 31))


def test_contains_both_ends():
    assert date(2024, 1, 1) in JANUARY
    assert date(2024, 1, 31) in JANUARY
    assert date(2024, 2, 1) not in JANUARY


def test_order_is_checked():
    with pytest.raises(ValueError):
        DateRange(date(2024, 1, 2), date(2024, 1, 1))


def test_far_ranges_do_not_overlap():
    assert not JANUARY.overlaps(DateRange(date(2024, 3, 1), date(2024, 3, 2)))
"""
_HIDDEN = """\


def test_length_counts_both_ends():
    assert len(JANUARY) == 31
    assert len(DateRange(date(2024, 2, 29), date(2024, 2, 29))) == 1


def test_days_lists_both_ends():
    days = DateRange(date(2024, 2, 28), date(2024, 3, 1)).days()
    assert days == [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]


def test_one_shared_day_is_an_overlap():
    later = DateRange(date(2024, 1, 31), date(2024, 2, 5))
    assert JANUARY.overlaps(later)
    assert later.overlaps(JANUARY)


def test_neighbours_do_not_overlap():
    february = DateRange(date(2024, 2, 1), date(2024, 2, 29))
    assert not JANUARY.overlaps(february)
    assert not february.overlaps(JANUARY)
"""
_ISSUE = """\
The last day is not counted

DateRange(Jan 1, Jan 3) includes both ends, so its length is 3, but len() says 2 and days() leaves the last day out.
Two ranges that share just one day do not always overlap, either.
"""
RECIPE = Recipe(
    name="dateranges",
    split="train",
    difficulty=3,
    issue=_ISSUE,
    files={"dateranges.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_length_counts_both_ends", "test_days_lists_both_ends", "test_one_shared_day_is_an_overlap"),
    candidates=(
        (
            Edit("dateranges.py", "(self.last - self.first).days\n", "(self.last - self.first).days + 1\n"),
            Edit("dateranges.py", "other.first < self.last", "other.first <= self.last"),
        ),
        (Edit("dateranges.py", "(self.last - self.first).days\n", "(self.last - self.first).days + 1\n"),),
        (
            Edit("dateranges.py", "range(len(self))", "range(len(self) + 1)"),
            Edit("dateranges.py", "other.first < self.last", "other.first <= self.last"),
        ),
        (
            Edit("dateranges.py", "(self.last - self.first).days\n", "(self.last - self.first).days + 1\n"),
            Edit("dateranges.py", "range(len(self))", "range(len(self) + 1)"),
            Edit("dateranges.py", "other.first < self.last", "other.first <= self.last"),
        ),
    ),
)
