import pytest

from durations import parse_duration


def test_units():
    assert parse_duration("45s") == 45
    assert parse_duration("2m") == 120
    assert parse_duration("1d") == 86400


def test_nonsense():
    with pytest.raises(ValueError):
        parse_duration("soon")
# Hidden from the agent from here on: the task's test patch appends it.


def test_hours():
    assert parse_duration("1h") == 3600
    assert parse_duration("1h30m") == 5400


@pytest.mark.parametrize("text", ["5m_oops", "x5m", "5m5", ""])
def test_all_of_the_text_must_be_understood(text):
    with pytest.raises(ValueError):
        parse_duration(text)


def test_combinations():
    assert parse_duration("1d2m3s") == 86400 + 120 + 3
