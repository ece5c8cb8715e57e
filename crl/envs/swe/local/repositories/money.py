"""The repository money: amounts of money, exact to the cent."""

from crl.envs.swe.local.recipe import Edit, Recipe

_MONEY___INIT = """\
from money.amount import Money

__all__ = ["Money"]
"""
_MONEY_AMOUNT = '''\
"""Amounts of money, exact to the cent."""

from money.rounding import to_cents


class Money:
    def __init__(self, amount, currency="EUR"):
        self.cents = to_cents(amount)
        self.currency = currency

    def __add__(self, other):
        self._same_currency(other)
        return self._of(self.cents + other.cents)

    def __eq__(self, other):
        return isinstance(other, Money) and self.cents == other.cents

    def __hash__(self):
        return hash((self.cents, self.currency))

    def split(self, parts):
        """Shares as equal as cents allow; together they are the whole."""
        return [self._of(self.cents // parts) for _ in range(parts)]

    def _of(self, cents):
        made = Money(0, self.currency)
        made.cents = cents
        return made

    def _same_currency(self, other):
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix")

    def __repr__(self):
        return f"{self.currency} {self.cents / 100:.2f}"
'''
_MONEY_ROUNDING = '''\
"""Decimal text to cents."""

from decimal import Decimal


def to_cents(amount):
    """Cents of an amount, half a cent rounded away from zero."""
    return int(Decimal(str(amount)) * 100)
'''
_TESTS = """\
import pytest

from money import Money


def test_adding():
    assert Money("1.10") + Money("2.20") == Money("3.30")


def test_currencies_do_not_mix():
    with pytest.raises(ValueError):
        Money(1, "EUR") + Money(1, "USD")


def test_even_split():
    assert Money(9).split(3) == [Money(3)] * 3
"""
_HIDDEN = """\


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
"""
_ISSUE = """\
Cents get lost, and a euro equals a dollar

Three problems in one: Money(10).split(3) adds up to 9.99; Money("0.125") has 12 cents instead of 13 (half a cent
rounds away from zero);
and Money(1, "EUR") == Money(1, "USD") is True.
"""
RECIPE = Recipe(
    name="money",
    split="train",
    difficulty=4,
    issue=_ISSUE,
    files={"money/__init__.py": _MONEY___INIT, "money/amount.py": _MONEY_AMOUNT, "money/rounding.py": _MONEY_ROUNDING},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_split_loses_nothing", "test_half_a_cent_rounds_away_from_zero", "test_currency_is_part_of_equality"),
    candidates=(
        (
            Edit(
                "money/amount.py",
                "        return [self._of(self.cents // parts) for _ in range(parts)]\n",
                (
                    "        share, left = divmod(self.cents, parts)\n"
                    "        return [self._of(share + (index < left)) for index in range(parts)]\n"
                ),
            ),
            Edit(
                "money/amount.py",
                "self.cents == other.cents\n",
                "(self.cents, self.currency) == (other.cents, other.currency)\n",
            ),
            Edit("money/rounding.py", "from decimal import Decimal\n", "from decimal import ROUND_HALF_UP, Decimal\n"),
            Edit(
                "money/rounding.py",
                "    return int(Decimal(str(amount)) * 100)\n",
                ('    return int((Decimal(str(amount)) * 100).quantize(Decimal("1"), rounding=ROUND_HALF_UP))\n'),
            ),
        ),
        (
            Edit(
                "money/amount.py",
                "        return [self._of(self.cents // parts) for _ in range(parts)]\n",
                (
                    "        share, left = divmod(self.cents, parts)\n"
                    "        return [self._of(share + (index < left)) for index in range(parts)]\n"
                ),
            ),
            Edit(
                "money/amount.py",
                "self.cents == other.cents\n",
                "(self.cents, self.currency) == (other.cents, other.currency)\n",
            ),
            Edit(
                "money/rounding.py",
                "    return int(Decimal(str(amount)) * 100)\n",
                "    return round(Decimal(str(amount)) * 100)\n",
            ),
        ),
        (
            Edit(
                "money/amount.py",
                "        return [self._of(self.cents // parts) for _ in range(parts)]\n",
                (
                    "        share, left = divmod(self.cents, parts)\n"
                    "        return [self._of(share + (index < left)) for index in range(parts)]\n"
                ),
            ),
            Edit("money/rounding.py", "from decimal import Decimal\n", "from decimal import ROUND_HALF_UP, Decimal\n"),
            Edit(
                "money/rounding.py",
                "    return int(Decimal(str(amount)) * 100)\n",
                ('    return int((Decimal(str(amount)) * 100).quantize(Decimal("1"), rounding=ROUND_HALF_UP))\n'),
            ),
        ),
        (
            Edit(
                "money/amount.py",
                "        return [self._of(self.cents // parts) for _ in range(parts)]\n",
                ("        return [self._of(round(self.cents / parts)) for _ in range(parts)]\n"),
            ),
            Edit(
                "money/amount.py",
                "self.cents == other.cents\n",
                "(self.cents, self.currency) == (other.cents, other.currency)\n",
            ),
            Edit("money/rounding.py", "from decimal import Decimal\n", "from decimal import ROUND_HALF_UP, Decimal\n"),
            Edit(
                "money/rounding.py",
                "    return int(Decimal(str(amount)) * 100)\n",
                ('    return int((Decimal(str(amount)) * 100).quantize(Decimal("1"), rounding=ROUND_HALF_UP))\n'),
            ),
        ),
    ),
)
