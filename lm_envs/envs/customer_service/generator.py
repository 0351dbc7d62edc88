"""Draws scenarios: who writes, with what problem, about which order, under which rules."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, TypeVar

import numpy as np

from lm_envs.envs.customer_service import rules
from lm_envs.envs.customer_service.data import load
from lm_envs.envs.customer_service.shop import Customer, Order, Shop
from lm_envs.types import Split

T = TypeVar("T")

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
_MISMATCH = 0.12  # share of scenarios with a postcode that isn't the one on file


@dataclass(frozen=True)
class Scenario:
    """One episode's world before the first reply. Agents see :attr:`prompt` and what the customer says; nothing else.

    Attributes:
        id: tells scenarios apart and says nothing else about them.
        split: the split it belongs to.
        intent: what the customer came for, one of ``rules.INTENTS``.
        persona: an entry of ``personas.json``.
        shop: the books as they stand at first; :meth:`fresh_shop` gives a copy to work on.
        order: the number of the order in question.
        policy: the shop's rules.
        slots: what fills the templates: item, price, date, flaw, ...
        postcode: the one that the customer will give.
        vague: whether the customer opens without naming the problem.
        prompt: the system message.
        wording: seeds the expert's choice of words, so that asking the expert never changes the episode.
    """

    id: str
    split: Split
    intent: str
    persona: Mapping[str, Any]
    shop: Shop
    order: str
    policy: rules.Policy
    slots: Mapping[str, str]
    postcode: str
    vague: bool
    prompt: str
    wording: int

    def fresh_shop(self) -> Shop:
        """The books, to be changed by an episode."""
        orders = {number: replace(order) for number, order in self.shop.orders.items()}
        return Shop(customers=dict(self.shop.customers), stock=dict(self.shop.stock), orders=orders)

    @cached_property
    def identified(self) -> bool:
        """Whether the customer's postcode is the one on file."""
        return self.shop.matches(self.order, self.postcode)

    @cached_property
    def remedy(self) -> str:
        """What must happen in the end, one of ``rules.REMEDIES``: the solution, which no agent may see."""
        order = self.shop.orders[self.order]
        return rules.remedy(self.intent, order, self.shop.in_stock(order.product), self.policy, self.identified)

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The details that an agent has to get out of the customer after the opening message."""
        details = rules.needed_details(self.intent, self.remedy)
        return details if self.vague else tuple(detail for detail in details if detail != "problem")


def generate(rng: np.random.Generator, split: Split, intents: Sequence[str] = rules.INTENTS) -> Scenario:
    """Draw a scenario.

    The splits share neither personas, nor wordings, nor pairs of intent and product.

    Args:
        rng: the only source of chance.
        split: ``"train"`` or ``"test"``.
        intents: what customers come for.
    """
    data = load("shop")
    intent = pick(rng, intents)
    product = pick(rng, _products(intent, split))
    persona = pick(rng, _personas(split))
    policy = rules.Policy(window=pick(rng, data["windows"]), overdue=pick(rng, data["overdue"]))
    customer = Customer(name=pick(rng, data["customers"]), postcode=_postcode(rng, data["postal_areas"]))
    order = _order(rng, intent, policy, customer, product, _address(rng, data["streets"]))
    stock = {product["name"]: 0 if rng.random() < 0.3 else int(rng.integers(1, 20))}
    shop = Shop(customers={customer.name: customer}, stock=stock, orders={order.number: order})
    given = customer.postcode
    if rng.random() < _MISMATCH:
        while given == customer.postcode:
            given = _postcode(rng, data["postal_areas"])
    name = pick(rng, data["names"])
    slots = {
        "item": product["name"],
        "price": f"£{product['price']}",
        "variant": product["variant"],
        "flaw": pick(rng, product["flaws"]),
        "other": pick(rng, [other["name"] for other in data["products"] if other is not product]),
        "order": order.number,
        "postcode": given,
        "address": _address(rng, data["streets"]),
        "date": f"{order.due[0]} {order.due[1]}" if order.due else "",
        "window": str(policy.window),
        "overdue": str(policy.overdue),
        "shop": name,
    }
    vague = bool(rng.random() < persona["vague"])
    prompt = pick(rng, data["prompts"][split]).format_map(slots)
    wording = int(rng.integers(2**32))
    content = [split, intent, persona["name"], shop.as_dict(), slots, vague, prompt]
    return Scenario(
        id=f"{split}-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]}",
        split=split,
        intent=intent,
        persona=persona,
        shop=shop,
        order=order.number,
        policy=policy,
        slots=slots,
        postcode=given,
        vague=vague,
        prompt=prompt,
        wording=wording,
    )


@cache
def _products(intent: str, split: Split) -> list[dict[str, Any]]:
    return [product for index, product in enumerate(load("shop")["products"]) if split_of(intent, index) == split]


@cache
def _personas(split: Split) -> list[dict[str, Any]]:
    return [persona for persona in load("personas")["personas"] if persona["split"] == split]


def split_of(intent: str, product: int) -> Split:
    """The split that owns a pair of an intent and the index of a product: a quarter of them are for testing."""
    return "test" if (rules.INTENTS.index(intent) + product) % 4 == 3 else "train"


def month_number(name: str) -> int:
    """1 for January."""
    return _MONTHS.index(name) + 1


def random_date(rng: np.random.Generator) -> tuple[int, str]:
    """Any day and month that exist in each year."""
    return int(rng.integers(1, 29)), pick(rng, _MONTHS)


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of ``choices``, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def _order(
    rng: np.random.Generator, intent: str, policy: rules.Policy, customer: Customer, product: Mapping[str, Any], address: str
) -> Order:
    order = Order(
        number=str(int(rng.integers(1000, 10000))),
        customer=customer.name,
        product=product["name"],
        price=product["price"],
        status="packed",
        address=address,
        due=random_date(rng),
    )
    allowed = bool(rng.random() < 0.6)  # whether the rules are on the customer's side, where that is open
    if intent == "late":
        order.status = "shipped"
        order.days_late = int(rng.integers(policy.overdue, policy.overdue + 10)) if allowed else int(rng.integers(1, policy.overdue))
    elif intent in ("refund", "exchange", "damaged", "wrong_item"):
        order.status, order.due = "delivered", None
        late = not allowed and intent in ("refund", "exchange")
        order.days_since_delivery = (
            int(rng.integers(policy.window + 1, policy.window + 40)) if late else int(rng.integers(1, policy.window + 1))
        )
    elif not allowed:
        order.status = "shipped"
    return order


def _postcode(rng: np.random.Generator, areas: Sequence[str]) -> str:
    letters = "ABDEFGHJLN"
    return f"{pick(rng, areas)}{int(rng.integers(1, 10))} {int(rng.integers(1, 10))}{pick(rng, letters)}{pick(rng, letters)}"


def _address(rng: np.random.Generator, streets: Sequence[str]) -> str:
    return f"{int(rng.integers(1, 100))} {pick(rng, streets)}"
