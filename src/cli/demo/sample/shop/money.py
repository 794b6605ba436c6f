"""Amounts are whole cents, so that sums are exact."""


def parse(text):
    """Cents in a price such as "19.99"."""
    return int(float(text) * 100)


def show(cents):
    """An amount for people."""
    return f"{cents // 100}.{cents % 100:02}"
