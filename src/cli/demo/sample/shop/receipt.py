"""The receipt as it is printed."""

from shop import money, tax


def render(cart):
    rows = [f"{quantity:>3} x {name:<14}{money.show(price):>8}" for name, price, quantity in cart.lines]
    net = cart.net()
    vat = tax.on(net)
    rows.append(f"{'net':<20}{money.show(net):>8}")
    rows.append(f"{'VAT':<20}{money.show(vat):>8}")
    rows.append(f"{'to pay':<20}{money.show(net + vat):>8}")
    return "\n".join(rows)
