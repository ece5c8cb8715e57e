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
# Hidden from the agent from here on: the task's test patch appends it.


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
