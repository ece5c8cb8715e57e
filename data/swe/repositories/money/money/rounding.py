"""Decimal text to cents."""

from decimal import ROUND_HALF_UP, Decimal


def to_cents(amount):
    """Cents of an amount, half a cent rounded away from zero."""
    return int((Decimal(str(amount)) * 100).quantize(Decimal("1"), rounding=ROUND_HALF_UP))
