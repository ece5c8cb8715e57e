"""The repository roman: roman numerals."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Roman numerals."""

_SYMBOLS = (
    (1000, "M"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"),
    (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)


def to_roman(number):
    if not 0 < number < 4000:
        raise ValueError(f"{number} has no Roman numeral")
    text = ""
    for value, symbol in _SYMBOLS:
        while number >= value:
            text += symbol
            number -= value
    return text


def from_roman(text):
    number = 0
    for value, symbol in _SYMBOLS:
        while text.startswith(symbol):
            number += value
            text = text[len(symbol):]
    if text:
        raise ValueError(f"not a Roman numeral: {text}")
    return number
'''
_TESTS = """\
import pytest

from roman import from_roman, to_roman


def test_small_numbers():
    assert [to_roman(number) for number in (1, 4, 9, 14, 40)] == ["I", "IV", "IX", "XIV", "XL"]


def test_there_and_back():
    assert all(from_roman(to_roman(number)) == number for number in range(1, 4000))


def test_out_of_range():
    with pytest.raises(ValueError):
        to_roman(0)
"""
_HIDDEN = """\


def test_nine_hundred():
    assert to_roman(900) == "CM"
    assert to_roman(1994) == "MCMXCIV"


def test_reading_nine_hundred():
    assert from_roman("CM") == 900
    assert from_roman("MCMLXXXIV") == 1984


def test_five_hundred_stays():
    assert to_roman(500) == "D"
    assert to_roman(888) == "DCCCLXXXVIII"
"""
_ISSUE = """\
to_roman(1994) is wrong

It gives MDCCCCXCIV instead of MCMXCIV. Other numbers with a 9 in the hundreds are wrong, too, and from_roman("CM")
raises.
"""
RECIPE = Recipe(
    name="roman",
    split="train",
    difficulty=1,
    issue=_ISSUE,
    files={"roman.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_nine_hundred", "test_reading_nine_hundred"),
    candidates=(
        (
            Edit(
                "roman.py",
                '(1000, "M"), (500, "D"), (400, "CD"),',
                '(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"),',
            ),
        ),
        (
            Edit(
                "roman.py",
                '(1000, "M"), (500, "D"), (400, "CD"),',
                '(1000, "M"), (500, "D"), (900, "CM"), (400, "CD"),',
            ),
        ),
        (
            Edit(
                "roman.py",
                '(1000, "M"), (500, "D"), (400, "CD"),',
                '(1000, "M"), (900, "DM"), (500, "D"), (400, "CD"),',
            ),
        ),
        (Edit("roman.py", "        while number >= value:\n", "        while number > value:\n"),),
    ),
)
