"""A scenario in the making: a shop with a customer, another customer, and orders as the needs want them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import numpy as np

from lm_envs.envs.customer_service.catalogue import Product, catalogue, money, pence
from lm_envs.envs.customer_service.data import check_wordings, load, load_checked, require
from lm_envs.envs.customer_service.shop import TIERS, Charge, Customer, Line, Order, Payment, Policy, Shop
from lm_envs.types import SPLITS, Split

T = TypeVar("T")

_POSTCODE_LETTERS = "ABDEFGHJLNPQRSTUWXYZ"
_OVERDUE = 4  # days by which a lost parcel is at most later than it must be
_LONG_AGO = 40  # days by which a return is at most too late


@dataclass
class Draft:
    """What needs add to.

    Attributes:
        rng: the only source of chance.
        split: whose words are used.
        shop: the books so far.
        customer: who writes, or is claimed to write.
        stranger: somebody else, who has an order of their own.
    """

    rng: np.random.Generator
    split: Split
    shop: Shop
    customer: Customer
    stranger: Customer
    _products: set[str] = field(default_factory=set)

    def pick(self, choices: Sequence[T]) -> T:
        """One of ``choices``, all equally likely."""
        return choices[int(self.rng.integers(len(choices)))]

    def between(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return int(self.rng.integers(low, high + 1))

    def product(self, *, final_sale: bool = False, articles: bool = False) -> Product:
        """A product that this scenario hasn't used yet."""
        fitting = [product for product in _products(final_sale) if product.id not in self._products and (product.articles or not articles)]
        product = self.pick(fitting)
        self._products.add(product.id)
        return product

    def order(
        self,
        status: str,
        *,
        product: Product | None = None,
        due: int | None = None,
        delivered: int | None = None,
        lines: int = 1,
        owner: Customer | None = None,
    ) -> Order:
        """Put an order into the books; its first line is the one in question.

        Args:
            status: one of ``shop.ORDER_STATUSES``.
            product: what is ordered; by default any.
            due: days from today until it is due, negative for the past; by default a few days ahead, or before delivery.
            delivered: days since delivery, where it was delivered.
            lines: how many lines it has.
            owner: whose order it is; by default the customer's.
        """
        today, owner = self.shop.today, owner or self.customer
        if due is None:
            due = -delivered + self.between(-1, 1) if delivered is not None else self.between(1, 6)
        placed = min(due, -(delivered or 0)) - self.between(3, 9)
        chosen = product or self.product()
        order = Order(
            number=self._number(),
            customer=owner.id,
            lines=[self._line("1", chosen), *(self._line(str(number), self.product()) for number in range(2, lines + 1))],
            status=status,
            placed=today + datetime.timedelta(days=placed),
            due=today + datetime.timedelta(days=due),
            delivered=None if delivered is None else today - datetime.timedelta(days=delivered),
            address=owner.address,
            payment=next(iter(owner.payments)),
        )
        self.shop.orders[order.number] = order
        return order

    def charge(self, order: Order, *, twice: bool = False) -> None:
        """Write a bill with delivery, or with the goods on it twice."""
        goods = [Charge("goods", order.goods)]
        delivery = Charge("delivery", pence(self.pick(_data()["delivery"])))
        order.charges = tuple(goods * 2 if twice else [*goods, delivery])

    def sell_out(self, variant: str) -> None:
        """Leave none of a variant."""
        self.shop.stock[variant] = 0

    def mark(self) -> tuple[dict[str, Order], dict[str, int], set[str]]:
        """What :meth:`back_to` needs to take back what is drafted from here on."""
        return dict(self.shop.orders), dict(self.shop.stock), set(self._products)

    def back_to(self, mark: tuple[dict[str, Order], dict[str, int], set[str]]) -> None:
        """Take back the orders, the stock and the choice of products since a mark."""
        self.shop.orders, self.shop.stock, self._products = mark

    def ensure_stock(self, variant: str) -> None:
        """Leave some of a variant, whatever the usual stock."""
        if self.shop.in_stock(variant) < 1:
            self.shop.stock[variant] = self.between(1, 5)

    def words(self, kind: str) -> list[str]:
        """Phrases of the data file for this split."""
        return _data()[kind][self.split]  # type: ignore[no-any-return]

    def address(self) -> str:
        """A new address somewhere."""
        return _address(self.rng)[0]

    def overdue(self) -> int:
        """Days by which a parcel is late and doesn't yet count as lost."""
        return self.between(1, self.shop.policy.lost - 1)

    def missing(self) -> int:
        """Days by which a parcel is so late that it counts as lost."""
        return self.between(self.shop.policy.lost, self.shop.policy.lost + _OVERDUE)

    def lately(self) -> int:
        """Days since a delivery that is within the return window."""
        return self.between(1, self.shop.policy.window - 1)

    def long_ago(self) -> int:
        """Days since a delivery that is past the return window."""
        return self.between(self.shop.policy.window + 2, self.shop.policy.window + _LONG_AGO)

    def _number(self) -> str:
        while (number := str(self.between(1000, 9999))) in self.shop.orders:
            pass
        return number

    def _line(self, number: str, product: Product) -> Line:
        variant = self.pick(product.variants)
        return Line(number, product.id, variant.id, 1, variant.price)


