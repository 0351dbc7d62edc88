"""Loads the family's data files and refuses what is malformed, once a process.

`products.json`  goods, their variants, prices and usual faults
`articles.json`  the knowledge base
`rules.json`     the company's rules, as the agent reads them
`people.json`    names, streets, towns and shops
`prompts.json`   system prompts by split

Other modules have files of their own, and check them by :func:`load_checked`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from lm_envs.types import SPLITS

MIN_PRODUCTS, MIN_VARIANTS, MIN_ARTICLES, MIN_RULES, MIN_PROMPTS = 40, 150, 30, 20, 2
SEVERITIES = ("critical", "minor")
NUMBERS = frozenset({"window", "lost", "refund_days", "silver", "gold"})
"""What rules' texts may name in braces: the fields of ``shop.Policy``."""


class DataError(ValueError):
    """A data file of this family is malformed; the message names the file and the entry."""


@cache
def load(name: str) -> Any:
    """One of the files listed above, checked. Callers must not change what they get.

    Raises:
        DataError: when an entry is missing, repeated, too short or refers to what isn't there.
    """
    return load_checked(name, _CHECKS[name])


@cache
def load_checked(name: str, check: Callable[[Any], None]) -> Any:
    """``data/<name>.json``, once ``check`` has had no objection. Callers must not change what they get.

    Args:
        name: may lead into a folder: ``"personas/patient"``.
        check: raises :class:`DataError` for what is malformed.
    """
    data = json.loads((files(__package__) / "data" / f"{name}.json").read_text("utf-8"))
    check(data)
    return data


@cache
def names(folder: str) -> tuple[str, ...]:
    """Names, for :func:`load_checked`, of the JSON files of a folder under ``data``, sorted."""
    found = (files(__package__) / "data" / folder).iterdir()
    return tuple(sorted(f"{folder}/{file.name.removesuffix('.json')}" for file in found if file.name.endswith(".json")))


def require(condition: object, where: str, what: str) -> None:
    """Raise a :class:`DataError` that says where and what, unless ``condition`` holds."""
    if not condition:
        raise DataError(f"{where}: {what}")


def _check_products(data: Mapping[str, Any]) -> None:
    products = data["products"]
    _distinct("products.json: products", (product["id"] for product in products))
    _distinct("products.json: variants", (variant["id"] for product in products for variant in product["variants"]))
    require(len(products) >= MIN_PRODUCTS, "products.json", f"fewer than {MIN_PRODUCTS} products")
    require(sum(len(product["variants"]) for product in products) >= MIN_VARIANTS, "products.json", f"fewer than {MIN_VARIANTS} variants")
    articles = {article["id"] for article in load("articles")["articles"]}
    for product in products:
        where = f"products.json: {product['id']}"
        require(product["category"] in data["categories"], where, f"unknown category {product['category']!r}")
        require(product["warranty"] > 0 and product["faults"], where, "needs a warranty and faults")
        require(len(product["variants"]) >= 2, where, "needs two variants or more")
        require(set(product["articles"]) <= articles, where, f"unknown articles {sorted(set(product['articles']) - articles)}")
        for variant in product["variants"]:
            require(variant["id"].startswith(f"{product['id']}-"), where, f"{variant['id']!r} doesn't start with the product's id")
            require(
                _is_money(variant["price"]) and variant["stock"] >= 0, where, f"{variant['id']!r} needs a price like '29.00', and a stock"
            )


def _check_articles(data: Mapping[str, Any]) -> None:
    articles = data["articles"]
    _distinct("articles.json", (article["id"] for article in articles))
    _distinct("articles.json: marks", (mark for article in articles for mark in article["marks"]))
    require(len(articles) >= MIN_ARTICLES, "articles.json", f"fewer than {MIN_ARTICLES} articles")
    for article in articles:
        where = f"articles.json: {article['id']}"
        require(article["title"] and article["steps"] and article["keywords"], where, "needs a title, steps and keywords")
        require(len(article["body"].split()) <= 60, where, "has more than 60 words")
        require(3 <= len(article["marks"]) <= 6, where, "needs 3 to 6 marks")
        told = " ".join(article["steps"]).lower()
        for mark in article["marks"]:
            require(mark == mark.lower() and mark in told, where, f"no step holds the mark {mark!r}")


def _check_rules(data: Mapping[str, Any]) -> None:
    rules = data["rules"]
    _distinct("rules.json", (rule["id"] for rule in rules))
    require(len(rules) >= MIN_RULES, "rules.json", f"fewer than {MIN_RULES} rules")
    for rule in rules:
        where = f"rules.json: {rule['id']}"
        require(rule["severity"] in SEVERITIES, where, f"severity must be one of {', '.join(SEVERITIES)}")
        require(rule["text"], where, "needs a text")
        for text in (rule["text"], rule["compact"]):
            fill(where, text, dict.fromkeys(NUMBERS, 1))


def _check_people(data: Mapping[str, Any]) -> None:
    require(len(data["names"]) >= 6, "people.json: names", "fewer than 6 groups")
    for group, by_part in data["names"].items():
        require(len(by_part["first"]) >= 8 and len(by_part["last"]) >= 8, f"people.json: {group}", "fewer than 8 first or last names")
    for part, least in (("streets", 20), ("towns", 12), ("domains", 4), ("shops", 8), ("dialects", 3)):
        require(len(data[part]) >= least, f"people.json: {part}", f"fewer than {least}")
    require(all(town["name"] and town["area"].isalpha() for town in data["towns"]), "people.json: towns", "need a name and a postal area")


def _check_prompts(data: Mapping[str, Any]) -> None:
    for style, parts in data.items():
        for part, by_split in parts.items():
            where = f"prompts.json: {style}.{part}"
            for split in SPLITS:
                for text in by_split[split]:
                    fill(where, text, {"shop": "", "tools": "", "rules": ""})
            check_wordings(where, by_split, dict.fromkeys(SPLITS, MIN_PROMPTS))


def check_wordings(where: str, by_split: Mapping[str, Iterable[str]], least: Mapping[str, int]) -> None:
    """Require ``least`` different wordings for each split, and none, small letters or capitals, that both have."""
    distinct = {split: {text.lower() for text in by_split[split]} for split in SPLITS}
    for split in SPLITS:
        require(len(distinct[split]) >= least[split], where, f"fewer than {least[split]} wordings for {split}")
    shared = distinct["train"] & distinct["test"]
    require(not shared, where, f"in both splits: {sorted(shared)}")


def fill(where: str, text: str, values: Mapping[str, Any]) -> None:
    """Require that a text names nothing but ``values`` in braces."""
    try:
        text.format_map(values)
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(f"{where}: {text!r} names what isn't known ({error}); known: {', '.join(sorted(values))}") from None


def _distinct(where: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in ids:
        require(name not in seen, where, f"{name!r} comes twice")
        seen.add(name)


def _is_money(text: str) -> bool:
    pounds, point, pence = text.partition(".")
    return bool(point) and pounds.isdigit() and len(pence) == 2 and pence.isdigit() and int(pounds + pence) > 0


_CHECKS: dict[str, Callable[[Any], None]] = {
    "products": _check_products,
    "articles": _check_articles,
    "rules": _check_rules,
    "people": _check_people,
    "prompts": _check_prompts,
}
