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
# Hidden from the agent from here on: the task's test patch appends it.


def test_the_current_minute_is_over():
    assert next_run("0 10", datetime(2024, 5, 6, 10, 0, 20)) == datetime(2024, 5, 7, 10, 0)
    assert next_run("* *", datetime(2024, 5, 6, 10, 0)) == datetime(2024, 5, 6, 10, 1)


def test_the_limit_itself_is_out_of_range():
    with pytest.raises(ValueError):
        parse_field("24", 24)
    assert parse_field("23", 24) == {23}


def test_the_very_next_minute():
    assert next_run("1 10", datetime(2024, 5, 6, 10, 0, 59)) == datetime(2024, 5, 6, 10, 1)
