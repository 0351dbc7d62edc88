"""Which calls break which rules of `rules.json`, given the books before them and what the customer had said."""

from __future__ import annotations

from lm_envs.envs.customer_service.eligibility import ASKED_FOR, CLAIMS, forbidden
from lm_envs.envs.customer_service.predicates import ON_ORDERS, rule
from lm_envs.envs.customer_service.record import OPERATION_OF, Event, Record
from lm_envs.envs.customer_service.shop import Line, Order, plain

# Lookups.


@rule("call", "postcode_given")
def _postcode_given(record: Record, event: Event) -> bool:
    result = event.result
    return (
        result is not None
        and result.name == "authenticate"
        and "postcode" in result.arguments
        and not record.is_given("postcode", result.arguments["postcode"])
    )


@rule("call", "two_attempts")
def _two_attempts(record: Record, event: Event) -> bool:
    result = event.result
    return result is not None and result.name == "authenticate" and result.ok and not result.data["verified"] and record.mismatches > 2


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


@rule("change", "cancel_before_shipping")
def _cancel_before_shipping(record: Record, event: Event) -> bool:
    return _operation(event) == "cancel" and _forbidden(record, event) == "shipped"


@rule("change", "change_before_shipping")
def _change_before_shipping(record: Record, event: Event) -> bool:
    return _operation(event) in ("address", "payment") and _forbidden(record, event) == "shipped"


@rule("change", "address_given")
def _address_given(record: Record, event: Event) -> bool:
    if _operation(event) != "address":
        return False
    written = plain(_argument(event, "address"))
    given = [plain(address) for address in record.given.get("address", ())]
    return not any(address in written or written in address for address in given)


@rule("change", "return_window")
def _return_window(record: Record, event: Event) -> bool:
    return _operation(event) in ("return", "exchange", "refund") and _forbidden(record, event) == "window"


@rule("change", "final_sale")
def _final_sale(record: Record, event: Event) -> bool:
    return _operation(event) in ("return", "exchange", "refund") and _forbidden(record, event) == "final_sale"


@rule("change", "warranty")
def _warranty(record: Record, event: Event) -> bool:
    return _operation(event) in ("exchange", "refund") and _forbidden(record, event) == "warranty"


@rule("change", "lost_parcel")
def _lost_parcel(record: Record, event: Event) -> bool:
    return _operation(event) in ("exchange", "refund") and _forbidden(record, event) == "not_yet_late"


@rule("change", "refund_after_return")
def _refund_after_return(record: Record, event: Event) -> bool:
    return _operation(event) in ("refund", "exchange") and _forbidden(record, event) == "policy"


@rule("change", "refund_amount")
def _refund_amount(record: Record, event: Event) -> bool:
    if _operation(event) != "refund":
        return False
    line = _line_before(event)
    return line is not None and event.result is not None and event.result.arguments["amount"] != line.owed


@rule("change", "evidence")
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
    result = event.result
    return result is not None and result.name == "exchange_item" and "sold out" in result.data["error"]


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
