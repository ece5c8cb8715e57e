import pytest

from money import Money


def test_adding():
    assert Money("1.10") + Money("2.20") == Money("3.30")


def test_currencies_do_not_mix():
    with pytest.raises(ValueError):
        Money(1, "EUR") + Money(1, "USD")


def test_even_split():
    assert Money(9).split(3) == [Money(3)] * 3
# Hidden from the agent from here on: the task's test patch appends it.


def test_split_loses_nothing():
    assert [share.cents for share in Money(10).split(3)] == [334, 333, 333]
    assert [share.cents for share in Money("0.05").split(3)] == [2, 2, 1]


def test_half_a_cent_rounds_away_from_zero():
    assert Money("0.125").cents == 13
    assert Money("-0.125").cents == -13
    assert Money("0.124").cents == 12


def test_currency_is_part_of_equality():
    assert Money(1, "EUR") != Money(1, "USD")
    assert len({Money(1, "EUR"), Money(1, "USD")}) == 2
