"""An expert that plays through the agent's interface.

The expert knows what is due, but gets there as an agent must: it asks for what it needs, looks things up, and only then acts and
tells. So its transcripts can be learnt from: what it does follows from what stands in the conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from lm_envs.envs.customer_service.calls import Call, render
from lm_envs.envs.customer_service.customer import SimulatedCustomer
from lm_envs.envs.customer_service.data import check_wordings, fill, load_checked
from lm_envs.envs.customer_service.goals import Goals
from lm_envs.envs.customer_service.intents import WITHOUT_ACCOUNT
from lm_envs.envs.customer_service.record import Record
from lm_envs.envs.customer_service.scenario import Need, Scenario
from lm_envs.envs.customer_service.shop import Order, day
from lm_envs.types import Split

MIN_WORDINGS = {"train": 6, "test": 4}

MAX_ASKED = 3  # times that a postcode is asked for before it counts as refused

_TROUBLE = frozenset({"late", "lost", "damaged", "wrong_item", "warranty", "refund"})
_CHOICE = frozenset({"lost", "damaged", "wrong_item", "late"})  # intents whose remedy the customer chooses


@dataclass(frozen=True)
class Say:
    """A text to the customer.

    Attributes:
        acts: names of acts in `expert.json`, worded one after another.
        slots: what their words may use.
        need: the need whose outcome it tells, by its place in ``Goals.needs``; -1 for none.
        tells: facts by which it tells it: (kind, value) of ``acts.FACTS``.
    """

    acts: tuple[str, ...]
    slots: Mapping[str, str] = field(default_factory=dict)
    need: int = -1
    tells: frozenset[tuple[str, str]] = frozenset()


Move = Say | Call


@dataclass(frozen=True)
class View:
    """What the expert looks at."""

    scenario: Scenario
    goals: Goals
    record: Record
    customer: SimulatedCustomer
    turn: int


def next_move(view: View) -> Move:
    """What an agent that knows what is due does next."""
    customer = view.customer
    need = customer.open_need
    if need is None:
        return Say(("bye",))
    if not customer.stated:
        return Say(("greet", "ask_problem") if view.turn == 0 else ("ask_problem",))
    if need.then is not None and not _needs_account(need):
        return Say(("ask_order",))
    return _prove(view, need) or _look_up(view, need) or _ask(view, need) or _act(view, need) or _tell(view, need)


def say(move: Move, wording: tuple[int, int], split: Split, style: Literal["json", "hermes"] = "json") -> str:
    """A move as a reply.

    Args:
        move: what to say or to call.
        wording: seeds the choice of words.
        split: whose words.
        style: how a call is written.
    """
    if isinstance(move, Call):
        return render(move, style)
    rng = np.random.default_rng(wording)
    by_act = templates()
    return " ".join(by_act[act][split][int(rng.integers(len(by_act[act][split])))].format_map(move.slots) for act in move.acts)


# The steps, in the order in which they are taken. Each returns a move as long as there is something to do.


def _prove(view: View, need: Need) -> Move | None:
    """Find out who writes, and verify it."""
    record = view.record
    if not _needs_account(need) or record.verified or _unprovable(view):
        return None
    account = _account(view)
    if account is None and (query := _query(view, need)):
        return Call("find_customer", {"query": query})
    if account is None:
        return _greeting(view, need, _identity_question(view, need))
    if fresh := _untried(record):
        return Call("authenticate", {"customer_id": account, "postcode": fresh[0]})
    return Say(("ask_postcode_again",)) if record.mismatches else _greeting(view, need, ("ask_postcode",))


def _look_up(view: View, need: Need) -> Move | None:
    """Read the order, the account, the product or the article."""
    record, shop = view.record, view.record.shop
    if need.intent == "howto":
        return _read_article(record, need)
    if not _needs_account(need) or not record.verified:
        return None
    known, sought = record.is_given("order", need.order), bool(need.order) and need.order not in record.read
    if sought and not known and need.reason == "not_yours":
        return Say(("ask_order",))
    if need.intent == "loyalty" or need.due == "payment" or (sought and not known):
        if record.verified not in record.read:
            return Call("get_customer", {"customer_id": record.verified})
    if sought:
        numbers = [order.number for order in shop.orders_of(record.verified) if order.number not in record.read]
        return Call("get_order", {"order_id": need.order if known else numbers[0]})
    product = _order(view, need).lines[0].product if need.order else ""
    if need.intent == "exchange" and need.reason != "not_yours" and product not in record.read:
        return Call("get_product", {"product_id": product})
    return None


def _read_article(record: Record, need: Need) -> Move | None:
    article = need.details["article"]
    searches = _calls(record, "search_articles")
    if not searches:
        return Call("search_articles", {"query": need.details["task"]})
    if not any(event.result.arguments.get("article_id") == article for event in _calls(record, "get_article")):
        return Call("get_article", {"article_id": article})
    return None


def _ask(view: View, need: Need) -> Move | None:
    """Ask what only the customer knows."""
    if need.then is not None:
        return Say(("thank", "ask_wish"))
    if need.due == "refuse" and need.reason in ("identity", "not_yours", "scope", "policy") and need.intent != "refund":
        return None
    known, record = view.customer.disclosed, view.record
    acts = []
    if need.intent in ("damaged", "wrong_item", "warranty") and "evidence" not in known and need.due != "refuse":
        acts.append("ask_received" if need.intent == "wrong_item" else "ask_evidence")
    if need.intent in _CHOICE and need.wish and "wish" not in known:
        acts.append("ask_wish")
    for slot in ("variant", "address", "payment"):
        wanted = need.due == {"variant": "exchange"}.get(slot, slot) or (slot == "variant" and need.reason == "sold_out")
        if wanted and slot in need.knows and slot not in known:
            acts.append(f"ask_{slot}")
    if not acts:
        return None
    return Say((*(["empathise"] if need.intent in _TROUBLE and "empathise" not in _said(record) else []), *acts))


def _act(view: View, need: Need) -> Move | None:
    """Make the due calls, one after another."""
    goals = view.goals
    index = _index(view, need)
    for (tool, arguments), name in zip(need.effects, goals.due[index], strict=True):
        if name not in goals.made:
            return Call(tool, arguments)
    return None


def _tell(view: View, need: Need) -> Move:
    """Say what came of it."""
    index = _index(view, need)
    slots = _slots(view, need)
    again = ("empathise",) if view.goals.told[index] and need.due == "refuse" else ()
    if need.due == "refuse":
        account = need.wish in ("", "ticket", "handover") and need.reason in ("identity", "not_yours")
        act = "refuse_disclosure" if account else "refuse" if need.wish in ("", "ticket", "handover") else f"refuse_{need.wish}"
        dated = ("inform_late",) if need.tells else ()
        tells = need.tells | {("reason", need.reason)}
        return Say((*again, *dated, act, f"because_{need.reason}"), slots, index, frozenset(tells))
    if need.due != "inform":
        same = need.due == "exchange" and need.wish == "exchange" and "variant" not in need.knows
        act = "done_replacement" if same else f"done_{need.due}"
        return Say((act,), slots, index, need.tells)
    return Say((_informing(need),), slots, index, need.tells)


def _informing(need: Need) -> str:
    if need.intent == "refund":
        return "inform_refunded"
    if need.intent in ("billing", "loyalty", "howto"):
        return {"billing": "inform_charge", "loyalty": "inform_loyalty", "howto": "inform_article"}[need.intent]
    if need.intent == "late":
        return "inform_coming_late"
    return "inform_delivered" if ("status", "delivered") in need.tells else "inform_coming"


# What the steps look at.


def _needs_account(need: Need) -> bool:
    goodwill = need.intent == "loyalty" and need.due == "refuse" and need.reason == "policy"
    return need.intent not in WITHOUT_ACCOUNT and not goodwill


def _unprovable(view: View) -> bool:
    """Whether the customer has had every chance to prove who they are."""
    record = view.record
    if not record.mismatches:
        return not record.given.get("postcode") and _times_asked(record, "postcode") >= MAX_ASKED
    failed = next(event.index for event in _calls(record, "authenticate") if event.result.ok)
    asked_again = any("ask_postcode" in event.reading.acts for event in record.events[failed:])
    return not _untried(record) and (asked_again or record.mismatches > 1)


def _times_asked(record: Record, slot: str) -> int:
    return sum(f"ask_{slot}" in event.reading.acts for event in record.events)


def _untried(record: Record) -> list[str]:
    """Postcodes that the customer gave and that weren't tried."""
    tried = {event.result.arguments.get("postcode") for event in _calls(record, "authenticate")}
    return sorted(record.given.get("postcode", set()) - tried)


