"""A scripted expert for the choice level. It sees the belief and nothing else, which shows that the belief is enough."""

from __future__ import annotations

from lm_envs.envs.customer_service.belief import Belief
from lm_envs.envs.customer_service.choices import CALLED

_ANYBODY = frozenset({"howto", "out_of_scope", "goodwill", "person", "double"})  # topics for which it doesn't matter who asks
_TROUBLE = frozenset({"late", "lost", "damaged", "wrong_item", "warranty", "refund", "person"})
_LOOKED_UP = frozenset({"exchange", "warranty"})  # topics that depend on what an order doesn't show


def choose(belief: Belief) -> tuple[str, str]:
    """The act and the tone of one of ``choices.CHOICES`` that fits best."""
    act = _act(belief)
    return act, "neutral" if act in CALLED else _tone(belief, act)


def _tone(belief: Belief, act: str) -> str:
    troubled = belief.matter.topic in _TROUBLE or act.startswith("refuse_") or belief.attacked
    if troubled and "empathise" not in belief.courtesies:
        return "apologetic"
    return "neutral" if "greet" in belief.courtesies else "warm"


def _act(belief: Belief) -> str:
    matter = belief.matter
    if not matter.topic:
        return "ask_problem"
    if matter.topic in _ANYBODY:
        return _serve_anybody(belief)
    return _prove(belief) or _look_up(belief) or _settle(belief)


def _serve_anybody(belief: Belief) -> str:
    topic, deeds = belief.matter.topic, belief.matter.deeds
    if topic == "howto":
        more = "inform" in belief.matter.told and "nudge" in belief.cues
        return "get_article" if not belief.found or belief.unread_article and (more or not belief.articles) else "inform"
    if topic in ("person", "double"):
        return "report" if deeds else "hand_over" if topic == "person" else "open_ticket"
    return "refuse_scope" if topic == "out_of_scope" else "refuse_policy"


def _prove(belief: Belief) -> str:
    """Find out who writes, and verify it."""
    if belief.verified:
        return ""
    matter, identity = belief.matter, belief.identity
    by_order = matter.topic not in ("loyalty", "billing") and "order" not in matter.lacks
    number, name = matter.slots.get("order"), identity.get("name")
    if belief.account and belief.untried:
        return "authenticate"
    if name and name not in belief.searched:
        return "find_customer"
    if number and number not in belief.searched and not belief.account:
        return "find_customer"
    if "postcode" in belief.missing or belief.mismatches >= 2:
        return "refuse_identity"
    if belief.mismatches:
        if matter.told or matter.refusals:
            return "refuse_identity"
        return "ask_name" if "again" in belief.cues and not name else "refuse_identity" if "again" in belief.cues else "ask_postcode"
    if belief.account:
        return "ask_postcode"
    return "ask_order" if by_order and not number else "ask_name"


def _look_up(belief: Belief) -> str:
    """Read what the decision depends on."""
    matter = belief.matter
    if matter.topic == "loyalty":
        return "" if belief.verified in belief.accounts else "get_customer"
    if belief.order is None:
        if "order" not in matter.slots and matter.topic != "billing" and "order" not in matter.lacks:
            return "ask_order"
        if "order" not in matter.slots and belief.verified not in belief.accounts:
            return "get_customer"
        if "item" not in matter.slots and "order" not in matter.slots and matter.topic != "billing" and "item" not in matter.asked:
            return "ask_item"
        return "get_order" if belief.unread else "ask_order"
    if belief.order["customer_id"] != belief.verified:
        return "refuse_not_yours"
    if len(belief.order["lines"]) > 1 and "item" not in matter.slots and "item" not in matter.asked:
        return "ask_item"
    if matter.topic == "payment" and belief.verified not in belief.accounts:
        return "get_customer"
    if matter.topic in _LOOKED_UP and belief.product not in belief.products:
        return "get_product"
    return ""


def _settle(belief: Belief) -> str:
    """Ask what only the customer knows, act, and tell."""
    matter, order, slots = belief.matter, belief.order, belief.matter.slots
    if matter.deeds and next(reversed(matter.deeds)) != "return":
        return "report"
    topic = matter.topic
    if topic == "loyalty":
        return "inform"
    assert order is not None
    if topic in ("cancel", "address", "payment"):
        if order["status"] not in ("pending", "processed"):
            return "refuse_shipped"
        if topic == "cancel":
            return "cancel_order"
        return f"change_{topic}" if topic in slots else "ask_detail"
    if topic in ("billing", "status"):
        return "inform"
    if topic in ("late", "lost"):
        return _settle_parcel(belief)
    if topic == "refund":
        assert belief.line is not None
        if "status" not in belief.line:
            return "refuse_policy"
        return "refund" if belief.owed else "inform"
    return _settle_goods(belief)


def _settle_parcel(belief: Belief) -> str:
    wish = belief.matter.slots.get("wish")
    if not belief.lost:
        return "ask_wish" if not wish else "inform" if wish == "inform" else "refuse_not_yet_late"
    if not wish:
        return "ask_wish"
    return "exchange_item" if wish == "exchange" and belief.line and belief.stock(belief.line["variant"]) else "refund"


def _settle_goods(belief: Belief) -> str:
    matter, slots = belief.matter, belief.matter.slots
    assert belief.line is not None
    if matter.topic == "warranty" and belief.covered is False:
        return "refuse_warranty"
    if matter.topic in ("return", "exchange") and belief.final_sale:
        return "refuse_final_sale"
    if matter.topic != "warranty" and belief.in_window is False:
        return "refuse_window"
    if matter.topic == "return":
        return "refund" if "return" in matter.deeds else "return_item"
    if matter.topic == "exchange":
        if "variant" not in slots:
            return "ask_detail"
        return "exchange_item" if belief.stock(belief.wanted) else "refuse_sold_out"
    if "evidence" not in slots:
        return "ask_detail"
    if "wish" not in slots and matter.topic != "warranty":
        return "ask_wish"
    in_stock = belief.stock(belief.line["variant"])
    return "exchange_item" if in_stock and (slots.get("wish") == "exchange" or matter.topic == "warranty") else "refund"
