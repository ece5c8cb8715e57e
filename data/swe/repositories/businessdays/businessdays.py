"""Business days: Monday to Friday without holidays."""

from datetime import timedelta


def is_business_day(day, holidays=()):
    return day.weekday() < 5 and day not in holidays


def add_business_days(day, count, holidays=()):
    """The date `count` business days later; earlier if count is negative."""
    step = timedelta(days=1 if count > 0 else -1)
    left = abs(count)
    while left:
        day += step
        if is_business_day(day, holidays):
            left -= 1
    return day
