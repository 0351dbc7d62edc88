"""What happened in an episode, in order: calls, texts to the customer, what the customer said. Only ever added to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.shop import Customer, Order, Shop, day_fact, plain, plain_postcode
from lm_envs.envs.customer_service.tools import OPERATION_OF, Toolbox, ToolResult


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        index: its place in the record.
        kind: a tool call, a text to the customer, words of the customer, or the end of the conversation.
        before: the books before a call.
        result: what a call brought.
        reading: what was understood of a text.
    """

    index: int
    kind: Literal["call", "text", "said", "end"]
    before: Shop | None = None
    result: ToolResult | None = None
    reading: Reading = Reading()


@dataclass(frozen=True, slots=True)
class Deed:
    """A change that was carried out: operation, order (``""`` for a ticket or a handover), line, pence refunded, place in the record."""

    operation: str
    order: str
    line: str
    amount: int
    index: int


class Record:
    """An episode so far, and what follows from it.

    Args:
        shop: the books; the record reads them, and :meth:`call` lets tools change them.
        person: whether the matter is one that a person must take over (an injury, a legal threat).

    Attributes:
        events: all of it.
        verified: the id of the customer whose identity was verified, or ``""``.
        mismatches: failed attempts at that.
        given: what the customer has said, by slot.
        intents: what they came for, by order; under ``""`` where no order was meant.
        quoted: facts that the customer stated, which an agent may repeat.
        asked: slots that the agent has asked for.
        examined: orders about which the customer said, or was asked, what exactly is wrong; ``""`` for what they had not named yet.
        deeds: changes carried out.
        refused_at: the place of the last refusal, -1 if there was none.
        reasons: reasons given for refusals.
        offers: operations promised, with the place in the record.
        read: ids of orders, customers and products that were looked up.
        private: facts about accounts that came up in lookups, with their owners.
    """

    def __init__(self, shop: Shop, person: bool = False) -> None:
        self.shop = shop
        self.person = person
        self.events: list[Event] = []
        self.verified = ""
        self.mismatches = 0
        self.given: dict[str, set[str]] = {}
        self.intents: dict[str, set[str]] = {}
        self.quoted: set[tuple[str, str]] = set()
        self.asked: set[str] = set()
        self.examined: set[str] = set()
        self.deeds: list[Deed] = []
        self.refused_at = -1
        self.reasons: set[str] = set()
        self.offers: dict[str, int] = {}
        self.read: set[str] = set()
        self.private: dict[tuple[str, str], set[str]] = {}
        self._subject = ""  # the order that the customer spoke of last

    def call(self, toolbox: Toolbox, call: Call) -> Event:
        """Carry out a call on the shop's tools and note it."""
        tool = toolbox.tools.get(call.name)
        before = self.shop.copy() if tool is not None and tool.kind == "WRITE" else self.shop
        result = toolbox.call(call)
        event = self._add(Event(len(self.events), "call", before=before, result=result))
        arguments = result.arguments
        if order := self.shop.orders.get(arguments.get("order_id", "")):
            self.read.add(order.number)
            self._learn_order(order)
        if not result.ok:
            return event
        if result.kind == "WRITE":
            self._learn_deed(event, result)
        elif result.name == "authenticate":
            if result.data["verified"]:
                self.verified = result.data["customer_id"]
            else:
                self.mismatches += 1
        elif result.name == "get_customer":
            self._learn_customer(self.shop.customers[result.data["customer_id"]])
        elif result.name == "get_product":
            self.read.add(result.data["product"])
        return event

    def text(self, reading: Reading) -> Event:
        """Note a text to the customer. What follows from it for later texts is known once :meth:`told` is called."""
        return self._add(Event(len(self.events), "text", reading=reading))

    def said(
        self, slots: Mapping[str, str], intent: str = "", order: str = "", facts: Iterable[tuple[str, str]] = (), wish: str = ""
    ) -> Event:
        """Note the customer's words.

        Args:
            slots: what they gave, by ``acts.SLOTS``.
            intent: what they want, one of ``scenario.INTENTS``, once they have said so.
            order: the order that it is about, ``""`` for none.
            facts: (kind, value) of ``acts.FACTS`` that their words hold.
            wish: the operation that they asked for, if any.
        """
        for slot, value in slots.items():
            self.given.setdefault(slot, set()).add(value)
        self._subject = order
        if "evidence" in slots:
            self.examined.add(order)
        if wish:
            self.given.setdefault("wish", set()).add(wish)
        if intent:
            self.intents.setdefault(order, set()).add(intent)
        self.quoted.update(facts)
        if "order" in slots:
            self.quoted.add(("order", slots["order"].lstrip("#")))
        return self._add(Event(len(self.events), "said"))

    def end(self) -> Event:
        """Note that the conversation is over."""
        return self._add(Event(len(self.events), "end"))

    def told(self, event: Event) -> None:
        """Let a text, once it is judged, count for what comes after it."""
        reading = event.reading
        if not reading.acts:
            return
        self.asked.update(reading.asks)
        if "ask_evidence" in reading.acts:
            self.examined.add(self._subject)
        if reading.refuses:
            self.refused_at = event.index
            self.reasons |= reading.values("reason")
        if "ask_wish" not in reading.acts and "confirm" not in reading.acts:  # a proposal is no promise
            for operation in reading.operations("offer"):
                self.offers[operation] = event.index

    def stated(self, order: str) -> set[str]:
        """What the customer has said that they want about an order."""
        return self.intents.get(order, set()) | self.intents.get("", set())

    def is_given(self, slot: str, value: str) -> bool:
        """Whether the customer gave this value, apart from spelling."""
        form = plain_postcode if slot == "postcode" else plain
        return any(form(given) == form(value) for given in self.given.get(slot, ()))

    def owners(self) -> list[Customer]:
        """The customer, or everybody whom it might be."""
        if self.verified:
            return [self.shop.customers[self.verified]]
        return list(self.shop.customers.values())

    def orders(self) -> list[Order]:
        """The orders of :meth:`owners`."""
        return self.shop.orders_of(self.verified) if self.verified else list(self.shop.orders.values())

    def _add(self, event: Event) -> Event:
        self.events.append(event)
        return event

    def _learn_order(self, order: Order) -> None:
        facts = [
            ("status", order.status),
            ("date", day_fact(order.due)),
            ("date", day_fact(order.placed)),
            ("address", plain(order.address)),
        ]
        if order.delivered:
            facts.append(("date", day_fact(order.delivered)))
        self._learn_private(facts, order.customer)

    def _learn_customer(self, customer: Customer) -> None:
        self.read.add(customer.id)
        facts = [
            ("email", customer.email.lower()),
            ("address", plain(customer.address)),
            ("tier", customer.tier),
            ("points", str(customer.points)),
        ]
        self._learn_private(facts, customer.id)

    def _learn_private(self, facts: Iterable[tuple[str, str]], owner: str) -> None:
        for fact in facts:
            self.private.setdefault(fact, set()).add(owner)

    def _learn_deed(self, event: Event, result: ToolResult) -> None:
        arguments = result.arguments
        operation = OPERATION_OF[result.name]
        amount = arguments.get("amount", 0)
        if operation == "cancel":
            assert event.before is not None
            old = event.before.orders[arguments["order_id"]]
            amount = old.paid - old.refunded
        self.deeds.append(Deed(operation, arguments.get("order_id", ""), arguments.get("line_id", ""), amount, event.index))
