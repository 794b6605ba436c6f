"""Amounts are whole cents, so that sums are exact."""

from decimal import ROUND_HALF_UP, Decimal


def parse(text):
    """Cents in a price such as "19.99"."""
    return nearest(Decimal(text) * 100)


def percent(cents, rate):
    """That many percent of an amount, to the nearest cent."""
    return nearest(Decimal(cents) * rate / 100)


def nearest(amount):
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def show(cents):
    """An amount for people."""
    return f"{cents // 100}.{cents % 100:02}"
