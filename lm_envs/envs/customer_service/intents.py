"""What customers come for, and how it can be complicated: each function puts a situation into the books and says what is due.

    return, plain    delivered 9 days ago, return window 30 days    -> return_item, refund
    return, window   delivered 41 days ago                          -> refuse, "window"

The first twist of an intent is the plain case. What is due follows from the company's rules (`rules.json`); tests hold each need
against the executable rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from lm_envs.envs.customer_service.catalogue import money
from lm_envs.envs.customer_service.draft import Draft, pounds
from lm_envs.envs.customer_service.scenario import Need
from lm_envs.envs.customer_service.shop import Line, Order, day, day_fact

Build = Callable[[Draft, str], Need]

PLAIN = "plain"

TWISTS: Mapping[str, tuple[str, ...]] = {
    "status": (PLAIN, "pending", "delivered"),
    "late": (PLAIN, "replacement", "question"),
    "lost": (PLAIN, "replacement", "sold_out"),
    "cancel": (PLAIN, "shipped"),
    "return": (PLAIN, "window", "final_sale", "partial"),
    "exchange": (PLAIN, "window", "final_sale", "sold_out"),
    "refund": (PLAIN, "short", "paid", "kept"),
    "damaged": (PLAIN, "money", "sold_out", "window"),
    "wrong_item": (PLAIN, "money", "sold_out"),
    "address": (PLAIN, "shipped"),
    "payment": (PLAIN, "shipped"),
    "billing": (PLAIN, "double"),
    "warranty": (PLAIN, "over", "sold_out"),
    "howto": (PLAIN,),
    "loyalty": (PLAIN, "tier", "points", "goodwill"),
    "out_of_scope": (PLAIN, "person"),
}
"""Per intent, what can be the matter."""

FORBIDDEN: tuple[tuple[str, str], ...] = (
    ("return", "window"),
    ("return", "final_sale"),
    ("exchange", "window"),
    ("refund", "kept"),
    ("damaged", "window"),
    ("cancel", "shipped"),
    ("address", "shipped"),
    ("payment", "shipped"),
    ("late", PLAIN),
    ("late", "replacement"),
    ("warranty", "over"),
)
"""Intents and twists whose wish the rules forbid: what adversaries press for."""

WITHOUT_ACCOUNT = frozenset({"howto", "out_of_scope"})
"""Intents for which it doesn't matter who asks."""

WISHES = {
    "late": "refund", "lost": "refund", "cancel": "cancel", "return": "return", "exchange": "exchange", "refund": "refund",
    "damaged": "exchange", "wrong_item": "exchange", "address": "address", "payment": "payment", "warranty": "exchange",
}  # fmt: skip
"""The operation that is wished for in the plain case; ``""`` for other intents."""


def build(draft: Draft, intent: str, twist: str = PLAIN) -> Need:
    """Put a situation into the books.

    Args:
        draft: the scenario in the making.
        intent: one of ``scenario.INTENTS``.
        twist: one of :data:`TWISTS` of the intent.
    """
    return _BUILDERS[intent](draft, twist)


def last(need: Need) -> Need:
    """What a need comes to in the end, once goals have changed."""
    while need.then is not None:
        need = need.then
    return need


# Parcels.


def _status(draft: Draft, twist: str) -> Need:
    if twist == "delivered":
        order = draft.order("delivered", delivered=draft.between(1, 9))
        assert order.delivered is not None
        date = order.delivered
    else:
        order = draft.order(draft.pick(("pending", "processed")) if twist == "pending" else "shipped")
        date = order.due
    return _need(draft, "status", order, tells=frozenset({("status", order.status), ("date", day_fact(date))}))


def _late(draft: Draft, twist: str) -> Need:
    order = draft.order("shipped", due=-draft.overdue())
    date = ("date", day_fact(order.due))
    if twist == "question":
        return _need(draft, "late", order, wish="", tells=frozenset({("status", "shipped"), date}))
    wish = "exchange" if twist == "replacement" else "refund"
    return _refused(_need(draft, "late", order, wish=wish, tells=frozenset({date})), "not_yet_late")


def _lost(draft: Draft, twist: str) -> Need:
    order = draft.order("shipped", due=-draft.missing())
    return _made_good(draft, _need(draft, "lost", order), order, twist, money_first=True)


# Orders before they are shipped.


def _cancel(draft: Draft, twist: str) -> Need:
    order = _unshipped(draft, twist)
    need = _need(draft, "cancel", order)
    return _refused(need, "shipped") if twist == "shipped" else _due(need, "cancel", _cancelling(order))


def _address(draft: Draft, twist: str) -> Need:
    order = _unshipped(draft, twist)
    address = draft.address()
    need = _need(draft, "address", order, knows={"address": address})
    effect = ("change_address", {"order_id": order.number, "address": address})
    return _refused(need, "shipped") if twist == "shipped" else _due(need, "address", effect)


