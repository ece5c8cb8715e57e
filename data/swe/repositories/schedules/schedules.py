"""The next time that fits an hour and a minute field."""

from datetime import timedelta


def parse_field(text, limit):
    """The values of a field: "*", "*/15", "5" or "1,2,3"."""
    if text == "*":
        return set(range(limit))
    if text.startswith("*/"):
        return set(range(0, limit, int(text[2:])))
    values = {int(part) for part in text.split(",")}
    if any(value >= limit for value in values):
        raise ValueError(f"{text!r} is out of range")
    return values


def next_run(schedule, now):
    """The first full minute after `now` that fits "minute hour"."""
    minute_text, hour_text = schedule.split()
    minutes, hours = parse_field(minute_text, 60), parse_field(hour_text, 24)
    moment = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while moment.minute not in minutes or moment.hour not in hours:
        moment += timedelta(minutes=1)
    return moment
