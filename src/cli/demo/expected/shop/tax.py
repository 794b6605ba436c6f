"""Value added tax."""

from shop import money

PERCENT = 19


def on(net):
    """Cents of tax on a net amount."""
    return money.percent(net, PERCENT)
