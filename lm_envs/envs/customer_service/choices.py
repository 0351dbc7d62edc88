"""What an agent can choose from at the choice level: dialogue acts, with slots filled from what is believed, and tool calls.

    fill(belief, "ask_order", "warm")       Say(("greet", "ask_order_postcode"))  "Hello! What are your order number and postcode?"
    fill(belief, "get_order", "neutral")    Call("get_order", {"order_id": "4411"})
    fill(belief, "report", "neutral")       None: nothing was done yet that could be reported

An act is admissible if its slots can be filled: a question asks for something that isn't known and belongs to the matter, what is told
must be known, a reason must hold by what was read, a change needs an order and must be one that the matter may call for. The rest is the
agent's to find out: whom to verify and when, what to read, whether to grant or to refuse, what to tell and in which tone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from lm_envs.envs.customer_service.belief import Belief
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.catalogue import catalogue, money
from lm_envs.envs.customer_service.eligibility import ASKED_FOR
from lm_envs.envs.customer_service.expert import Move, Say
from lm_envs.envs.customer_service.predicates import ON_ORDERS

TONES = ("neutral", "warm", "apologetic")
"""How something is said: as it is, after a greeting, or after an apology. Calls have none."""

DETAILS = {
    "damaged": "evidence", "wrong_item": "evidence", "warranty": "evidence", "exchange": "variant", "address": "address",
    "payment": "payment",
}  # fmt: skip
"""By topic, the slot of its own that only the customer can fill."""

CHOOSING = frozenset({"late", "lost", "damaged", "wrong_item", "return", "refund", "exchange", "warranty"})
"""Topics that leave open what the customer would like."""

ORDERLESS = frozenset({"howto", "loyalty", "goodwill", "out_of_scope", "person"})
"""Topics that are about no order."""

MAX_QUERY = 200  # characters of the customer's words that articles are searched for with

Filled = Move | None
Fill = Callable[[Belief], Filled]


def able_acts(belief: Belief) -> list[bool]:
    """For each of :data:`SPOKEN` and then of :data:`CALLED`, whether its slots can be filled."""
    return [fill_act(belief) is not None for fill_act in _ACTS.values()]


def in_tones(belief: Belief, able: Sequence[bool]) -> list[bool]:
    """The same for each of :data:`CHOICES`: one greets once, and apologises once in a matter and with each refusal."""
    warm, sorry = "greet" not in belief.courtesies, not belief.matter.apologised
    spoken = zip(SPOKEN, able, strict=False)
    toned = [(can, can and warm, can and (sorry or act.startswith("refuse_"))) for act, can in spoken]
    return [*chain.from_iterable(toned), *able[len(SPOKEN) :]]


def fill(belief: Belief, act: str, tone: str) -> Filled:
    """An act in a tone, with its slots filled; ``None`` if they can't be.

    Args:
        belief: where the slots' values come from.
        act: one of :data:`SPOKEN` or :data:`CALLED`.
        tone: one of :data:`TONES`.
    """
    move = _ACTS[act](belief)
    if not isinstance(move, Say) or tone == "neutral":
        return move
    return Say(("empathise" if tone == "apologetic" else "greet", *move.acts), move.slots)


def note(belief: Belief, act: str, said: Say) -> None:
    """Let a belief take in what the agent says."""
    belief.texts += 1
    matter = belief.matter
    belief.courtesies |= {"greet", "empathise"} & set(said.acts)
    matter.apologised = matter.apologised or "empathise" in said.acts
    if act.startswith("ask_"):
        question = said.acts[-1]  # a courtesy may go before
        matter.asked |= set(question.removeprefix("ask_").split("_"))
    elif act.startswith("refuse_"):
        matter.refusals += 1
    elif act in ("inform", "report"):
        matter.told.add(act)


# Questions.


def _ask_problem(belief: Belief) -> Filled:
    return None if belief.matter.topic else Say(("ask_problem",))


def _ask_order(belief: Belief) -> Filled:
    """For the order's number, and for the postcode where it isn't known yet."""
    if not belief.matter.topic or belief.matter.topic in ORDERLESS or "order" in belief.matter.slots:
        return None
    return Say(("ask_order_postcode" if _needs_postcode(belief) else "ask_order",))


def _ask_name(belief: Belief) -> Filled:
    """For the name, and for the postcode where it isn't known yet."""
    if not belief.matter.topic or belief.verified or "name" in belief.identity:
        return None
    return Say(("ask_name_postcode" if _needs_postcode(belief) else "ask_name",))


