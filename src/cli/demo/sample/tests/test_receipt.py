"""What the accountant complained about."""

from shop.cart import Cart
from shop.receipt import render


def test_no_cent_is_lost():
    cart = Cart(discount=10)
    cart.add("kettle", "19.99", quantity=2)
    cart.add("filters", "4.35", quantity=3)
    assert render(cart).endswith("56.80")