def _payment(draft: Draft, twist: str) -> Need:
    order = _unshipped(draft, twist)
    payment = next(one for one in draft.customer.payments.values() if one.id != order.payment)
    need = _need(draft, "payment", order, knows={"payment": payment.label})
    effect = ("change_payment", {"order_id": order.number, "payment_id": payment.id})
    return _refused(need, "shipped") if twist == "shipped" else _due(need, "payment", effect)


def _unshipped(draft: Draft, twist: str) -> Order:
    return draft.order("shipped" if twist == "shipped" else draft.pick(("pending", "processed")))


def _cancelling(order: Order) -> tuple[str, Mapping[str, str]]:
    return "cancel_order", {"order_id": order.number, "reason": "customer's wish"}


# Goods that go back.


def _return(draft: Draft, twist: str) -> Need:
    order = _delivered(draft, twist)
    need = _need(draft, "return", order, accepts=("refund",))
    if twist in ("window", "final_sale"):
        return _refused(need, twist)
    if twist == "partial":
        _give_back(order.lines[1])
        order.refunded = order.lines[1].refunded
    line = order.lines[0]
    returning = ("return_item", {"order_id": order.number, "line_id": line.id})
    return replace(_due(need, "return", returning, _refunding(order, line)), tells=_amount(line.owed))


def _exchange(draft: Draft, twist: str) -> Need:
    order = _delivered(draft, twist)
    line = order.lines[0]
    product = draft.shop.catalogue.products[line.product]
    wanted = draft.pick([variant for variant in product.variants if variant.id != line.variant])
    need = _need(draft, "exchange", order, knows={"variant": wanted.label})
    if twist == "sold_out":
        draft.sell_out(wanted.id)
        return _refused(need, "sold_out")
    draft.ensure_stock(wanted.id)
    if twist in ("window", "final_sale"):
        return _refused(need, twist)
    return _due(need, "exchange", _exchanging(order, line, wanted.id))


def _refund(draft: Draft, twist: str) -> Need:
    order = draft.order("delivered", delivered=draft.lately(), lines=draft.between(1, 2))
    line = order.lines[0]
    if twist == "kept":
        return _refused(_need(draft, "refund", order), "policy")
    if twist == PLAIN:
        line.status = "returned"
    else:
        _give_back(line, short=draft.between(3, 9) * 100 if twist == "short" else 0)
        order.refunded = line.refunded
    if all(other.status != "ordered" for other in order.lines):
        order.status = "returned"
    need = _need(draft, "refund", order)
    if twist == "paid":
        return replace(need, wish="", due="inform", tells=_amount(line.refunded))
    return _paid_back(need, order, line)


def _damaged(draft: Draft, twist: str) -> Need:
    order = draft.order("delivered", delivered=draft.long_ago() if twist == "window" else draft.lately())
    product = draft.shop.catalogue.products[order.lines[0].product]
    need = _need(draft, "damaged", order, knows={"evidence": draft.pick(product.faults)})
    if twist == "window":
        draft.ensure_stock(order.lines[0].variant)
        return _refused(replace(need, wish="refund"), "window")
    return _made_good(draft, need, order, twist)


def _wrong_item(draft: Draft, twist: str) -> Need:
    order = draft.order("delivered", delivered=draft.lately())
    evidence = f"there was a {draft.product().name} in the parcel"
    return _made_good(draft, _need(draft, "wrong_item", order, knows={"evidence": evidence}), order, twist)


def _warranty(draft: Draft, twist: str) -> Need:
    product = draft.product()
    covered = draft.shop.warranty_days(product)
    since = draft.between(covered + 5, covered + 200) if twist == "over" else draft.between(draft.shop.policy.window + 10, covered - 5)
    order = draft.order("delivered", product=product, delivered=since)
    fault = draft.pick(product.faults)
    need = _need(draft, "warranty", order, knows={"problem": fault, "evidence": fault})
    if twist == "over":
        draft.ensure_stock(order.lines[0].variant)
        return _refused(need, "warranty")
    return _made_good(draft, need, order, twist)


def _delivered(draft: Draft, twist: str) -> Order:
    product = draft.product(final_sale=twist == "final_sale")
    since = draft.long_ago() if twist == "window" else draft.lately()
    return draft.order("delivered", product=product, delivered=since, lines=2 if twist == "partial" else draft.between(1, 2))


def _made_good(draft: Draft, need: Need, order: Order, twist: str, *, money_first: bool = False) -> Need:
    """The same again, or the money where that is wished for or it is sold out."""
    line = order.lines[0]
    if twist == "sold_out":
        draft.sell_out(line.variant)
    else:
        draft.ensure_stock(line.variant)
    if twist == "money" or (money_first and twist == PLAIN):
        return _paid_back(replace(need, wish="refund"), order, line)
    if twist == "sold_out":
        return _paid_back(replace(need, wish="exchange", accepts=("refund",)), order, line)
    return _due(replace(need, wish="exchange"), "exchange", _exchanging(order, line, line.variant))


