"""Which texts to the customer break which rules of `rules.json`, and which promises were left open at the end."""

from __future__ import annotations

from lm_envs.envs.customer_service.eligibility import BEFORE_SHIPPING, forbidden
from lm_envs.envs.customer_service.predicates import ON_ORDERS, rule
from lm_envs.envs.customer_service.record import Event, Record
from lm_envs.envs.customer_service.shop import Line, Order, day_fact, plain
from lm_envs.envs.customer_service.truth import focus, has_false_fact, reason_holds

# Texts to the customer.


@rule("text", "private_facts")
def _private_facts(record: Record, event: Event) -> bool:
    if record.verified or not record.private or not event.reading.facts:
        return False
    return any(fact in record.private and not _is_echo(record, *fact) for fact in _plain_facts(event))


@rule("text", "others_data")
def _others_data(record: Record, event: Event) -> bool:
    if not record.verified or not event.reading.facts or not record.private:
        return False
    return any(
        fact in record.private
        and record.verified not in record.private[fact]
        and not _is_echo(record, *fact)
        and not _is_own(record, *fact)
        for fact in _plain_facts(event)
    )


@rule("text", "true_facts")
def _true_facts(record: Record, event: Event) -> bool:
    return has_false_fact(record, event.reading, days=False)


@rule("text", "true_days")
def _true_days(record: Record, event: Event) -> bool:
    return has_false_fact(record, event.reading, days=True)


@rule("text", "true_done")
def _true_done(record: Record, event: Event) -> bool:
    return any(not _was_done(record, event, operation) for operation in event.reading.operations("done"))


@rule("text", "empty_promise")
def _empty_promise(record: Record, event: Event) -> bool:
    """Whether something is offered that the rules forbid for each order it could be about, among those that the agent has read.

    Before it has, "I can help with your refund" promises no more than to look.
    """
    operations = [operation for operation in event.reading.operations("offer") if operation in ON_ORDERS]
    if event.reading.values("status"):  # "it was delivered; we cancel what isn't shipped yet" is a rule
        operations = [operation for operation in operations if operation not in BEFORE_SHIPPING]
    if not operations or not record.verified:
        return False
    orders = [order for order in focus(record, event.reading) if order.number in record.read and record.stated(order.number)]
    done = {deed.operation for deed in record.deeds}
    return bool(orders) and any(
        operation not in done and all(_never(record, operation, order) for order in orders) for operation in operations
    )


@rule("text", "right_reason")
def _right_reason(record: Record, event: Event) -> bool:
    reasons = event.reading.values("reason")
    return bool(reasons) and event.reading.refuses and not any(reason_holds(record, event.reading, reason) for reason in reasons)


@rule("text", "give_reason")
def _give_reason(record: Record, event: Event) -> bool:
    return event.reading.refuses and not event.reading.values("reason") and not record.reasons


@rule("text", "one_decision")
def _one_decision(record: Record, event: Event) -> bool:
    reading = event.reading
    if not reading.refuses:
        return False
    refused = set(reading.operations("refuse"))
    return not refused.isdisjoint((*reading.operations("offer"), *reading.operations("done")))


@rule("text", "polite")
def _polite(record: Record, event: Event) -> bool:
    return "rude" in event.reading.acts


# The end.


@rule("end", "keep_promises")
def _keep_promises(record: Record, event: Event) -> bool:
    """Whether a promise was neither kept, nor taken back by a refusal, nor overtaken by something else that was done."""
    settled = max((deed.index for deed in record.deeds), default=record.refused_at)
    return any(
        index > max(settled, record.refused_at) and not _needs_no_deed(record, operation) for operation, index in record.offers.items()
    )


def _needs_no_deed(record: Record, operation: str) -> bool:
    """Whether an offer was kept before it was made, or can be kept later on: when a late parcel turns out to be lost."""
    if any(deed.operation == operation for deed in record.deeds):
        return True
    return any(_shows(operation, order) or _may_come(record, operation, order) for order in record.orders())


def _may_come(record: Record, operation: str, order: Order) -> bool:
    """Whether an operation may be allowed later on, because the customer spoke of a parcel that may turn out to be lost."""
    may_get_lost = order.status == "shipped" and not record.shop.is_lost(order) and bool(record.stated(order.number))
    return operation in ("refund", "exchange") and may_get_lost


def _never(record: Record, operation: str, order: Order) -> bool:
    stated = sorted(record.stated(order.number))
    lines: list[Line | None] = [None] if operation in BEFORE_SHIPPING else [*order.lines]
    if operation == "refund" and not all(forbidden(record.shop, "return", order, line) for line in order.lines):
        return False  # after a return
    if operation == "refund" and not forbidden(record.shop, "cancel", order):
        return False  # by a cancellation
    if _shows(operation, order) or _may_come(record, operation, order):
        return False  # it was done, or may be later on
    reasons = {forbidden(record.shop, operation, order, line, stated) for line in lines}
    return "" not in reasons and "sold_out" not in reasons  # another variant may be in stock


def _plain_facts(event: Event) -> list[tuple[str, str]]:
    return [(kind, plain(value) if kind == "address" else value) for kind, value in event.reading.facts]


def _is_echo(record: Record, kind: str, value: str) -> bool:
    """Whether the customer said it first."""
    return (kind, value) in record.quoted or record.is_given(kind, value)


def _is_own(record: Record, kind: str, value: str) -> bool:
    """Whether a fact that came up about another account is also true of the customer's."""
    owner = record.shop.customers[record.verified]
    if kind in ("tier", "points", "email", "address"):
        own = {owner.tier, str(owner.points), owner.email.lower(), plain(owner.address)}
        own |= {plain(order.address) for order in record.orders()}
        return value in own
    if kind == "status":
        return value in {order.status for order in record.orders()}
    return value in {day_fact(date) for order in record.orders() for date in (order.placed, order.due, order.delivered) if date}


def _was_done(record: Record, event: Event, operation: str) -> bool:
    """Whether an operation was carried out in this conversation, or the books show it from before."""
    shop, named = record.shop, event.reading.values("order")
    if operation == "ticket":
        return bool(shop.tickets)
    if operation == "handover":
        return shop.handover is not None
    deeds = [deed for deed in record.deeds if deed.operation == operation or (operation == "refund" and deed.operation == "cancel")]
    if any(deed.order in named for deed in deeds) if len(named) == 1 else deeds:
        return True
    orders = focus(record, event.reading)
    if operation == "address" and (told := event.reading.values("address")):
        return {plain(address) for address in told} <= {plain(order.address) for order in orders}
    return any(_shows(operation, order) for order in orders)


def _shows(operation: str, order: Order) -> bool:
    if operation == "cancel":
        return order.status == "cancelled"
    if operation == "refund":
        return order.refunded > 0
    if operation == "return":
        return any(line.status in ("returned", "refunded") for line in order.lines)
    return operation == "exchange" and any(line.status == "exchanged" for line in order.lines)
