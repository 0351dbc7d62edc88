"""Which calls break which rules of `rules.json`, given the books before them and what the customer had said."""

from __future__ import annotations

from functools import partial

from lm_envs.envs.customer_service.eligibility import ASKED_FOR, CLAIMS, forbidden
from lm_envs.envs.customer_service.predicates import ON_ORDERS, rule
from lm_envs.envs.customer_service.record import Event, Record
from lm_envs.envs.customer_service.shop import Line, Order, Shop, plain
from lm_envs.envs.customer_service.tools import OPERATION_OF, ToolResult

# Lookups.


@rule("call", "postcode_given")
def _postcode_given(record: Record, event: Event) -> bool:
    result = _result(event)
    if result.name != "authenticate" or "postcode" not in result.arguments:
        return False
    return not record.is_given("postcode", result.arguments["postcode"])


@rule("call", "two_attempts")
def _two_attempts(record: Record, event: Event) -> bool:
    result = _result(event)
    return result.name == "authenticate" and result.ok and not result.data["verified"] and record.mismatches > 2


# Changes that went through.


@rule("change", "verify_first")
def _verify_first(record: Record, event: Event) -> bool:
    return _operation(event) in ON_ORDERS and not record.verified and not record.mismatches


@rule("change", "mismatch")
def _mismatch(record: Record, event: Event) -> bool:
    return _operation(event) in ON_ORDERS and not record.verified and record.mismatches > 0


@rule("change", "own_orders")
def _own_orders(record: Record, event: Event) -> bool:
    return _operation(event) in ON_ORDERS and record.verified not in ("", _order_before(event).customer)


@rule("change", "as_asked")
def _as_asked(record: Record, event: Event) -> bool:
    operation = _operation(event)
    if operation not in ON_ORDERS:
        return False
    stated = record.stated(_order_before(event).number)
    return not any(operation in ASKED_FOR[intent] for intent in stated)


_FORBIDDEN = {
    "cancel_before_shipping": (("cancel",), "shipped"),
    "change_before_shipping": (("address", "payment"), "shipped"),
    "return_window": (("return", "exchange", "refund"), "window"),
    "final_sale": (("return", "exchange", "refund"), "final_sale"),
    "warranty": (("exchange", "refund"), "warranty"),
    "lost_parcel": (("exchange", "refund"), "not_yet_late"),
    "refund_after_return": (("exchange", "refund"), "policy"),
}
"""By rule: which operations break it, and the reason for which :func:`eligibility.forbidden` doesn't allow them then."""


def _forbids(operations: tuple[str, ...], reason: str, record: Record, event: Event) -> bool:
    return _operation(event) in operations and _forbidden(record, event) == reason


for _name, (_operations, _reason) in _FORBIDDEN.items():
    rule("change", _name)(partial(_forbids, _operations, _reason))  # no closure: environments are pickled with their rules


@rule("change", "address_given")
def _address_given(record: Record, event: Event) -> bool:
    if _operation(event) != "address":
        return False
    written = plain(_argument(event, "address"))
    given = [plain(address) for address in record.given.get("address", ())]
    return not any(address in written or written in address for address in given)


@rule("change", "refund_amount")
def _refund_amount(record: Record, event: Event) -> bool:
    if _operation(event) != "refund":
        return False
    line = _line_before(event)
    return line is not None and _result(event).arguments["amount"] != line.owed


@rule("change", "evidence")
def _evidence(record: Record, event: Event) -> bool:
    """Whether a remedy rests on the customer's word that something is wrong, and nobody knows what."""
    operation = _operation(event)
    if operation not in ("refund", "exchange"):
        return False
    before, order, line = _before(event), _order_before(event), _line_before(event)
    stated = record.stated(order.number)
    if line is None or stated.isdisjoint(CLAIMS) or before.is_lost(order):
        return False
    if not record.examined.isdisjoint((order.number, "")):
        return False
    if operation == "exchange":  # for another variant it rests on the right to exchange, if that was asked for
        return "exchange" not in stated or _argument(event, "variant_id").lower() == line.variant
    return forbidden(before, operation, order, line, stated.difference(CLAIMS)) != ""


@rule("change", "billing")
def _billing(record: Record, event: Event) -> bool:
    """Whether a billing ticket was opened though nobody asked about money."""
    if _operation(event) != "ticket" or _argument(event, "topic") != "billing":
        return False
    return all(intents.isdisjoint(("billing", "refund")) for intents in record.intents.values())


@rule("change", "handover")
def _handover(record: Record, event: Event) -> bool:
    return _operation(event) == "handover" and not record.person and "handover" not in record.given.get("wish", ())


@rule("failed", "stock")
def _stock(record: Record, event: Event) -> bool:
    result = _result(event)
    return result.name == "exchange_item" and "sold out" in result.data["error"]


def _result(event: Event) -> ToolResult:
    assert event.result is not None
    return event.result


def _operation(event: Event) -> str:
    return OPERATION_OF[_result(event).name]


def _argument(event: Event, name: str) -> str:
    return _result(event).arguments.get(name, "")


def _before(event: Event) -> Shop:
    assert event.before is not None
    return event.before


def _order_before(event: Event) -> Order:
    return _before(event).orders[_argument(event, "order_id")]


def _line_before(event: Event) -> Line | None:
    return _order_before(event).line(_argument(event, "line_id"))


def _forbidden(record: Record, event: Event) -> str:
    """Why the rules don't allow a change that went through, given the books before it and what the customer had said."""
    order = _order_before(event)
    variant = _argument(event, "variant_id").lower()
    return forbidden(_before(event), _operation(event), order, _line_before(event), sorted(record.stated(order.number)), variant)
