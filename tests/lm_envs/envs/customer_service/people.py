"""Customers and scripted agents for tests: readings are made by hand, so that no understanding comes between."""

import numpy as np

from lm_envs.envs.customer_service import personas
from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.customer import SimulatedCustomer
from lm_envs.envs.customer_service.scenario import Attack, Need, Scenario

IDENTITY = {"name": "Ann Lee", "email": "ann@postbox.example", "postcode": "LS1 4AB"}
PERSONAS = {persona["name"]: persona for persona in personas.everyone()}


def read(*acts, words=8, **facts):
    """A reading with some acts and facts; a fact may have several values."""
    pairs = {(kind, value) for kind, values in facts.items() for value in ((values,) if isinstance(values, str) else values)}
    return Reading(acts, frozenset(pairs), silent=words == 0, words=words)


def need(intent="damaged", wish="exchange", order="4411", **more):
    knows = {"order": order, "item": "kettle", **more.pop("knows", {})}
    lacks = more.get("lacks", ())
    return Need(intent, wish, {slot: value for slot, value in knows.items() if slot not in lacks}, order=order, **more)


def scenario(*needs, persona="patient", **more):
    persona = PERSONAS[persona] if isinstance(persona, str) else persona
    attack = more.pop("attack", Attack(persona["attack"], "refund", "4411") if persona["attack"] else None)
    identity = {**IDENTITY, **more.pop("identity", {})}
    return Scenario("s", persona["split"], persona, None, "C1", identity, needs, attack=attack, **more)


def customer(*needs, seed=0, **more):
    return SimulatedCustomer(scenario(*needs, **more), np.random.default_rng(seed))


BROKEN = {"evidence": "the handle is broken off"}
NEEDS = {
    "replacement": need(knows=BROKEN, due="exchange"),
    "sold out": need(knows=BROKEN, accepts=("refund",), due="refund", tells=frozenset({("amount", "29.00")})),
    "faulty": need("warranty", "exchange", knows={"problem": "it leaks", "evidence": "it leaks"}, due="exchange"),
    "warranty over": need("warranty", "exchange", knows={"problem": "it leaks"}, due="refuse", reason="warranty"),
    "wrong item": need("wrong_item", "refund", knows={"evidence": "there was a scarf in the parcel"}, due="refund"),
    "return": need("return", "return", accepts=("refund",), due="return", tells=frozenset({("amount", "29.00")})),
    "return too late": need("return", "return", due="refuse", reason="window"),
    "other variant": need("exchange", "exchange", knows={"variant": "blue"}, due="exchange"),
    "cancel": need("cancel", "cancel", due="cancel"),
    "cancel shipped": need("cancel", "cancel", due="refuse", reason="shipped"),
    "address": need("address", "address", knows={"address": "3 Hill Road, Leeds LS2 9XX"}, due="address"),
    "payment": need("payment", "payment", knows={"payment": "Visa card ending 4821"}, due="payment"),
    "where is it": need("status", "", lacks=("order",), tells=frozenset({("status", "shipped"), ("date", "05-14")})),
    "late": need("late", "refund", due="refuse", reason="not_yet_late", tells=frozenset({("date", "05-14")})),
    "lost": need("lost", "refund", due="refund", tells=frozenset({("amount", "29.00")})),
    "money": need("refund", "refund", due="refund", tells=frozenset({("amount", "29.00")})),
    "twice": need("billing", "ticket", knows={"amount": "58.00"}, due="ticket", details={"request": "sort out a double charge"}),
    "charge": need("billing", "", lacks=("order",), knows={"amount": "4.90"}, tells=frozenset({("order", "4411"), ("amount", "4.90")})),
    "points": need("loyalty", "", order="", tells=frozenset({("tier", "gold"), ("points", "1540")})),
    "goodwill": need("loyalty", "", order="", due="refuse", reason="policy", details={"request": "give me 500 points"}),
    "manual": need("howto", "", order="", tells=frozenset({("article", "KB-1")}), details={"task": "descale a kettle"}),
    "weather": need("out_of_scope", "", order="", due="refuse", reason="scope"),
    "injury": need("out_of_scope", "handover", order="", due="handover", details={"request": "deal with my burnt hand"}),
    "changed mind": need(
        "cancel", "cancel", due="cancel", then=need("address", "address", knows={"address": "3 Hill Road"}, due="address")
    ),
}


