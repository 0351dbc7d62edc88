"""The shop's books: customers, orders, stock, tickets.

Money is whole pence here, and text such as "29.00" wherever somebody reads it. Only operations of :mod:`tools` change the books.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

from lm_envs.envs.customer_service.catalogue import Catalogue, Product, catalogue, money

ORDER_STATUSES = ("pending", "processed", "shipped", "delivered", "returned", "cancelled")
LINE_STATUSES = ("ordered", "returned", "refunded", "exchanged")
TIERS = ("standard", "silver", "gold")
TOPICS = ("billing", "delivery", "technical", "complaint", "other")
"""What a ticket can be about."""

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
DAYS_A_MONTH = 30  # for warranties, so that they can be checked with the days since delivery


@dataclass(frozen=True, slots=True)
class Policy:
    """Numbers in which shops differ.

    Attributes:
        window: days after delivery within which goods can be returned.
        lost: days after the due date from which a parcel counts as lost.
        refund_days: days until a refund arrives.
        silver: points from which a customer is silver.
        gold: points from which a customer is gold.
    """

    window: int = 30
    lost: int = 7
    refund_days: int = 5
    silver: int = 500
    gold: int = 1500


@dataclass(frozen=True, slots=True)
class Payment:
    """A means of payment on an account: id ``"P1"``, label ``"card ending 4821"``."""

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Customer:
    """An account. No tool changes it."""

    id: str
    name: str
    email: str
    postcode: str
    address: str
    tier: str = "standard"
    points: int = 0
    payments: Mapping[str, Payment] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Charge:
    """An entry on an order's bill: ``Charge("delivery", 390)``."""

    label: str
    amount: int


@dataclass(slots=True)
class Line:
    """A line of an order.

    Attributes:
        id: ``"1"``.
        product: a product's id.
        variant: a variant's id.
        quantity: pieces.
        price: pence for the whole line.
        status: one of :data:`LINE_STATUSES`.
        refunded: pence paid back for it.
    """

    id: str
    product: str
    variant: str
    quantity: int
    price: int
    status: str = "ordered"
    refunded: int = 0

    @property
    def owed(self) -> int:
        """Pence that a refund of the line would have to pay."""
        return max(0, self.price - self.refunded)

    def copy(self) -> Line:
        """A line of its own."""
        return Line(*_of_line(self))


@dataclass(slots=True)
class Order:
    """An order.

    Attributes:
        number: digits, ``"4411"``.
        customer: the owner's id.
        lines: in order.
        status: one of :data:`ORDER_STATUSES`.
        placed: the day it was placed.
        due: the day it is, or was, to arrive.
        delivered: the day it arrived, if it did.
        address: where it goes.
        payment: id of a means of payment of the owner.
        refunded: pence paid back in all.
        charges: what was charged; by default the goods' prices.
    """

    number: str
    customer: str
    lines: list[Line]
    status: str
    placed: datetime.date
    due: datetime.date
    delivered: datetime.date | None
    address: str
    payment: str
    refunded: int = 0
    charges: tuple[Charge, ...] = ()

    @property
    def goods(self) -> int:
        """Pence for all lines."""
        return sum(line.price for line in self.lines)

    @property
    def paid(self) -> int:
        """Pence charged in all."""
        return sum(charge.amount for charge in self.charges) if self.charges else self.goods

    def line(self, line_id: str) -> Line | None:
        """A line by its id."""
        return next((line for line in self.lines if line.id == line_id), None)

    def copy(self) -> Order:
        """An order of its own."""
        order = Order(*_of_order(self))
        order.lines = [line.copy() for line in self.lines]
        return order