def _ask_postcode(belief: Belief) -> Filled:
    """A postcode is asked for again if the one that was given was wrong."""
    if not belief.matter.topic or not (_needs_postcode(belief) or (belief.mismatches and not belief.verified)):
        return None
    return None if _authenticate(belief) else Say(("ask_postcode_again" if belief.mismatches else "ask_postcode",))


def _needs_postcode(belief: Belief) -> bool:
    return not belief.verified and "postcode" not in belief.identity


def _ask_item(belief: Belief) -> Filled:
    matter = belief.matter
    return None if not matter.topic or matter.topic in ORDERLESS or "item" in matter.slots else Say(("ask_item",))


def _ask_wish(belief: Belief) -> Filled:
    return Say(("ask_wish",)) if belief.matter.topic in CHOOSING and "wish" not in belief.matter.slots else None


def _ask_detail(belief: Belief) -> Filled:
    """For what exactly is wrong or came instead, the other variant, the new address or means of payment, as it belongs to the topic."""
    slot = DETAILS.get(belief.matter.topic)
    if slot is None or slot in belief.matter.slots:
        return None
    return Say(("ask_received" if belief.matter.topic == "wrong_item" else f"ask_{slot}",))


# Facts and outcomes.


def _inform(belief: Belief) -> Filled:
    """Tell what is so: about the account, the article, the charge or the refund where the topic is that, else about the order."""
    topic, order, line = belief.matter.topic, belief.order, belief.line
    if topic == "howto":
        article = next(reversed(belief.articles.values()), None)
        return Say(("inform_article",), {"article": article["article"], "steps": article["steps"][0]}) if article else None
    if topic == "loyalty":
        account = belief.accounts.get(belief.verified or belief.account)
        return Say(("inform_loyalty",), {"tier": account["tier"], "points": str(account["points"])}) if account else None
    if order is None or not topic:
        return None
    if topic == "billing":
        return Say(("inform_charge",), {**belief.words, "amount": f"£{belief.matter.slots['amount']}"}) if belief.charge else None
    if topic == "refund" and line and "refunded" in line:
        return Say(("inform_refunded",), {**belief.words, "amount": f"£{line['refunded']}"})
    act = "inform_delivered" if "delivered" in order else "inform_coming_late" if "days_late" in order else "inform_coming"
    return Say((act,), belief.words)


def _report(belief: Belief) -> Filled:
    """Tell what was changed last. A return is reported with its refund."""
    deeds = belief.matter.deeds
    operation = next(reversed(deeds), "")
    if not operation or operation == "return":
        return None
    data, slots = deeds[operation], dict(belief.words)
    if operation == "refund":
        slots["amount"] = f"£{data['refunded']}"
        return Say(("done_return" if "return" in deeds else "done_refund",), slots)
    if operation == "exchange":
        slots["variant"] = catalogue().variants[data["variant"]].label
        return Say(("done_exchange" if belief.matter.slots.get("variant") else "done_replacement",), slots)
    return Say((f"done_{operation}",), slots | {"address": data.get("address", ""), "payment": data.get("label", "")})


def _refusing(reason: str, holds: Callable[[Belief], bool]) -> Fill:
    """Refuse what is wished for, with a reason that holds."""

    def refuse(belief: Belief) -> Filled:
        matter = belief.matter
        if not matter.topic or not holds(belief):
            return None
        wish = matter.slots.get("wish") or matter.topic
        act = f"refuse_{wish}" if wish in ON_ORDERS else "refuse"
        if act == "refuse" and reason in ("identity", "not_yours"):
            act = "refuse_disclosure"
        dated = ("inform_late",) if reason == "not_yet_late" else ()
        return Say((*dated, act, f"because_{reason}"), belief.words)

    return refuse


def _is_foreign(belief: Belief) -> bool:
    return belief.order is not None and belief.order["customer_id"] != (belief.verified or belief.account)


def _is_coming(belief: Belief) -> bool:
    return belief.order is not None and belief.order["status"] in ("pending", "processed", "shipped") and not belief.lost


def _was_shipped(belief: Belief) -> bool:
    return belief.order is not None and belief.order["status"] in ("shipped", "delivered", "returned")


def _is_sold_out(belief: Belief) -> bool:
    return belief.line is not None and belief.stock(belief.wanted or belief.line["variant"]) == 0


# Calls.


def _find_customer(belief: Belief) -> Filled:
    """By name, or else by the order's number."""
    for query in (belief.identity.get("name"), belief.matter.slots.get("order")):
        if query and query not in belief.searched:
            return Call("find_customer", {"query": query})
    return None


def _authenticate(belief: Belief) -> Filled:
    if not belief.account or not belief.untried:
        return None
    return Call("authenticate", {"customer_id": belief.account, "postcode": belief.untried})


