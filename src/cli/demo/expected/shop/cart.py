"""What a customer is about to buy."""

from shop import money


class Cart:
    """Lines of a name, a price in cents and a quantity."""

    def __init__(self, discount=0):
        self.discount = discount  # percent
        self.lines = []
        self.currency = "EUR"

    def add(self, name, price, quantity=1):
        self.lines.append((name, money.parse(price), quantity))

    def net(self):
        """Cents to pay before tax."""
        total = sum(price * quantity for _, price, quantity in self.lines)
        return money.percent(total, 100 - self.discount)