def _account(view: View) -> str | None:
    """The account that was found, if it is the customer's."""
    found = {who["customer_id"] for event in _calls(view.record, "find_customer") for who in event.result.data.get("customers", ())}
    return view.scenario.customer if view.scenario.customer in found else None


def _query(view: View, need: Need) -> str:
    """What the customer's account can be found by, of what was said and wasn't tried yet."""
    record = view.record
    tried = {event.result.arguments.get("query") for event in _calls(record, "find_customer")}
    orders = () if need.reason == "not_yours" else sorted(record.given.get("order", ()))
    for value in (*sorted(record.given.get("name", ())), *sorted(record.given.get("email", ())), *orders):
        if value and value not in tried:
            return value
    return ""


def _identity_question(view: View, need: Need) -> tuple[str, ...]:
    record = view.record
    by_order = bool(need.order) and need.reason != "not_yours" and "order" not in record.asked
    if record.given.get("postcode"):
        return ("ask_order",) if by_order else ("ask_name",)
    return ("ask_order_postcode",) if by_order else ("ask_name_postcode",)


def _greeting(view: View, need: Need, acts: tuple[str, ...]) -> Say:
    """A question, with a kind word before it where it fits."""
    said = _said(view.record)
    if need.intent in _TROUBLE and "empathise" not in said:
        return Say(("empathise", *acts))
    return Say(("greet", *acts) if not said else acts)


