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
# Hidden from the agent from here on: the task's test patch appends it.


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
