import pytest

from roman import from_roman, to_roman


def test_small_numbers():
    assert [to_roman(number) for number in (1, 4, 9, 14, 40)] == ["I", "IV", "IX", "XIV", "XL"]


def test_there_and_back():
    assert all(from_roman(to_roman(number)) == number for number in range(1, 4000))


def test_out_of_range():
    with pytest.raises(ValueError):
        to_roman(0)
# Hidden from the agent from here on: the task's test patch appends it.


def test_nine_hundred():
    assert to_roman(900) == "CM"
    assert to_roman(1994) == "MCMXCIV"


def test_reading_nine_hundred():
    assert from_roman("CM") == 900
    assert from_roman("MCMLXXXIV") == 1984


def test_five_hundred_stays():
    assert to_roman(500) == "D"
    assert to_roman(888) == "DCCCLXXXVIII"
