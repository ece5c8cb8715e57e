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
        return isinstance(other, Money) and (self.cents, self.currency) == (other.cents, other.currency)

    def __hash__(self):
        return hash((self.cents, self.currency))

    def split(self, parts):
        """Shares as equal as cents allow; together they are the whole."""
        share, left = divmod(self.cents, parts)
        return [self._of(share + (index < left)) for index in range(parts)]

    def _of(self, cents):
        made = Money(0, self.currency)
        made.cents = cents
        return made

    def _same_currency(self, other):
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix")

    def __repr__(self):
        return f"{self.currency} {self.cents / 100:.2f}"