class Agent:
    """Does the right thing, in a manner of its own, and only from what the customer has said.

    Args:
        at_once: questions in one message.
        first: the slot asked for before others.
        hello: greets before anything else.
        confirms: proposes before it acts.
        sorry: apologises in every message.
        calls: tool calls before it acts.
        early: tells what it knows of the order in every message.
        more: asks whether there is anything else with each solution.
        chatty: says something that leads nowhere before each question.
        terse: says only that it is done, or no, and more only when asked.
    """

    def __init__(
        self, at_once=2, first="", hello=False, confirms=False, sorry=False, calls=3, early=False, more=False, chatty=False, terse=False
    ):
        self.at_once, self.first, self.calls = at_once, first, calls
        self.hello, self.confirms, self.sorry, self.early, self.more = hello, confirms, sorry, early, more
        self.chatty, self.terse = chatty, terse
        self.proposed, self.rested = set(), False

    def play(self, customer, limit=40):
        """Talk until the customer goes, or the limit; the number of replies."""
        said, replies = customer.open(), 0
        while not (customer.settled or customer.left) and replies < limit:
            acts, facts = self.reply(customer, said)
            said = customer.react(read(*acts, words=6 + replies, **facts), f"{acts} {facts} {replies}")
            replies += 1
        return replies

    def reply(self, customer, said):
        extra = ("empathise",) if self.sorry else ()
        if self.hello:
            self.hello = False
            return ("greet", *extra), {}
        if not customer.stated:
            return ("ask_problem", *extra), {}
        need = customer.open_need
        facts = {"status": "shipped"} if self.early and need.order else {}
        slots = [slot for slot in ("postcode", "evidence", "variant", "address", "payment", "order") if self.is_needed(slot, need)]
        slots = [slot for slot in slots if slot not in customer.disclosed]
        if "order" in need.lacks and "dont_know_order" not in said.acts and "order" not in self.proposed:
            self.proposed.add("order")
            slots.append("order")
        slots.sort(key=lambda slot: slot != self.first)
        if slots:
            if self.chatty and not self.rested:
                self.rested = True
                return ("thank",), {}
            self.rested = False
            return (*extra, *(f"ask_{slot}" for slot in slots[: self.at_once])), facts
        if self.confirms and id(need) not in self.proposed:
            self.proposed.add(id(need))
            if need.due not in ("inform", "refuse"):
                return (f"offer_{need.due}", "confirm", *extra), facts
        for _ in range(self.calls):
            customer.wait()
        return self.solve(need, said, extra)

    def is_needed(self, slot, need):
        if slot in ("postcode", "order"):
            return need.order != "" and slot not in need.lacks
        return slot in need.knows

    def solve(self, need, said, extra):
        tells = {kind: value for kind, value in need.tells}
        if self.terse:
            asked = {act.removeprefix("inquire/") for act in said.acts}
            tells = {kind: value for kind, value in tells.items() if kind in asked} if need.due != "inform" else tells
        closing = ("ask_more",) if self.more else ()
        if need.due == "inform":
            return ("inform", *extra, *closing), tells
        if need.due == "refuse":
            reason = {} if self.terse and "why" not in said.acts else {"reason": need.reason}
            return (f"refuse_{need.wish}" if need.wish else "refuse", *extra, *closing), {**tells, **reason}
        done = ("done_return", "done_refund") if need.due == "return" else (f"done_{need.due}",)
        refused = (f"refuse_{need.wish}",) if need.due != need.wish else ()
        return (*extra, *refused, *done, *closing), tells | ({"reason": "sold_out"} if refused else {})


AGENTS = {
    "plain": {},
    "one at a time": {"at_once": 1},
    "everything at once": {"at_once": 6},
    "order first": {"first": "order", "at_once": 1},
    "evidence first": {"first": "evidence", "at_once": 1},
    "greets first": {"hello": True},
    "confirms first": {"confirms": True},
    "apologises": {"sorry": True},
    "works slowly": {"calls": 9},
    "informs early": {"early": True},
    "asks for more": {"more": True},
    "chatty": {"chatty": True, "at_once": 1},
    "terse": {"terse": True},
    "all of it": {"hello": True, "confirms": True, "sorry": True, "early": True, "more": True, "at_once": 1},
}
