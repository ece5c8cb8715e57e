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
# Hidden from the agent from here on: the task's test patch appends it.


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
