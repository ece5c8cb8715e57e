"""The repository bankaccount: accounts and transfers between them."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Accounts and transfers between them."""


class InsufficientFunds(Exception):
    """The balance is too small."""


class Account:
    def __init__(self, owner, balance=0):
        self.owner = owner
        self.balance = balance

    def deposit(self, amount):
        if amount < 0:
            raise ValueError("the amount must be positive")
        self.balance += amount

    def withdraw(self, amount):
        if amount <= 0:
            raise ValueError("the amount must be positive")
        if amount >= self.balance:
            raise InsufficientFunds(self.owner)
        self.balance -= amount


def transfer(source, target, amount):
    """Move money; when it fails, neither balance has changed."""
    target.deposit(amount)
    source.withdraw(amount)
'''
_TESTS = """\
import pytest

from bankaccount import Account, InsufficientFunds, transfer


def test_deposit_and_withdraw():
    account = Account("ada", 10)
    account.deposit(5)
    account.withdraw(3)
    assert account.balance == 12


def test_too_little_money():
    with pytest.raises(InsufficientFunds):
        Account("ada", 10).withdraw(11)


def test_transfer():
    one, two = Account("a", 10), Account("b")
    transfer(one, two, 4)
    assert (one.balance, two.balance) == (6, 4)
"""
_HIDDEN = """\


def test_a_failed_transfer_changes_nothing():
    one, two = Account("a", 10), Account("b", 1)
    with pytest.raises(InsufficientFunds):
        transfer(one, two, 50)
    assert (one.balance, two.balance) == (10, 1)


def test_the_whole_balance_can_go():
    account = Account("ada", 100)
    account.withdraw(100)
    assert account.balance == 0


def test_zero_is_not_positive():
    with pytest.raises(ValueError):
        Account("ada").deposit(0)


def test_a_negative_transfer_changes_nothing():
    one, two = Account("a", 10), Account("b", 1)
    with pytest.raises(ValueError):
        transfer(one, two, -5)
    assert (one.balance, two.balance) == (10, 1)
"""
_ISSUE = """\
A failed transfer creates money; the whole balance cannot be withdrawn

transfer() of more than the source has raises InsufficientFunds, but the target has the money all the same.
withdraw(100) from an account with exactly 100 raises as well. And deposit(0) is accepted although zero is not
positive.
"""
RECIPE = Recipe(
    name="bankaccount",
    split="train",
    difficulty=4,
    issue=_ISSUE,
    files={"bankaccount.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_a_failed_transfer_changes_nothing", "test_the_whole_balance_can_go", "test_zero_is_not_positive"),
    candidates=(
        (
            Edit("bankaccount.py", "        if amount < 0:\n", "        if amount <= 0:\n"),
            Edit("bankaccount.py", "if amount >= self.balance:", "if amount > self.balance:"),
            Edit(
                "bankaccount.py",
                "    target.deposit(amount)\n    source.withdraw(amount)\n",
                "    source.withdraw(amount)\n    target.deposit(amount)\n",
            ),
        ),
        (
            Edit("bankaccount.py", "        if amount < 0:\n", "        if amount <= 0:\n"),
            Edit("bankaccount.py", "if amount >= self.balance:", "if amount > self.balance:"),
        ),
        (
            Edit("bankaccount.py", "        if amount < 0:\n", "        if amount <= 0:\n"),
            Edit(
                "bankaccount.py",
                "    target.deposit(amount)\n    source.withdraw(amount)\n",
                "    source.withdraw(amount)\n    target.deposit(amount)\n",
            ),
        ),
        (
            Edit("bankaccount.py", "if amount >= self.balance:", "if amount > self.balance:"),
            Edit(
                "bankaccount.py",
                "    target.deposit(amount)\n    source.withdraw(amount)\n",
                ("    if amount <= source.balance:\n        source.withdraw(amount)\n        target.deposit(amount)\n"),
            ),
            Edit("bankaccount.py", "        if amount < 0:\n", "        if amount <= 0:\n"),
        ),
    ),
)
