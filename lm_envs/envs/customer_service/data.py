"""Loads the family's data files and refuses what is malformed, once a process.

`shop.json`      goods, people, places, company rules and system prompts
`personas.json`  customers' characters and the registers they speak in
`customer.json`  what customers say, by act and split
`agent.json`     how a service agent words an act
`acts.json`      the patterns by which a reply is understood
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from lm_envs.types import SPLITS, Split

SLOTS = frozenset({"item", "variant", "flaw", "other", "order", "postcode", "address", "price", "date", "window", "shop", "overdue"})
MIN_WORDINGS = {"train": 6, "test": 4}


class DataError(ValueError):
    """A data file of this family is malformed; the message names the file and the entry."""


@cache
def load(name: str) -> dict[str, Any]:
    """One data file, checked. Callers must not change what they get.

    Raises:
        DataError: when an entry is missing, repeated across splits, too short or has an unknown slot.
    """
    data = json.loads((files(__package__) / "data" / f"{name}.json").read_text("utf-8"))
    _CHECKS[name](data)
    return data  # type: ignore[no-any-return]


def wordings(act: str, split: Split) -> list[str]:
    """The templates of a customer's act; problems are acts named ``problem/<intent>``."""
    group, _, intent = act.partition("/")
    customer = load("customer")
    return customer["problem"][intent][split] if intent else customer["say"][group][split]  # type: ignore[no-any-return]


def _check_customer(data: Mapping[str, Any]) -> None:
    for group, acts in data.items():
        for act, by_split in acts.items():
            where = f"customer.json: {group}.{act}"
            for split in SPLITS:
                if len(set(by_split[split])) < MIN_WORDINGS[split]:
                    raise DataError(f"{where}: fewer than {MIN_WORDINGS[split]} wordings for {split}")
                _check_slots(where, by_split[split])
            if shared := set(by_split["train"]) & set(by_split["test"]):
                raise DataError(f"{where}: in both splits: {sorted(shared)}")


def _check_agent(data: Mapping[str, Any]) -> None:
    for act, templates in data.items():
        if len(set(templates)) < MIN_WORDINGS["train"]:
            raise DataError(f"agent.json: {act}: fewer than {MIN_WORDINGS['train']} wordings")
        _check_slots(f"agent.json: {act}", templates)


def _check_personas(data: Mapping[str, Any]) -> None:
    names = [persona["name"] for persona in data["personas"]]
    if len(set(names)) < len(names):
        raise DataError("personas.json: two personas have the same name")
    for persona in data["personas"]:
        where = f"personas.json: {persona['name']}"
        if persona["register"] not in data["registers"] or persona["split"] not in SPLITS:
            raise DataError(f"{where}: unknown register or split")
        if not (0 < persona["mood"] < 1 and 0 <= persona["vague"] <= 1 and persona["patience"] >= 1 and persona["temper"] > 0):
            raise DataError(f"{where}: mood and vague are shares, patience is at least 1, temper is positive")
    for split in SPLITS:
        if not any(persona["split"] == split for persona in data["personas"]):
            raise DataError(f"personas.json: nobody in {split}")


def _check_shop(data: Mapping[str, Any]) -> None:
    for product in data["products"]:
        if not {"name", "price", "variant", "flaws"} <= product.keys() or product["price"] <= 0 or not product["flaws"]:
            raise DataError(f"shop.json: product {product.get('name')!r} needs a name, a positive price, a variant and flaws")
    for split in SPLITS:
        _check_slots("shop.json: prompts", data["prompts"][split])
    if set(data["prompts"]["train"]) & set(data["prompts"]["test"]):
        raise DataError("shop.json: a prompt is in both splits")


def _check_acts(data: Mapping[str, Any]) -> None:
    if len(data["months"]) != 12:
        raise DataError("acts.json: months needs twelve lists of names")


def _check_slots(where: str, templates: Iterable[str]) -> None:
    for template in templates:
        for _, slot, _, _ in string.Formatter().parse(template):
            if slot is not None and slot not in SLOTS:
                raise DataError(f"{where}: unknown slot {slot!r} in {template!r}; known: {', '.join(sorted(SLOTS))}")


_CHECKS = {"customer": _check_customer, "agent": _check_agent, "personas": _check_personas, "shop": _check_shop, "acts": _check_acts}
