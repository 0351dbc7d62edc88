"""What the company's rules allow, by the books: the one place where windows, warranties and thresholds are decided."""

from __future__ import annotations

from collections.abc import Iterable

from lm_envs.envs.customer_service.shop import Line, Order, Shop

CLAIMS = ("damaged", "wrong_item", "warranty")
"""Intents that give a right to a remedy which the books alone don't show."""

BEFORE_SHIPPING = ("cancel", "address", "payment")
"""Operations on a whole order, until it is shipped."""

ASKED_FOR: dict[str, tuple[str, ...]] = {
    "status": ("refund", "exchange"),  # a parcel asked about may turn out to be lost
    "late": ("refund", "exchange"),
    "lost": ("refund", "exchange"),
    "cancel": ("cancel", "return", "refund"),
    "return": ("return", "refund", "exchange"),
    "exchange": ("exchange", "return", "refund"),
    "refund": ("refund", "return"),
    "damaged": ("refund", "exchange", "return"),
    "wrong_item": ("refund", "exchange", "return"),
    "address": ("address",),
    "payment": ("payment",),
    "billing": ("refund",),
    "warranty": ("exchange", "refund"),
    "howto": (),
    "loyalty": (),
    "out_of_scope": (),
}
"""By intent, the operations that answer it, besides a ticket or a handover, which are no changes to an account."""


def forbidden(shop: Shop, operation: str, order: Order, line: Line | None = None, intents: Iterable[str] = (), variant: str = "") -> str:
    """Why the rules don't allow an operation, one of ``acts.REASONS``, or ``""`` if they allow it.

    Args:
        shop: the books before the operation.
        operation: cancel, return, refund, exchange, address or payment.
        order: the order it is about, which is taken to be the customer's own.
        line: the line, where it is about one.
        intents: what the customer has said about this order; being damaged, say, is nothing that the books show.
        variant: what would be sent in an exchange; by default the same again.
    """
    if operation in BEFORE_SHIPPING:
        return _before_shipping(order)
    if line is None:
        return "policy"
    if operation == "return":
        return _goods_back(shop, order, line)
    claims = [intent for intent in intents if intent in CLAIMS]
    if operation == "exchange":
        return _exchange(shop, order, line, claims, variant or line.variant)
    return _refund(shop, order, line, claims)


def _before_shipping(order: Order) -> str:
    if order.status in ("pending", "processed"):
        return ""
    return "policy" if order.status == "cancelled" else "shipped"


def _goods_back(shop: Shop, order: Order, line: Line) -> str:
    if order.status == "shipped":
        return "not_yet_late"
    if order.status != "delivered" or line.status != "ordered":
        return "policy"
    if shop.catalogue.products[line.product].final_sale:
        return "final_sale"
    return "" if shop.in_window(order) else "window"


def _claim(shop: Shop, order: Order, line: Line, claim: str) -> str:
    if order.status != "delivered" or line.status != "ordered":
        return "policy"
    if claim == "warranty":
        return "" if shop.in_warranty(order, line) else "warranty"
    return "" if shop.in_window(order) else "window"


def _exchange(shop: Shop, order: Order, line: Line, claims: list[str], variant: str) -> str:
    reasons = [*(_claim(shop, order, line, claim) for claim in claims), _goods_back(shop, order, line)]
    if "" not in reasons and not shop.is_lost(order):
        return reasons[0]
    return "sold_out" if shop.in_stock(variant) < line.quantity else ""


def _refund(shop: Shop, order: Order, line: Line, claims: list[str]) -> str:
    if line.status in ("returned", "refunded"):
        return "" if line.owed and order.status != "cancelled" else "policy"
    if line.status == "exchanged":
        return "policy"
    if shop.is_lost(order):
        return ""
    reasons = []
    for claim in claims:
        reason = _claim(shop, order, line, claim)
        if not reason and claim == "warranty" and shop.in_stock(line.variant) >= line.quantity:
            reason = "policy"  # a defect is mended by a replacement, as long as there is one
        reasons.append(reason)
    if "" in reasons:
        return ""
    return reasons[0] if reasons else _goods_back(shop, order, line) or "policy"  # goods must come back first