def begin(rng: np.random.Generator, split: Split) -> Draft:
    """A shop with two customers and no orders."""
    data = _data()
    today = datetime.date(2026, 1, 1) + datetime.timedelta(days=int(rng.integers(100, 350)))
    policy = Policy(**{name: choices[int(rng.integers(len(choices)))] for name, choices in data["policies"].items()})
    customer = _customer(rng, policy, "C" + str(int(rng.integers(11, 55))))
    stranger = customer
    while stranger.name == customer.name or stranger.postcode == customer.postcode:
        stranger = _customer(rng, policy, "C" + str(int(rng.integers(55, 99))))
    people = sorted((customer, stranger), key=lambda person: person.email)  # no order of theirs tells who writes
    shop = Shop(today=today, customers={person.id: person for person in people}, policy=policy)
    return Draft(rng, split, shop, customer, stranger)


def postcode(rng: np.random.Generator, area: str) -> str:
    """A postcode such as "LN4 2QA"."""
    letters = [_POSTCODE_LETTERS[int(index)] for index in rng.integers(len(_POSTCODE_LETTERS), size=2)]
    return f"{area}{int(rng.integers(1, 10))} {int(rng.integers(1, 10))}{''.join(letters)}"


def pounds(amount: int) -> str:
    """An amount as people write it: "£29.00"."""
    return f"£{money(amount)}"


def _customer(rng: np.random.Generator, policy: Policy, number: str) -> Customer:
    data = load("people")
    groups = _groups()
    name = full_name(rng, groups[int(rng.integers(len(groups)))])
    address, code = _address(rng)
    tier = TIERS[int(rng.integers(len(TIERS)))]
    low, high = {"standard": (0, policy.silver), "silver": (policy.silver, policy.gold), "gold": (policy.gold, policy.gold + 900)}[tier]
    labels = [label.format(digits=int(rng.integers(1000, 10_000))) for label in _data()["payments"]]
    first = int(rng.integers(len(labels)))
    chosen = [labels[first], labels[(first + 1 + int(rng.integers(len(labels) - 1))) % len(labels)]]
    return Customer(
        id=number,
        name=name,
        email=email_of(name, data["domains"][int(rng.integers(len(data["domains"])))]),
        postcode=code,
        address=address,
        tier=tier,
        points=int(rng.integers(low, high) // 10 * 10),
        payments={f"P{index}": Payment(f"P{index}", label) for index, label in enumerate(chosen, 1)},
    )


def full_name(rng: np.random.Generator, group: str) -> str:
    """A first and a last name of one group of ``people.json``."""
    names = load("people")["names"][group]
    return f"{names['first'][int(rng.integers(len(names['first'])))]} {names['last'][int(rng.integers(len(names['last'])))]}"


def email_of(name: str, domain: str) -> str:
    """An e-mail address for a name."""
    plain = name.lower().translate(_PLAIN)
    return f"{'.'.join(_NO_LETTERS.sub('', word) for word in plain.split())}@{domain}"


_NO_LETTERS = re.compile("[^a-z]+")
_PLAIN = str.maketrans("äöüßéèêëáàâãåąíìîïóòôõøúùûçćčñńşšžźżğıłýæœðþ", "aouseeeeaaaaaaiiiiooooouuucccnnsszzzgilyaodt")


def _address(rng: np.random.Generator) -> tuple[str, str]:
    """An address and its postcode."""
    data = load("people")
    town = data["towns"][int(rng.integers(len(data["towns"])))]
    code = postcode(rng, town["area"])
    street = data["streets"][int(rng.integers(len(data["streets"])))]
    return f"{int(rng.integers(1, 90))} {street}, {town['name']} {code}", code


@cache
def _groups() -> tuple[str, ...]:
    return tuple(load("people")["names"])


@cache
def _products(final_sale: bool) -> tuple[Product, ...]:
    return tuple(product for product in catalogue().products.values() if product.final_sale == final_sale)


def _data() -> dict[str, Any]:
    return load_checked("tasks", _check_tasks)  # type: ignore[no-any-return]


def _check_tasks(data: Mapping[str, Any]) -> None:
    fields = Policy.__dataclass_fields__
    require(data["policies"].keys() == fields.keys(), "tasks.json: policies", f"must name {', '.join(fields)}")
    require(min(data["policies"]["lost"]) >= 2, "tasks.json: policies", "a parcel must be able to be late before it is lost")
    for kind, least in (("scope", 8), ("goodwill", 4), ("person", 4)):
        check_wordings(f"tasks.json: {kind}", data[kind], dict.fromkeys(SPLITS, least))
    require(
        len(data["payments"]) >= 3 and all(pence(amount) > 0 for amount in data["delivery"]), "tasks.json", "needs payments and delivery"
    )
