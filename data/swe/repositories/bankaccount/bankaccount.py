"""Accounts and transfers between them."""


class InsufficientFunds(Exception):
    """The balance is too small."""


class Account:
    def __init__(self, owner, balance=0):
        self.owner = owner
        self.balance = balance

    def deposit(self, amount):
        if amount <= 0:
            raise ValueError("the amount must be positive")
        self.balance += amount

    def withdraw(self, amount):
        if amount <= 0:
            raise ValueError("the amount must be positive")
        if amount > self.balance:
            raise InsufficientFunds(self.owner)
        self.balance -= amount


def transfer(source, target, amount):
    """Move money; when it fails, neither balance has changed."""
    source.withdraw(amount)
    target.deposit(amount)
