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
        return (self.last - self.first).days + 1

    def __contains__(self, day):
        return self.first <= day <= self.last

    def overlaps(self, other):
        return self.first <= other.last and other.first <= self.last

    def days(self):
        return [self.first + timedelta(days=offset) for offset in range(len(self))]