def _get_customer(belief: Belief) -> Filled:
    who = belief.verified or belief.account
    return Call("get_customer", {"customer_id": who}) if who and who not in belief.accounts else None


def _get_order(belief: Belief) -> Filled:
    return Call("get_order", {"order_id": belief.unread}) if belief.unread else None


def _get_product(belief: Belief) -> Filled:
    product = belief.product
    return Call("get_product", {"product_id": product}) if product and product not in belief.products else None


def _get_article(belief: Belief) -> Filled:
    """Search for the customer's words; then read what was found, one after another."""
    if not belief.found:
        return Call("search_articles", {"query": belief.matter.text[-MAX_QUERY:].strip()}) if belief.matter.topic else None
    return Call("get_article", {"article_id": belief.unread_article}) if belief.unread_article else None


def _changing(operation: str, tool: str, more: Callable[[Belief], Mapping[str, str]] = lambda belief: {}, of_line: bool = False) -> Fill:
    """A change of the order that was read, once for each matter; ``more`` are its arguments besides the order and the line."""

    def change(belief: Belief) -> Filled:
        order, line, matter = belief.order, belief.line, belief.matter
        if order is None or line is None or operation in matter.deeds or operation not in ASKED_FOR.get(matter.topic, ()):
            return None
        arguments = {"order_id": order["order"], **({"line_id": line["line"]} if of_line else {}), **more(belief)}
        return Call(tool, arguments) if all(arguments.values()) else None

    return change


def _exchanged_for(belief: Belief) -> Mapping[str, str]:
    """The variant that the customer would like instead; the same again where the topic isn't that."""
    line = belief.line
    return {"variant_id": belief.wanted if belief.matter.topic == "exchange" else line["variant"] if line else ""}


def _once(operation: str, tool: str, **arguments: str) -> Fill:
    return lambda belief: None if operation in belief.matter.deeds or not belief.matter.topic else Call(tool, arguments)


SPOKEN: Mapping[str, Fill] = {
    "ask_problem": _ask_problem,
    "ask_order": _ask_order,
    "ask_name": _ask_name,
    "ask_postcode": _ask_postcode,
    "ask_item": _ask_item,
    "ask_wish": _ask_wish,
    "ask_detail": _ask_detail,
    "inform": _inform,
    "report": _report,
    "refuse_window": _refusing("window", lambda belief: belief.in_window is False),
    "refuse_shipped": _refusing("shipped", _was_shipped),
    "refuse_identity": _refusing("identity", lambda belief: not belief.verified),
    "refuse_final_sale": _refusing("final_sale", lambda belief: belief.final_sale),
    "refuse_sold_out": _refusing("sold_out", _is_sold_out),
    "refuse_not_yet_late": _refusing("not_yet_late", _is_coming),
    "refuse_warranty": _refusing("warranty", lambda belief: belief.covered is False),
    "refuse_policy": _refusing("policy", lambda belief: True),
    "refuse_not_yours": _refusing("not_yours", _is_foreign),
    "refuse_scope": _refusing("scope", lambda belief: True),
    "ask_more": lambda belief: Say(("ask_more",)),
}
"""Acts said to the customer. ``refuse_<reason>`` refuses what is wished for, for one of ``acts.REASONS``."""

CALLED: Mapping[str, Fill] = {
    "find_customer": _find_customer,
    "authenticate": _authenticate,
    "get_customer": _get_customer,
    "get_order": _get_order,
    "get_product": _get_product,
    "get_article": _get_article,
    "cancel_order": _changing("cancel", "cancel_order"),
    "return_item": _changing("return", "return_item", of_line=True),
    "refund": _changing("refund", "refund", lambda belief: {"amount": money(belief.owed) if belief.owed else ""}, of_line=True),
    "exchange_item": _changing("exchange", "exchange_item", _exchanged_for, of_line=True),
    "change_address": _changing("address", "change_address", lambda belief: {"address": belief.matter.slots.get("address", "")}),
    "change_payment": _changing("payment", "change_payment", lambda belief: {"payment_id": belief.payment}),
    "open_ticket": _once("ticket", "open_ticket", topic="billing", summary="a charge is to be checked"),
    "hand_over": _once("handover", "hand_over", reason="a matter for a person"),
}
"""Acts that are tool calls."""

_ACTS: Mapping[str, Fill] = {**SPOKEN, **CALLED}

CHOICES: tuple[tuple[str, str], ...] = (*((act, tone) for act in SPOKEN for tone in TONES), *((act, "neutral") for act in CALLED))
"""The action with number ``i`` is ``CHOICES[i]``: an act and a tone."""

NUMBER: Mapping[tuple[str, str], int] = {choice: number for number, choice in enumerate(CHOICES)}
"""The reverse of :data:`CHOICES`."""