# All fields of a line and of an order, for copies: dataclasses.replace takes several times as long.
_of_line, _of_order = attrgetter(*Line.__slots__), attrgetter(*Order.__slots__)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A case for another department; topic is one of :data:`TOPICS`."""

    topic: str
    summary: str


@dataclass(slots=True)
class Shop:
    """The state that tools read and change.

    Attributes:
        today: the date of the conversation.
        customers: by id.
        orders: by number.
        stock: by variant, where it differs from the usual one.
        tickets: opened in this conversation.
        handover: why the conversation was handed to a person, if it was.
        policy: the numbers in this shop's rules.
        catalogue: shared by all shops.
    """

    today: datetime.date
    customers: Mapping[str, Customer] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    stock: dict[str, int] = field(default_factory=dict)
    tickets: list[Ticket] = field(default_factory=list)
    handover: str | None = None
    policy: Policy = field(default_factory=Policy)
    catalogue: Catalogue = field(default_factory=catalogue, repr=False)

    def copy(self) -> Shop:
        """Books of their own; what no tool changes is shared."""
        orders = {number: order.copy() for number, order in self.orders.items()}
        return replace(self, orders=orders, stock=dict(self.stock), tickets=list(self.tickets))

    def in_stock(self, variant: str) -> int:
        """Pieces of a variant."""
        count = self.stock.get(variant)
        return self.catalogue.variants[variant].stock if count is None else count

    def orders_of(self, customer: str) -> list[Order]:
        """A customer's orders."""
        return [order for order in self.orders.values() if order.customer == customer]

    def days_late(self, order: Order) -> int:
        """Days since an undelivered order was due; 0 if it isn't late."""
        return max(0, (self.today - order.due).days) if order.status in ("pending", "processed", "shipped") else 0

    def days_since_delivery(self, order: Order) -> int | None:
        """Days since delivery, if it was delivered."""
        return (self.today - order.delivered).days if order.delivered else None

    def is_lost(self, order: Order) -> bool:
        """Whether a parcel counts as lost."""
        return order.status == "shipped" and self.days_late(order) >= self.policy.lost

    def in_window(self, order: Order) -> bool:
        """Whether an order was delivered, and not too long ago to be returned."""
        days = self.days_since_delivery(order)
        return days is not None and days <= self.policy.window

    def warranty_days(self, product: Product) -> int:
        """Days after delivery during which a product is under warranty."""
        return product.warranty * DAYS_A_MONTH

    def in_warranty(self, order: Order, line: Line) -> bool:
        """Whether a line's product was delivered, and is still under warranty."""
        days = self.days_since_delivery(order)
        return days is not None and days <= self.warranty_days(self.catalogue.products[line.product])

    def effects(self) -> dict[str, Any]:
        """All that WRITE tools can change, in one form for equal states: JSON-able, whatever the order of events or the spelling.

        What is free text counts by what it is for: tickets by topic, a handover by whether there was one.
        """
        variants = self.catalogue.variants
        return {
            "orders": {
                number: {
                    "status": order.status,
                    "address": plain(order.address),
                    "payment": order.payment,
                    "refunded": order.refunded,
                    "lines": {line.id: [line.variant, line.quantity, line.status, line.refunded] for line in order.lines},
                }
                for number, order in sorted(self.orders.items())
            },
            "stock": {variant: count for variant, count in sorted(self.stock.items()) if count != variants[variant].stock},
            "tickets": sorted(ticket.topic for ticket in self.tickets),
            "handover": self.handover is not None,
        }

    def faults(self, before: Shop) -> list[str]:
        """What can't be, given the books before any number of tool calls; empty as long as the tools are sound."""
        found = []
        moved: dict[str, int] = {}
        for number, order in self.orders.items():
            old = before.orders.get(number)
            if old is None:
                found.append(f"order {number} came from nowhere")
                continue
            found += _order_faults(order)
            if order.status == "cancelled" != old.status:
                for line in order.lines:
                    moved[line.variant] = moved.get(line.variant, 0) + line.quantity
            for line, old_line in zip(order.lines, old.lines, strict=True):
                if line.status == "exchanged" != old_line.status:
                    moved[line.variant] = moved.get(line.variant, 0) - line.quantity
        found += [f"order {number} is gone" for number in before.orders if number not in self.orders]
        for variant in {*self.stock, *before.stock, *moved}:
            if self.in_stock(variant) < 0 or self.in_stock(variant) != before.in_stock(variant) + moved.get(variant, 0):
                found.append(f"stock of {variant} doesn't add up")
        return found


def _order_faults(order: Order) -> list[str]:
    found = []
    if order.status not in ORDER_STATUSES or any(line.status not in LINE_STATUSES for line in order.lines):
        found.append(f"order {order.number} has an unknown status")
    if not 0 <= order.refunded <= order.paid:
        found.append(f"order {order.number}: {money(order.refunded)} paid back of {money(order.paid)}")
    if order.status != "cancelled" and sum(line.refunded for line in order.lines) != order.refunded:
        found.append(f"order {order.number}: its lines' refunds don't add up")
    if order.status == "cancelled" and order.refunded != order.paid:
        found.append(f"order {order.number} is cancelled, but not paid back")
    if (order.status in ("delivered", "returned")) != (order.delivered is not None):
        found.append(f"order {order.number} is {order.status}, delivered {order.delivered}")
    if order.status == "returned" and not all(line.status in ("returned", "refunded") for line in order.lines):
        found.append(f"order {order.number} is returned, but not all of its lines")
    return found


def plain(text: str) -> str:
    """Text by which addresses and names are compared: lower case, no commas or full stops, single spaces."""
    return " ".join(text.lower().replace(",", " ").replace(".", " ").split())


def plain_postcode(text: str) -> str:
    """A postcode by which postcodes are compared: upper case, no spaces."""
    return "".join(text.upper().split())


def day(date: datetime.date, today: datetime.date) -> str:
    """A date as tools show it: "9 May", with the year if it isn't this one."""
    text = f"{date.day} {MONTHS[date.month - 1]}"
    return text if date.year == today.year else f"{text} {date.year}"


def day_fact(date: datetime.date) -> str:
    """A date as a fact of ``acts.FACTS``: "05-09"."""
    return f"{date.month:02d}-{date.day:02d}"
