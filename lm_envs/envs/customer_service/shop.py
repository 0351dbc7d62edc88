"""The shop's books: customers, stock, orders and their life cycle. What is recorded here is what happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# An order's life: a state, and the states that may follow.
LIFE_CYCLE: dict[str, tuple[str, ...]] = {
    "packed": ("shipped", "cancelled", "refunded"),
    "shipped": ("delivered", "replaced", "refunded"),
    "delivered": ("replaced", "refunded"),
    "cancelled": (),
    "replaced": (),
    "refunded": (),
}
OPERATIONS = ("refund", "replacement", "cancel", "change_address")


class ShopError(Exception):
    """The books do not allow an operation; the message says why, in words for the agent."""


@dataclass(frozen=True)
class Customer:
    """A customer on file."""

    name: str
    postcode: str


@dataclass
class Order:
    """One order of one product.

    Attributes:
        number: four digits, as text.
        customer: key into :attr:`Shop.customers`.
        product: key into :attr:`Shop.stock`.
        price: whole pounds.
        status: a state of :data:`LIFE_CYCLE`.
        address: where it goes.
        due: (day, month) on which the parcel is, or now is, expected; ``None`` once delivered.
        days_late: days since the first promised date, 0 when on time.
        days_since_delivery: ``None`` until delivered.
    """

    number: str
    customer: str
    product: str
    price: int
    status: str
    address: str
    due: tuple[int, str] | None = None
    days_late: int = 0
    days_since_delivery: int | None = None


@dataclass
class Shop:
    """The books."""

    customers: dict[str, Customer]
    stock: dict[str, int]
    orders: dict[str, Order] = field(default_factory=dict)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """The books as plain data; ``dataclasses.asdict`` says the same and takes ten times as long."""
        return {
            "customers": {name: vars(customer) for name, customer in self.customers.items()},
            "stock": self.stock,
            "orders": {number: vars(order) for number, order in self.orders.items()},
        }

    def in_stock(self, product: str) -> bool:
        """Whether another one can be sent."""
        return self.stock[product] > 0

    def record(self, number: str) -> str:
        """What an agent may see of an order; the postcode is not among it."""
        order = self.orders[number]
        parts = [f"Order {order.number}, {order.customer}: {order.product}, £{order.price}", order.status]
        if order.days_since_delivery is not None:
            parts[-1] += f" {order.days_since_delivery} days ago"
        if order.days_late:
            parts.append(f"{order.days_late} days late")
        if order.due is not None:
            parts.append(f"{'now ' if order.days_late else ''}due {order.due[0]} {order.due[1]}")
        parts.append("in stock" if self.in_stock(order.product) else "sold out")
        return ", ".join(parts) + "."

    def matches(self, number: str, postcode: str) -> bool:
        """Whether a postcode is the one on file for an order."""
        return self.customers[self.orders[number].customer].postcode == postcode

    def apply(self, operation: str, number: str, address: str | None = None) -> str:
        """Carry out one of :data:`OPERATIONS` and say what was done.

        Raises:
            ShopError: when the life cycle or the stock does not allow it. Nothing has changed then.
        """
        order = self.orders[number]
        if operation == "refund":
            self._move(order, "refunded")
            return f"Done: £{order.price} refunded."
        if operation == "replacement":
            if not self.in_stock(order.product):
                raise ShopError("sold out")
            self._move(order, "replaced")
            self.stock[order.product] -= 1
            return f"Done: {order.product} sent again."
        if operation == "cancel":
            self._move(order, "cancelled")
            return f"Done: order {number} cancelled."
        if operation == "change_address":
            if order.status != "packed":
                raise ShopError(f"already {order.status}")
            if address is None:
                raise ShopError("no address given")
            order.address = address
            return f"Done: address is now {address}."
        raise ValueError(f"unknown operation {operation!r}; known: {', '.join(OPERATIONS)}")

    @staticmethod
    def _move(order: Order, status: str) -> None:
        if status not in LIFE_CYCLE[order.status]:
            raise ShopError(f"already {order.status}")
        order.status = status
