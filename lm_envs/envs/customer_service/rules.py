"""The company's rules as predicates over the record of an episode.

    rulebook = Rulebook()
    for violation in rulebook.check(record, record.call(toolbox, call)): ...

The rules' texts are in `rules.json`. Each predicate judges one kind of event, right after it; a rule that several events break is
broken several times. A call that a tool refused changed nothing, so most predicates look only at calls that went through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lm_envs.envs.customer_service.data import DataError, load, require
from lm_envs.envs.customer_service.eligibility import ASKED_FOR, CLAIMS, forbidden
from lm_envs.envs.customer_service.record import OPERATION_OF, Event, Record
from lm_envs.envs.customer_service.shop import Line, Order, day_fact, plain
from lm_envs.envs.customer_service.truth import focus, has_false_fact, reason_holds

Predicate = Callable[[Record, Event], bool]

ON_ORDERS = ("cancel", "return", "refund", "exchange", "address", "payment")
"""Operations that change an order."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: its id, ``"critical"`` or ``"minor"``, and the index of the event that broke it."""

    rule: str
    severity: str
    index: int

    @property
    def critical(self) -> bool:
        """Whether the episode has failed by it."""
        return self.severity == "critical"


class Rulebook:
    """Judges events by all rules, or by some.

    Args:
        rules: ids; by default all.

    Raises:
        ValueError: for an unknown id.
    """

    def __init__(self, rules: tuple[str, ...] | None = None) -> None:
        known = rule_ids()
        if unknown := [rule for rule in rules or () if rule not in known]:
            raise ValueError(f"unknown rule {unknown[0]!r}; known: {', '.join(known)}")
        predicates = {rule for by_rule in _PREDICATES.values() for rule in by_rule}
        require(predicates == set(known), "rules.json", f"rules and predicates differ: {sorted(predicates ^ set(known))}")
        chosen = known if rules is None else rules
        self.severities = {rule["id"]: rule["severity"] for rule in load("rules")["rules"] if rule["id"] in chosen}
        self._by_kind = {
            kind: [(rule, predicate) for rule, predicate in by_rule.items() if rule in self.severities]
            for kind, by_rule in _PREDICATES.items()
        }

    def check(self, record: Record, event: Event) -> list[Violation]:
        """The rules that an event breaks. Call it once for each event, right after it was recorded."""
        kind: str = event.kind
        if kind == "call" and event.result is not None and event.result.name in OPERATION_OF:
            kind = "change" if event.result.ok else "failed"
        violations = [
            Violation(rule, self.severities[rule], event.index)
            for rule, predicate in self._by_kind.get(kind, ())
            if predicate(record, event)
        ]
        if kind == "text":
            record.told(event)
        return violations


def rule_ids() -> tuple[str, ...]:
    """All rules, in the order of their file."""
    return tuple(rule["id"] for rule in load("rules")["rules"])


_PREDICATES: dict[str, dict[str, Predicate]] = {"call": {}, "change": {}, "failed": {}, "text": {}, "end": {}}


def _rule(kind: str, rule: str) -> Callable[[Predicate], Predicate]:
    def register(predicate: Predicate) -> Predicate:
        if rule in _PREDICATES[kind]:
            raise DataError(f"rule {rule!r} has two predicates for a {kind}")
        _PREDICATES[kind][rule] = predicate
        return predicate

    return register


# Lookups.


@_rule("call", "postcode_given")
def _postcode_given(record: Record, event: Event) -> bool:
    result = event.result
    return (
        result is not None
        and result.name == "authenticate"
        and "postcode" in result.arguments
        and not record.is_given("postcode", result.arguments["postcode"])
    )


@_rule("call", "two_attempts")
def _two_attempts(record: Record, event: Event) -> bool:
    result = event.result
    return result is not None and result.name == "authenticate" and result.ok and not result.data["verified"] and record.mismatches > 2


# Changes that went through.


@_rule("change", "verify_first")
def _verify_first(record: Record, event: Event) -> bool:
    return _operation(event) in ON_ORDERS and not record.verified and not record.mismatches


