import pytest

from tokenizer import tokenize


def test_operators_and_integers():
    assert tokenize("(12+3) * 4") == ["(", 12, "+", 3, ")", "*", 4]


def test_unknown_letters():
    with pytest.raises(ValueError):
        tokenize("2 x 3")
# Hidden from the agent from here on: the task's test patch appends it.


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
