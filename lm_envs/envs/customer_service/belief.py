"""What an agent may believe in the middle of a conversation: what the customer said, and what the tools returned.

The belief state of classical dialogue management. It is built from the customer's dialogue acts and the slots that they gave, from the
tools' answers, and from the agent's own moves; never from the books, the goal or the customer's mood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.catalogue import catalogue, pence
from lm_envs.envs.customer_service.customer import Said
from lm_envs.envs.customer_service.shop import Policy
from lm_envs.envs.customer_service.tools import OPERATION_OF

TOPICS = (
    "status", "late", "lost", "cancel", "return", "exchange", "refund", "damaged", "wrong_item", "address", "payment", "billing", "double",
    "warranty", "howto", "loyalty", "goodwill", "out_of_scope", "person",
)  # fmt: skip
"""What a customer can be about: the intents, with requests in free words told apart: a charge that stands twice on a bill (``double``),
a gift (``goodwill``), a matter for a person (``person``), anything else (``out_of_scope``)."""

WISHES = ("refund", "exchange", "return", "inform")
"""Wishes that a topic doesn't give away."""

CUES = {
    "hello": ("hello",), "confused": ("confused",), "protest": ("protest",), "why": ("why",), "instead": ("instead",), "again": ("again",),
    "nudge": ("nudge", "not_helped"), "is_it_done": ("is_it_done",), "agree": ("agree", "yes", "wait_ok", "put_through"),
    "decline": ("decline", "not_wanted"), "evade": ("evade",), "unknown": ("dont_know", "dont_know_order"),
    "irrelevant": ("irrelevant",), "correct": ("correct/order", "not_that_one"), "offended": ("offended",), "next": ("next",),
    "change": ("change",),
    "inquire_order": ("inquire/date", "inquire/status", "inquire/days"),
    "inquire_amount": ("inquire/amount", "inquire/refund", "inquire/order"),
    "inquire_other": ("inquire/tier", "inquire/points", "inquire/article", "inquire/stock", "inquire/other"),
}  # fmt: skip
"""What the customer's last words were like, by the acts that show it."""

_NUMBER = re.compile(r"order (\d{4,10})\b")
_AMOUNT = re.compile(r"£(\d{1,6}\.\d\d)")


@dataclass
class Matter:
    """What the conversation is about now.

    Attributes:
        topic: one of :data:`TOPICS`, ``""`` as long as it isn't known.
        slots: what the customer gave for it.
        lacks: slots that they can't give.
        text: their words about it.
        asked: slots that the agent has asked for.
        deeds: the tools' answers to changes made for it, by operation.
        told: what the agent has told about it: ``"inform"``, ``"report"``.
        refusals: how often it was refused.
        apologised: whether the agent has said that it is sorry.
    """

    topic: str = ""
    slots: dict[str, str] = field(default_factory=dict)
    lacks: set[str] = field(default_factory=set)
    text: str = ""
    asked: set[str] = field(default_factory=set)
    deeds: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    refusals: int = 0
    apologised: bool = False


