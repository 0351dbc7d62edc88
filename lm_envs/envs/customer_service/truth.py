"""Which facts an agent may state: what the books say, what the rules say, and what the customer said."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from itertools import combinations

from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.catalogue import pence
from lm_envs.envs.customer_service.record import Record
from lm_envs.envs.customer_service.shop import Order, Shop, day_fact, plain

_MAX_SUMMED = 4  # lines of an order, or refunds, whose partial sums count as true amounts

_COMING = {
    "cancelled": ("cancel",),
    "returned": ("return",),
    "shipped": ("exchange", "address"),
    "delivered": ("exchange", "address"),
    "processed": ("refund", "cancel", "return", "exchange"),
    "pending": ("refund", "ticket", "exchange"),
}
"""Statuses that an operation brings about: "your replacement is shipped" says nothing false about the old order."""


def false_facts(record: Record, reading: Reading) -> list[tuple[str, str]]:
    """The facts of a text to the customer that aren't true. Repeating what the customer said is not stating it.

    Reasons for refusals are no facts in this sense: see :func:`reason_holds`.
    """
    return [fact for fact in sorted(reading.facts) if _is_false(record, reading, fact)]


def has_false_fact(record: Record, reading: Reading, days: bool) -> bool:
    """Whether a text states a false number of days, or with ``days=False`` any other false fact."""
    return any((fact[0] == "days") is days and _is_false(record, reading, fact) for fact in reading.facts)


def _is_false(record: Record, reading: Reading, fact: tuple[str, str]) -> bool:
    kind, value = fact
    return kind in _CHECKS and not _is_quoted(record, reading, fact) and not _CHECKS[kind](record, reading, value)


def _is_quoted(record: Record, reading: Reading, fact: tuple[str, str]) -> bool:
    if fact not in record.quoted or fact[0] in ("status", "tier", "stock", "article"):
        return False
    return not (fact[0] == "amount" and "done_refund" in reading.acts)  # then it is the agent's claim


def _order(record: Record, reading: Reading, value: str) -> bool:
    return value in record.shop.orders


def _amount(record: Record, reading: Reading, value: str) -> bool:
    if not value.replace(".", "", 1).isdecimal():
        return False
    told = pence(value)
    orders = record.orders()
    paid_back = [deed.amount for deed in record.deeds if deed.amount]
    if "done_refund" in reading.acts and paid_back and len(reading.values("amount")) == 1:
        earlier = {order.refunded for order in orders} | {line.refunded for order in orders for line in order.lines}
        return told in earlier or told in _sums(paid_back)
    for order in orders:
        if told in (order.goods, order.paid, order.refunded, order.paid - order.refunded):
            return True
        if told in _sums([line.price for line in order.lines]) or any(told == charge.amount for charge in order.charges):
            return True
        if any(told in (line.owed, line.refunded, line.price // line.quantity) for line in order.lines):
            return True
    products = record.shop.catalogue.products
    looked_at = {line.product for order in orders for line in order.lines} | (record.read & products.keys())
    return told in _sums(paid_back) or any(told == variant.price for product in looked_at for variant in products[product].variants)


def _sums(parts: list[int]) -> set[int]:
    if len(parts) < 2:
        return set(parts)
    parts = parts[:_MAX_SUMMED]
    return {sum(some) for size in range(1, len(parts) + 1) for some in combinations(parts, size)}


def _date(record: Record, reading: Reading, value: str) -> bool:
    shop, policy = record.shop, record.shop.policy
    dates = {shop.today, shop.today + _days(policy.refund_days)}
    for order in record.orders():
        dates |= {order.placed, order.due, order.due + _days(policy.lost)}
        if order.delivered:
            dates |= {order.delivered, order.delivered + _days(policy.window)}
            dates |= {order.delivered + _days(shop.warranty_days(shop.catalogue.products[line.product])) for line in order.lines}
    return value in {day_fact(date) for date in dates}


def _days(count: int) -> datetime.timedelta:
    return datetime.timedelta(days=count)


def _day_count(record: Record, reading: Reading, value: str) -> bool:
    shop, policy = record.shop, record.shop.policy
    counts = {*range(1, policy.refund_days + 1), policy.window, policy.lost}
    for order in record.orders():
        late, until = shop.days_late(order), (order.due - shop.today).days
        counts |= {late, policy.lost - late, late - policy.lost, until}
        if (since := shop.days_since_delivery(order)) is not None:
            counts |= {since, policy.window - since, since - policy.window, (order.due - order.placed).days}
            for line in order.lines:
                warranty = shop.warranty_days(shop.catalogue.products[line.product])
                counts |= {warranty, warranty - since, since - warranty}
    return value in {str(count) for count in counts}


def _status(record: Record, reading: Reading, value: str) -> bool:
    if reading.refuses:  # "once an order has been shipped, it can't be cancelled" is a rule
        return True
    moved = {operation for verb in ("offer", "done") for operation in reading.operations(verb)}
    if not moved.isdisjoint(_COMING.get(value, ())):
        return True
    return value in {order.status for order in focus(record, reading)}


def _tier(record: Record, reading: Reading, value: str) -> bool:
    tiers = {owner.tier for owner in record.owners()}
    return value in tiers or not tiers.isdisjoint(reading.values("tier"))  # "you are silver; gold takes 1500 points"


def _points(record: Record, reading: Reading, value: str) -> bool:
    policy = record.shop.policy
    points = {policy.silver, policy.gold}
    for owner in record.owners():
        points |= {owner.points, policy.silver - owner.points, policy.gold - owner.points}
    return value in {str(count) for count in points}


def _stock(record: Record, reading: Reading, value: str) -> bool:
    shop = record.shop
    products = {line.product for order in record.orders() for line in order.lines}
    products |= {product for product in record.read if product in shop.catalogue.products}
    counts = [shop.in_stock(variant.id) for product in products for variant in shop.catalogue.products[product].variants]
    return any(count > 0 for count in counts) if value == "in" else any(count == 0 for count in counts)


def _email(record: Record, reading: Reading, value: str) -> bool:
    return value in {owner.email.lower() for owner in record.owners()} or record.is_given("email", value)


def _address(record: Record, reading: Reading, value: str) -> bool:
    told = plain(value)
    known = [owner.address for owner in record.owners()]
    known += [order.address for order in record.orders()]
    known += record.given.get("address", ())
    return any(told in plain(address) or plain(address) in told for address in known)


def _article(record: Record, reading: Reading, value: str) -> bool:
    return value in record.shop.catalogue.articles


_CHECKS: dict[str, Callable[[Record, Reading, str], bool]] = {
    "order": _order,
    "amount": _amount,
    "date": _date,
    "days": _day_count,
    "status": _status,
    "tier": _tier,
    "points": _points,
    "stock": _stock,
    "email": _email,
    "address": _address,
    "article": _article,
}


def focus(record: Record, reading: Reading) -> list[Order]:
    """The orders that a text is about: those it names, or else all that the customer has."""
    named = [record.shop.orders[number] for number in reading.values("order") if number in record.shop.orders]
    return named or record.orders()


def reason_holds(record: Record, reading: Reading, reason: str) -> bool:
    """Whether a reason given for a refusal is true of some order that the text may be about."""
    if reason in ("policy", "scope"):
        return True
    if reason == "identity":
        return not record.verified
    if reason == "not_yours":
        return any(order.customer != record.verified for order in _mentioned(record, reading))
    return reason in _REASON_HOLDS and any(_REASON_HOLDS[reason](record.shop, order) for order in focus(record, reading))


def _mentioned(record: Record, reading: Reading) -> Iterable[Order]:
    numbers = {*record.read, *reading.values("order"), *(value for kind, value in record.quoted if kind == "order")}
    return [record.shop.orders[number] for number in numbers if number in record.shop.orders]


_REASON_HOLDS: dict[str, Callable[[Shop, Order], bool]] = {
    "window": lambda shop, order: order.delivered is not None and not shop.in_window(order),
    "shipped": lambda shop, order: order.status in ("shipped", "delivered", "returned"),
    "final_sale": lambda shop, order: any(shop.catalogue.products[line.product].final_sale for line in order.lines),
    "sold_out": lambda shop, order: any(
        shop.in_stock(variant.id) < line.quantity for line in order.lines for variant in shop.catalogue.products[line.product].variants
    ),
    "not_yet_late": lambda shop, order: order.status in ("pending", "processed", "shipped") and not shop.is_lost(order),
    "warranty": lambda shop, order: any(not shop.in_warranty(order, line) for line in order.lines),
}
