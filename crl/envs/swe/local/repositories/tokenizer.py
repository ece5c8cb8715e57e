"""The repository tokenizer: arithmetic expressions as tokens."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Arithmetic expressions as tokens."""

OPERATORS = "+-*/()"


def tokenize(text):
    """Numbers as float or int, operators as strings. Raises ValueError on anything else."""
    tokens = []
    position = 0
    while position < len(text):
        letter = text[position]
        if letter.isspace():
            position += 1
        elif letter in OPERATORS:
            tokens.append(letter)
            position += 1
        elif letter.isdigit():
            end = position
            while end < len(text) and text[end].isdigit():
                end += 1
            tokens.append(int(text[position:end]))
            position = end
        else:
            raise ValueError(f"unexpected {letter!r} at {position}")
    return tokens
'''
_TESTS = """\
import pytest

from tokenizer import tokenize


def test_operators_and_integers():
    assert tokenize("(12+3) * 4") == ["(", 12, "+", 3, ")", "*", 4]


def test_unknown_letters():
    with pytest.raises(ValueError):
        tokenize("2 x 3")
"""
_HIDDEN = """\


def test_decimals():
    assert tokenize("1.5+2") == [1.5, "+", 2]
    assert tokenize("10.25") == [10.25]


def test_whole_numbers_stay_integers():
    assert [type(token) for token in tokenize("7")] == [int]


def test_two_points_are_refused():
    with pytest.raises(ValueError):
        tokenize("1.2.3")


def test_types_in_one_expression():
    assert [type(token) for token in tokenize("3 / 0.5")] == [int, str, float]
"""
_ISSUE = """\
Decimal numbers are rejected

tokenize("1.5 + 2") raises ValueError: unexpected '.' at 1, although the docstring promises floats. Whole numbers must
stay int.
A number with two points such as 1.2.3 must raise ValueError.
"""
RECIPE = Recipe(
    name="tokenizer",
    split="eval",
    difficulty=3,
    issue=_ISSUE,
    files={"tokenizer.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_decimals", "test_types_in_one_expression"),
    candidates=(
        (
            Edit(
                "tokenizer.py",
                "            while end < len(text) and text[end].isdigit():\n",
                ('            while end < len(text) and (text[end].isdigit() or text[end] == "."):\n'),
            ),
            Edit(
                "tokenizer.py",
                "            tokens.append(int(text[position:end]))\n",
                (
                    "            number = text[position:end]\n"
                    '            tokens.append(float(number) if "." in number else int(number))\n'
                ),
            ),
        ),
        (
            Edit(
                "tokenizer.py",
                "            while end < len(text) and text[end].isdigit():\n",
                ('            while end < len(text) and (text[end].isdigit() or text[end] == "."):\n'),
            ),
            Edit(
                "tokenizer.py",
                "            tokens.append(int(text[position:end]))\n",
                "            tokens.append(float(text[position:end]))\n",
            ),
        ),
        (
            Edit(
                "tokenizer.py",
                "            while end < len(text) and text[end].isdigit():\n",
                ('            while end < len(text) and (text[end].isdigit() or text[end] == "."):\n'),
            ),
        ),
        (Edit("tokenizer.py", "        if letter.isspace():\n", '        if letter.isspace() or letter == ".":\n'),),
    ),
)