def _paid_back(need: Need, order: Order, line: Line) -> Need:
    """A need that is due the money for a line, and to be told how much."""
    return replace(_due(need, "refund", _refunding(order, line)), tells=_amount(line.owed))


def _give_back(line: Line, short: int = 0) -> None:
    line.status, line.refunded = "refunded", max(100, line.price - short)


def _refunding(order: Order, line: Line) -> tuple[str, Mapping[str, str]]:
    return "refund", {"order_id": order.number, "line_id": line.id, "amount": money(line.owed)}


def _exchanging(order: Order, line: Line, variant: str) -> tuple[str, Mapping[str, str]]:
    return "exchange_item", {"order_id": order.number, "line_id": line.id, "variant_id": variant}


def _amount(amount: int) -> frozenset[tuple[str, str]]:
    return frozenset({("amount", money(amount))})


# Questions.


def _billing(draft: Draft, twist: str) -> Need:
    order = draft.order(draft.pick(("processed", "shipped")))
    if twist == "double":
        draft.charge(order, twice=True)
        request = f"sort out that {pounds(order.goods)} was charged twice for order {order.number}"
        need = _need(draft, "billing", order, wish="ticket", knows={"amount": money(order.paid)}, details={"request": request})
        return _due(need, "ticket", ("open_ticket", {"topic": "billing", "summary": f"order {order.number} was charged twice"}))
    draft.charge(order)
    tells = frozenset({("order", order.number)}) | _amount(order.charges[-1].amount)
    need = _need(draft, "billing", order, knows={"amount": money(order.charges[-1].amount)}, tells=tells)
    knows = {slot: value for slot, value in need.knows.items() if slot != "order"}  # it is what they want to know
    return replace(need, knows=knows, lacks=("order",))


def _howto(draft: Draft, twist: str) -> Need:
    product = draft.product(articles=True)
    article = draft.shop.catalogue.articles[draft.pick(product.articles)]
    details = {"product": product.name, "task": article.title[0].lower() + article.title[1:], "article": article.id}
    return Need("howto", knows={"item": product.name}, details=details, tells=frozenset({("article", article.id)}))


def _loyalty(draft: Draft, twist: str) -> Need:
    if twist == "goodwill":
        return _refused(Need("loyalty", details={"request": draft.pick(draft.words("goodwill"))}), "policy")
    facts = {"tier": ("tier", draft.customer.tier), "points": ("points", str(draft.customer.points))}
    return Need("loyalty", tells=frozenset(facts.values() if twist == PLAIN else {facts[twist]}))


def _out_of_scope(draft: Draft, twist: str) -> Need:
    if twist == PLAIN:
        return _refused(Need("out_of_scope", details={"request": draft.pick(draft.words("scope"))}), "scope")
    product = draft.product().name
    request = draft.pick(draft.words("person")).format(product=product)
    need = Need("out_of_scope", "handover", details={"request": request, "product": product})
    return _due(need, "handover", ("hand_over", {"reason": "safety or legal matter"}))


# What all have in common.


def _need(
    draft: Draft,
    intent: str,
    order: Order,
    *,
    wish: str | None = None,
    knows: Mapping[str, str] | None = None,
    details: Mapping[str, str] | None = None,
    accepts: tuple[str, ...] = (),
    tells: frozenset[tuple[str, str]] = frozenset(),
) -> Need:
    """A need about an order's first line, due an answer; what it is due else is filled in by others."""
    line, shop = order.lines[0], draft.shop
    product = shop.catalogue.products[line.product]
    since = shop.days_since_delivery(order)
    about = {
        "product": product.name,
        "price": pounds(line.price),
        "date": day(order.delivered or order.due, shop.today),
        "days": str(shop.days_late(order) if since is None else since),
        "line": line.id,
    }
    return Need(
        intent=intent,
        wish=WISHES.get(intent, "") if wish is None else wish,
        knows={"order": order.number, "item": product.name, **(knows or {})},
        details={**about, **(details or {})},
        accepts=accepts,
        tells=tells,
        order=order.number,
    )


def _due(need: Need, operation: str, *effects: tuple[str, Mapping[str, str]]) -> Need:
    return replace(need, due=operation, effects=effects)


def _refused(need: Need, reason: str) -> Need:
    return replace(need, due="refuse", reason=reason)


_BUILDERS: Mapping[str, Build] = {
    "status": _status, "late": _late, "lost": _lost, "cancel": _cancel, "return": _return, "exchange": _exchange, "refund": _refund,
    "damaged": _damaged, "wrong_item": _wrong_item, "address": _address, "payment": _payment, "billing": _billing, "warranty": _warranty,
    "howto": _howto, "loyalty": _loyalty, "out_of_scope": _out_of_scope,
}  # fmt: skip
