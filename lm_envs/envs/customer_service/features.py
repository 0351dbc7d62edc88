"""A belief in numbers: what learners without words see."""

from __future__ import annotations

from lm_envs.envs.customer_service.belief import CUES, TOPICS, WISHES, Belief
from lm_envs.envs.customer_service.shop import ORDER_STATUSES
from lm_envs.envs.customer_service.tools import OPERATION_TOOLS

SLOTS_SHOWN = ("order", "item", "evidence", "variant", "address", "payment", "amount")
QUESTIONS = ("order", "name", "postcode", "item", "evidence", "wish", "variant", "address", "payment")

FEATURES: tuple[str, ...] = (
    "turn",
    "texts",
    "over",
    *(f"topic_{topic}" for topic in TOPICS),
    *(f"wish_{wish}" for wish in WISHES),
    *(f"knows_{slot}" for slot in SLOTS_SHOWN),
    "lacks_order",
    *(f"asked_{slot}" for slot in QUESTIONS),
    "knows_name", "knows_postcode", "lacks_name", "lacks_postcode",
    "account", "searched_name", "searched_order", "untried_postcode", "mismatches", "verified", "account_read",
    "order_unread", "order_read", "order_own",
    *(f"order_{status}" for status in ORDER_STATUSES),
    "late", "lost", "delivered_in_window", "delivered_out_of_window", "several_lines",
    "line_ordered", "line_returned", "line_refunded", "line_owed", "charge",
    "product_read", "final_sale", "in_warranty", "out_of_warranty", "same_in_stock", "same_sold_out", "wanted_in_stock",
    "wanted_sold_out", "wanted_payment",
    "articles_found", "article_read",
    *(f"did_{operation}" for operation in OPERATION_TOOLS),
    "informed", "reported", "refusals",
    *(f"cue_{cue}" for cue in CUES),
    "attacked", "greeted", "apologised", "apologised_before", "failed",
)  # fmt: skip
"""The names of a belief vector's components, all in [0, 1]."""


def features(belief: Belief, turn_share: float) -> list[float]:
    """A belief as numbers, in the order of :data:`FEATURES`."""
    matter, slots = belief.matter, belief.matter.slots
    order, line = belief.order, belief.line
    status, in_window, covered = (order or {}).get("status"), belief.in_window, belief.covered
    same, wanted = belief.stock(line["variant"]) if line else None, belief.stock(belief.wanted)
    cues = belief.cues
    return [
        turn_share,
        min(1.0, belief.texts / 10),
        belief.over,
        *[matter.topic == topic for topic in TOPICS],
        *[slots.get("wish") == wish for wish in WISHES],
        *[slot in slots for slot in SLOTS_SHOWN],
        "order" in matter.lacks,
        *[slot in matter.asked for slot in QUESTIONS],
        "name" in belief.identity, "postcode" in belief.identity, "name" in belief.missing, "postcode" in belief.missing,
        belief.account != "", belief.identity.get("name") in belief.searched, slots.get("order") in belief.searched,
        belief.untried != "", min(1.0, belief.mismatches / 2), belief.verified != "",
        belief.verified in belief.accounts,
        belief.unread != "", order is not None, order is not None and order["customer_id"] == belief.verified,
        *[status == one for one in ORDER_STATUSES],
        order is not None and "days_late" in order, belief.lost, in_window is True, in_window is False,
        order is not None and len(order["lines"]) > 1,
        *[line is not None and line.get("status", "ordered") == one for one in ("ordered", "returned", "refunded")], belief.owed > 0,
        belief.charge != "",
        belief.product in belief.products, belief.final_sale, covered is True, covered is False,
        same is not None and same > 0, same == 0, wanted is not None and wanted > 0, wanted == 0, belief.payment != "",
        bool(belief.found), bool(belief.articles),
        *[operation in matter.deeds for operation in OPERATION_TOOLS],
        "inform" in matter.told, "report" in matter.told, min(1.0, matter.refusals / 3),
        *[cue in cues for cue in CUES],
        belief.attacked, "greet" in belief.courtesies, matter.apologised, "empathise" in belief.courtesies, belief.failed,
    ]  # fmt: skip
