"""Value added tax."""

PERCENT = 19


def on(net):
    """Cents of tax on a net amount."""
    return int(net * PERCENT / 100)