def _order(view: View, need: Need) -> Order:
    return view.record.shop.orders[need.order]


def _index(view: View, need: Need) -> int:
    return next(index for index, one in enumerate(view.goals.needs) if one is need or one == need)


def _said(record: Record) -> set[str]:
    return {act for event in record.events if event.kind == "text" for act in event.reading.acts}


def _calls(record: Record, tool: str) -> list[Any]:
    """Calls of a tool so far, those that it refused included."""
    return [event for event in record.events if event.result is not None and event.result.name == tool]


def _slots(view: View, need: Need) -> dict[str, str]:
    """What the words of an outcome may use."""
    shop = view.record.shop
    told = dict(need.tells)
    slots = {
        "window": str(shop.policy.window),
        "lost": str(shop.policy.lost),
        "order": need.order,
        "product": need.details.get("product", ""),
        "variant": need.knows.get("variant", ""),
        "address": need.knows.get("address", ""),
        "payment": need.knows.get("payment", ""),
        "amount": f"£{told['amount']}" if "amount" in told else "",
        "status": told.get("status", ""),
        "tier": shop.customers[view.scenario.customer].tier,
        "points": str(shop.customers[view.scenario.customer].points),
        "article": told.get("article", ""),
    }
    if need.order:
        order = _order(view, need)
        slots["date"] = day(order.delivered or order.due, shop.today)
        if "variant" not in need.knows:
            slots["variant"] = shop.catalogue.variants[order.lines[0].variant].label
    if slots["article"]:
        slots["steps"] = shop.catalogue.articles[slots["article"]].steps[0]
    return slots


def templates() -> Mapping[str, Mapping[str, list[str]]]:
    """The expert's wordings by act and split."""
    return load_checked("expert", _check_expert)  # type: ignore[no-any-return]


def _check_expert(data: Mapping[str, Any]) -> None:
    names = ("order", "product", "variant", "amount", "date", "address", "payment", "status", "tier", "points", "article", "steps")
    values = dict.fromkeys((*names, "window", "lost"), "")
    for act, by_split in data.items():
        where = f"expert.json: {act}"
        check_wordings(where, by_split, MIN_WORDINGS)
        for text in (*by_split["train"], *by_split["test"]):
            fill(where, text, values)