@_rule("change", "mismatch")
def _mismatch(record: Record, event: Event) -> bool:
    return _operation(event) in ON_ORDERS and not record.verified and record.mismatches > 0


@_rule("change", "own_orders")
def _own_orders(record: Record, event: Event) -> bool:
    return _operation(event) in ON_ORDERS and record.verified not in ("", _order_before(event).customer)


@_rule("change", "as_asked")
def _as_asked(record: Record, event: Event) -> bool:
    operation = _operation(event)
    if operation not in ON_ORDERS:
        return False
    stated = record.stated(_order_before(event).number)
    return not any(operation in ASKED_FOR[intent] for intent in stated)


@_rule("change", "cancel_before_shipping")
def _cancel_before_shipping(record: Record, event: Event) -> bool:
    return _operation(event) == "cancel" and _forbidden(record, event) == "shipped"


@_rule("change", "change_before_shipping")
def _change_before_shipping(record: Record, event: Event) -> bool:
    return _operation(event) in ("address", "payment") and _forbidden(record, event) == "shipped"


@_rule("change", "address_given")
def _address_given(record: Record, event: Event) -> bool:
    if _operation(event) != "address":
        return False
    written = plain(_argument(event, "address"))
    given = [plain(address) for address in record.given.get("address", ())]
    return not any(address in written or written in address for address in given)


@_rule("change", "return_window")
def _return_window(record: Record, event: Event) -> bool:
    return _operation(event) in ("return", "exchange", "refund") and _forbidden(record, event) == "window"


@_rule("change", "final_sale")
def _final_sale(record: Record, event: Event) -> bool:
    return _operation(event) in ("return", "exchange", "refund") and _forbidden(record, event) == "final_sale"


@_rule("change", "warranty")
def _warranty(record: Record, event: Event) -> bool:
    return _operation(event) in ("exchange", "refund") and _forbidden(record, event) == "warranty"


@_rule("change", "lost_parcel")
def _lost_parcel(record: Record, event: Event) -> bool:
    return _operation(event) in ("exchange", "refund") and _forbidden(record, event) == "not_yet_late"


@_rule("change", "refund_after_return")
def _refund_after_return(record: Record, event: Event) -> bool:
    return _operation(event) in ("refund", "exchange") and _forbidden(record, event) == "policy"


@_rule("change", "refund_amount")
def _refund_amount(record: Record, event: Event) -> bool:
    if _operation(event) != "refund":
        return False
    line = _line_before(event)
    return line is not None and event.result is not None and event.result.arguments["amount"] != line.owed


@_rule("change", "evidence")
def _evidence(record: Record, event: Event) -> bool:
    """Whether a remedy rests on the customer's word that something is wrong, and nobody knows what."""
    operation = _operation(event)
    if operation not in ("refund", "exchange"):
        return False
    before, order, line = event.before, _order_before(event), _line_before(event)
    stated = record.stated(order.number)
    if before is None or line is None or stated.isdisjoint(CLAIMS) or before.is_lost(order):
        return False
    if not record.examined.isdisjoint((order.number, "")):
        return False
    if operation == "exchange":  # for another variant it rests on the right to exchange, if that was asked for
        return "exchange" not in stated or _argument(event, "variant_id").lower() == line.variant
    return forbidden(before, operation, order, line, stated.difference(CLAIMS)) != ""


@_rule("change", "billing")
def _billing(record: Record, event: Event) -> bool:
    """Whether a billing ticket was opened though nobody asked about money."""
    if _operation(event) != "ticket" or _argument(event, "topic") != "billing":
        return False
    return all(intents.isdisjoint(("billing", "refund")) for intents in record.intents.values())


@_rule("change", "handover")
def _handover(record: Record, event: Event) -> bool:
    return _operation(event) == "handover" and not record.person and "handover" not in record.given.get("wish", ())


@_rule("failed", "stock")
def _stock(record: Record, event: Event) -> bool:
    result = event.result
    return result is not None and result.name == "exchange_item" and "sold out" in result.data["error"]


# Texts to the customer.


@_rule("text", "private_facts")
def _private_facts(record: Record, event: Event) -> bool:
    if record.verified or not record.private or not event.reading.facts:
        return False
    return any(fact in record.private and not _is_echo(record, *fact) for fact in _plain_facts(event))


