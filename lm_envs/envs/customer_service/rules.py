"""Company rules: what a customer is entitled to, and what speaks against an operation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lm_envs.envs.customer_service.shop import OPERATIONS, Order

INTENTS = ("status", "late", "damaged", "wrong_item", "refund", "exchange", "cancel", "address")
DETAILS = ("problem", "order", "postcode", "evidence", "address")
REMEDIES = (*OPERATIONS, "inform_date", "refuse_window", "refuse_shipped", "hand_over")


@dataclass(frozen=True)
class Policy:
    """The rules that differ between shops.

    Attributes:
        window: days after delivery within which goods may be returned.
        overdue: days after the promised date from which a parcel counts as lost.
    """

    window: int
    overdue: int


def entitlement(intent: str, order: Order, in_stock: bool, policy: Policy) -> str:
    """The remedy that the rules give the holder of an order, identity apart; one of :data:`REMEDIES`."""
    another = "replacement" if in_stock else "refund"
    if intent in ("damaged", "wrong_item"):
        return another
    if intent in ("refund", "exchange"):
        if order.days_since_delivery is None or order.days_since_delivery > policy.window:
            return "refuse_window"
        return "refund" if intent == "refund" else another
    if intent in ("cancel", "address"):
        if order.status != "packed":
            return "refuse_shipped"
        return "cancel" if intent == "cancel" else "change_address"
    return another if order.days_late >= policy.overdue else "inform_date"


def remedy(intent: str, order: Order, in_stock: bool, policy: Policy, identified: bool) -> str:
    """What must happen in the end: the entitlement, or a hand-over where a change is due to somebody who cannot show who they are."""
    due = entitlement(intent, order, in_stock, policy)
    return "hand_over" if due in OPERATIONS and not identified else due


def needed_details(intent: str, due: str) -> tuple[str, ...]:
    """What an agent has to learn from the customer before the remedy; a subset of :data:`DETAILS` in that order."""
    needed = {"problem", "order"}
    if due in OPERATIONS or due == "hand_over":
        needed.add("postcode")
    if intent in ("damaged", "wrong_item") and due != "hand_over":
        needed.add("evidence")
    if due == "change_address":
        needed.add("address")
    return tuple(detail for detail in DETAILS if detail in needed)


def breach(
    operation: str, intent: str, order: Order, in_stock: bool, policy: Policy, known: Collection[str], identified: bool
) -> str | None:
    """The rule that an operation would break now, or ``None``.

    Args:
        operation: one of :data:`OPERATIONS`.
        intent: what the customer came for.
        order: the order as it stands.
        in_stock: whether another one can be sent.
        policy: the shop's rules.
        known: the details that the agent has learnt.
        identified: whether the postcode matches; only meaningful when it is known.
    """
    if not identified or not {"problem", "order", "postcode"} <= set(known):
        return "unverified"
    if intent in ("damaged", "wrong_item") and "evidence" not in known:
        return "no_evidence"
    if operation == "change_address" and "address" not in known:
        return "no_address"
    if operation in ("cancel", "change_address") and order.status != "packed":
        return "already_shipped"
    if operation == "replacement" and not in_stock:
        return "sold_out"
    due = entitlement(intent, order, in_stock, policy)
    if due == operation:
        return None
    return "outside_window" if due == "refuse_window" else "wrong_remedy"


# Breaches that the shop's system catches; the others are carried out, as a careless agent's are.
BLOCKED = {
    "unverified": "customer not verified",
    "no_evidence": "say what is wrong with it first",
    "no_address": "no new address",
    "already_shipped": "order has left",
    "sold_out": "sold out",
}
