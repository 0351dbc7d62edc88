"""What the shop sells and knows: products with their variants, and the knowledge base. None of it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lm_envs.envs.customer_service.data import load


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of a product: id ``"kettle-red"``, label ``"red"``, price in pence, usual stock."""

    id: str
    label: str
    price: int
    stock: int


@dataclass(frozen=True, slots=True)
class Product:
    """What the shop sells, from ``products.json``.

    Attributes:
        id: ``"desk-lamp"``.
        name: ``"desk lamp"``.
        warranty: in months.
        final_sale: whether it can't be returned or exchanged without a fault.
        faults: what tends to be wrong with it, as clauses: ``"the shade is torn"``.
        articles: ids of articles about it.
        variants: two or more.
    """

    id: str
    name: str
    warranty: int
    final_sale: bool
    faults: tuple[str, ...]
    articles: tuple[str, ...]
    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True)
class Article:
    """An entry of the knowledge base, from ``articles.json``: how to do something, and words to find it by."""

    id: str
    title: str
    steps: tuple[str, ...]
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What doesn't change: products, variants and articles by id, and each variant's product."""

    products: Mapping[str, Product]
    variants: Mapping[str, Variant]
    product_of: Mapping[str, Product]
    articles: Mapping[str, Article]

    def __reduce__(self) -> tuple[Any, ...]:
        return catalogue, ()  # copies and pickles share it too


@cache
def catalogue() -> Catalogue:
    """The catalogue of ``products.json`` and ``articles.json``."""
    products = {}
    for entry in load("products")["products"]:
        variants = tuple(Variant(v["id"], v["label"], pence(v["price"]), v["stock"]) for v in entry["variants"])
        products[entry["id"]] = Product(
            id=entry["id"],
            name=entry["name"],
            warranty=entry["warranty"],
            final_sale=entry.get("final_sale", False),
            faults=tuple(entry["faults"]),
            articles=tuple(entry["articles"]),
            variants=variants,
        )
    articles = {
        entry["id"]: Article(
            id=entry["id"],
            title=entry["title"],
            steps=tuple(entry["steps"]),
            keywords=tuple(entry["keywords"]),
        )
        for entry in load("articles")["articles"]
    }
    return Catalogue(
        products=products,
        variants={variant.id: variant for product in products.values() for variant in product.variants},
        product_of={variant.id: product for product in products.values() for variant in product.variants},
        articles=articles,
    )


def money(amount: int) -> str:
    """Pence as text: ``money(2900) == "29.00"``."""
    return f"{amount // 100}.{amount % 100:02d}"


def pence(text: str) -> int:
    """The reverse of :func:`money`."""
    pounds, _, rest = text.partition(".")
    return int(pounds) * 100 + int(rest.ljust(2, "0") or 0)