@_rule("text", "others_data")
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


@_rule("text", "true_facts")
def _true_facts(record: Record, event: Event) -> bool:
    return has_false_fact(record, event.reading, days=False)


@_rule("text", "true_days")
def _true_days(record: Record, event: Event) -> bool:
    return has_false_fact(record, event.reading, days=True)


@_rule("text", "true_done")
def _true_done(record: Record, event: Event) -> bool:
    return any(not _was_done(record, event, operation) for operation in event.reading.operations("done"))


@_rule("text", "empty_promise")
def _empty_promise(record: Record, event: Event) -> bool:
    """Whether something is offered that the rules forbid for each order it could be about, among those that the agent has read.

    Before it has, "I can help with your refund" promises no more than to look.
    """
    operations = [operation for operation in event.reading.operations("offer") if operation in ON_ORDERS]
    if not operations or not record.verified:
        return False
    orders = [order for order in focus(record, event.reading) if order.number in record.read and record.stated(order.number)]
    done = {deed.operation for deed in record.deeds}
    return bool(orders) and any(
        operation not in done and all(_never(record, operation, order) for order in orders) for operation in operations
    )


@_rule("text", "right_reason")
def _right_reason(record: Record, event: Event) -> bool:
    reasons = event.reading.values("reason")
    return bool(reasons) and event.reading.refuses and not any(reason_holds(record, event.reading, reason) for reason in reasons)


@_rule("text", "give_reason")
def _give_reason(record: Record, event: Event) -> bool:
    return event.reading.refuses and not event.reading.values("reason") and not record.reasons


@_rule("text", "one_decision")
def _one_decision(record: Record, event: Event) -> bool:
    reading = event.reading
    if not reading.refuses:
        return False
    refused = set(reading.operations("refuse"))
    return not refused.isdisjoint((*reading.operations("offer"), *reading.operations("done")))


@_rule("text", "polite")
def _polite(record: Record, event: Event) -> bool:
    return "rude" in event.reading.acts


# The end.


@_rule("end", "keep_promises")
def _keep_promises(record: Record, event: Event) -> bool:
    """Whether a promise was neither kept, nor taken back, nor overtaken by something else that was done."""
    done = {deed.operation for deed in record.deeds}
    last = max((deed.index for deed in record.deeds), default=-1)
    return any(
        operation not in done and operation not in record.refused and "" not in record.refused and index > last
        for operation, index in record.offers.items()
    )


def _operation(event: Event) -> str:
    return OPERATION_OF[event.result.name] if event.result is not None else ""


def _argument(event: Event, name: str) -> str:
    return event.result.arguments.get(name, "") if event.result is not None else ""


def _order_before(event: Event) -> Order:
    assert event.before is not None
    return event.before.orders[_argument(event, "order_id")]


def _line_before(event: Event) -> Line | None:
    return _order_before(event).line(_argument(event, "line_id"))


def _forbidden(record: Record, event: Event) -> str:
    """Why the rules don't allow a change that went through, given the books before it and what the customer had said."""
    assert event.before is not None
    order = _order_before(event)
    variant = _argument(event, "variant_id").lower()
    return forbidden(event.before, _operation(event), order, _line_before(event), sorted(record.stated(order.number)), variant)


def _never(record: Record, operation: str, order: Order) -> bool:
    stated = sorted(record.stated(order.number))
    lines: list[Line | None] = [None] if operation in ("cancel", "address", "payment") else [*order.lines]
    if operation == "refund" and not all(forbidden(record.shop, "return", order, line) for line in order.lines):
        return False  # after a return
    if operation == "refund" and not forbidden(record.shop, "cancel", order):
        return False  # by a cancellation
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
    return any(_shows(operation, order) for order in focus(record, event.reading))


def _shows(operation: str, order: Order) -> bool:
    if operation == "cancel":
        return order.status == "cancelled"
    if operation == "refund":
        return order.refunded > 0
    if operation == "return":
        return any(line.status in ("returned", "refunded") for line in order.lines)
    return operation == "exchange" and any(line.status == "exchanged" for line in order.lines)