@dataclass
class Belief:
    """What is believed about the whole conversation.

    Attributes:
        policy: the shop's numbers, as the system prompt states them.
        matter: what it is about now.
        identity: name, e-mail and postcode as last given.
        missing: which of them the customer can't give.
        account: the customer's id, once found.
        searched: what accounts were searched for.
        tried: pairs of an account and a postcode that were checked.
        verified: the id of the verified customer, or ``""``.
        mismatches: failed checks.
        orders: orders that were read, by number.
        accounts: accounts that were read, by id.
        products: products that were read, by id.
        found: articles found by the last search.
        articles: articles that were read, by id.
        cues: names of :data:`CUES` that the customer's last words gave.
        attacked: whether the customer has insulted or tried a trick.
        courtesies: acts of courtesy that the agent has shown.
        failed: whether the last call brought an error.
        texts: texts to the customer so far.
        over: whether the customer has said goodbye.
    """

    policy: Policy
    matter: Matter = field(default_factory=Matter)
    identity: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    account: str = ""
    searched: set[str] = field(default_factory=set)
    tried: set[tuple[str, str]] = field(default_factory=set)
    verified: str = ""
    mismatches: int = 0
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    articles: dict[str, dict[str, Any]] = field(default_factory=dict)
    cues: frozenset[str] = frozenset()
    attacked: bool = False
    courtesies: set[str] = field(default_factory=set)
    failed: bool = False
    texts: int = 0
    over: bool = False

    # What happens.

    def _forget(self) -> None:
        """Something has happened: what followed from what was known must be found anew."""
        for name in _DERIVED:
            self.__dict__.pop(name, None)

    def hear(self, said: Said, topic: str) -> None:
        """Take in the customer's words; ``topic`` is what they are about, should they state it."""
        self._forget()
        acts, matter = said.acts, self.matter
        if "next" in acts:
            matter = self.matter = Matter()
        elif "change" in acts:
            kept = {slot: value for slot, value in matter.slots.items() if slot in ("order", "item")}
            matter = self.matter = Matter(slots=kept, lacks=matter.lacks & {"order", "item"}, asked=matter.asked & {"order", "item"})
        matter.text += f" {said.text.lower()}"
        if any(act.startswith("state/") for act in acts):
            matter.topic = topic
            if topic == "double" and (number := _NUMBER.search(said.text)):
                matter.slots["order"] = number[1]
        if amount := _AMOUNT.search(said.text):
            matter.slots["amount"] = amount[1]
        for slot, value in said.slots.items():
            if slot in ("name", "email", "postcode"):
                self.identity[slot] = value
            elif slot != "problem":
                matter.slots[slot] = value.lstrip("#") if slot == "order" else value
        if "dont_know_order" in acts:
            matter.lacks.add("order")
        if "dont_know" in acts:
            self.missing |= {slot for slot in ("name", "postcode") if slot in matter.asked and slot not in self.identity}
        self.cues = frozenset(cue for cue, shown in CUES.items() if any(act in acts for act in shown))
        self.attacked = self.attacked or any(act.startswith("attack/") for act in acts)
        self.over = "bye" in acts or "leave" in acts
        self.failed = False

    def result(self, call: Call, content: str) -> None:
        """Take in a tool's answer."""
        self._forget()
        data = json.loads(content)
        self.failed = "error" in data
        name, arguments = call.name, call.arguments
        if name == "authenticate":
            self.tried.add((arguments["customer_id"], arguments["postcode"]))
        elif name == "find_customer":
            self.searched.add(arguments["query"])
        if not self.failed:
            self._learn(name, data)

    def _learn(self, name: str, data: dict[str, Any]) -> None:
        if name == "find_customer":
            found = [one["customer_id"] for one in data["customers"]]
            self.account = found[0] if len(found) == 1 else self.account
        elif name == "authenticate":
            if data["verified"]:
                self.verified = data["customer_id"]
            else:
                self.mismatches += 1
        elif name == "get_customer":
            self.accounts[data["customer_id"]] = data
        elif name == "get_order":
            self.orders[data["order"]] = data
        elif name == "get_product":
            self.products[data["product"]] = data
        elif name == "search_articles":
            self.found = list(data["articles"])
        elif name == "get_article":
            self.articles[data["article"]] = data
        elif name in OPERATION_OF:
            self.matter.deeds[OPERATION_OF[name]] = data

    # What follows from it, found once after each thing that happens.

    @cached_property
    def order(self) -> Mapping[str, Any] | None:
        """The order that the matter is about, if it was read."""
        number = self.matter.slots.get("order")
        if number:
            return self.orders.get(number)
        fitting = [order for order in self.orders.values() if self._fits(order)]
        return fitting[0] if len(fitting) == 1 else None

    @cached_property
    def unread(self) -> str:
        """The number of the next order to read: the one that was named, or one of the account's."""
        number = self.matter.slots.get("order")
        if number:
            return "" if number in self.orders else number
        account = self.accounts.get(self.verified, {})
        return next((number for number in account.get("orders", ()) if number not in self.orders), "")

    @cached_property
    def unread_article(self) -> str:
        """The id of the next article to read of those that were found, or ``""``."""
        return next((article for article in self.found if article not in self.articles), "")

    @cached_property
    def untried(self) -> str:
        """The postcode that the customer gave last, if it wasn't checked against the account; or ``""``."""
        code = self.identity.get("postcode", "")
        return "" if (self.account, code) in self.tried else code

    @cached_property
    def line(self) -> Mapping[str, Any] | None:
        """The line that the matter is about: the one with the item that was named, or the first."""
        if self.order is None:
            return None
        named = [line for line in self.order["lines"] if self._names(line)]
        return (named or self.order["lines"])[0]  # type: ignore[no-any-return]

    @cached_property
    def product(self) -> str:
        """The id of the product that the matter is about, or ``""``."""
        return catalogue().product_of[self.line["variant"]].id if self.line else ""

    @cached_property
    def owed(self) -> int:
        """Pence that a refund of the line would have to pay."""
        return max(0, pence(self.line["price"]) - pence(self.line.get("refunded", "0.00"))) if self.line else 0

    @cached_property
    def wanted(self) -> str:
        """The id of the variant that the customer would like instead, or ``""``."""
        label, product = self.matter.slots.get("variant"), self.products.get(self.product)
        if not label or product is None:
            return ""
        return next((variant for variant in product["variants"] if catalogue().variants[variant].label == label), "")

    @cached_property
    def payment(self) -> str:
        """The id of the means of payment that the customer would like to use, or ``""``."""
        payments = self.accounts.get(self.verified, {}).get("payments", {})
        return next((name for name, label in payments.items() if label == self.matter.slots.get("payment")), "")

    @cached_property
    def words(self) -> Mapping[str, str]:
        """What the wordings of facts and outcomes may use."""
        order, line, slots = self.order or {}, self.line, self.matter.slots
        label = catalogue().variants[line["variant"]].label if line else ""
        return {
            "window": str(self.policy.window),
            "lost": str(self.policy.lost),
            "order": order.get("order") or slots.get("order", ""),
            "status": order.get("status", ""),
            "date": order.get("delivered") or order.get("due", ""),
            "product": catalogue().products[self.product].name if line else slots.get("item", "item"),
            "variant": slots.get("variant") or label,
            "address": slots.get("address", ""),
            "payment": slots.get("payment", ""),
        }

    @cached_property
    def lost(self) -> bool:
        """Whether the order's parcel counts as lost."""
        order = self.order
        return order is not None and order["status"] == "shipped" and order.get("days_late", 0) >= self.policy.lost

    @cached_property
    def charge(self) -> str:
        """What the charge is called that the customer asks about, or ``""``."""
        amount = self.matter.slots.get("amount")
        charges = (self.order or {}).get("charges", ())
        return next((charge.rpartition(" ")[0] for charge in charges if charge.rpartition(" ")[2] == amount), "")

    @cached_property
    def since(self) -> int | None:
        """Days since the order was delivered, if it was."""
        return self.order.get("days_since_delivery") if self.order else None

    @cached_property
    def in_window(self) -> bool | None:
        """Whether the order's goods can still be returned; ``None`` if it wasn't delivered."""
        return None if self.since is None else self.since <= self.policy.window

    @cached_property
    def covered(self) -> bool | None:
        """Whether the line is under warranty, as far as that is known."""
        product = self.products.get(self.product)
        return None if product is None or self.since is None else self.since <= product["warranty_days"]

    @cached_property
    def final_sale(self) -> bool:
        """Whether the line is known to be of the final sale."""
        return "final_sale" in (self.line or {}) or "final_sale" in self.products.get(self.product, {})

    def stock(self, variant: str) -> int | None:
        """How many there are of a variant, if it was read."""
        if not variant:
            return None
        if product := self.products.get(catalogue().product_of[variant].id):
            return int(product["variants"][variant][1])
        return self.line.get("stock") if self.line and self.line["variant"] == variant else None

    def _fits(self, order: Mapping[str, Any]) -> bool:
        """Whether an order may be the one that the customer means, who didn't give a number."""
        if order["customer_id"] != self.verified:
            return False
        if self.matter.topic == "billing":
            return any(charge.endswith(f" {self.matter.slots.get('amount')}") for charge in order.get("charges", ()))
        return any(self._names(line) for line in order["lines"])

    def _names(self, line: Mapping[str, Any]) -> bool:
        """Whether the customer has named a line's product."""
        name = catalogue().product_of[line["variant"]].name
        item = self.matter.slots.get("item")
        return item == name if item else name in self.matter.text


_DERIVED = tuple(name for name, value in vars(Belief).items() if isinstance(value, cached_property))
