"""What is true of each thing, from ``things.json`` and ``attributes.json``.

table().answer("cat", "fly")
    -> "no"
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lm_envs.types import SPLITS, Split

Answer = Literal["no", "yes", "sometimes"]
ANSWERS: tuple[Answer, ...] = ("no", "yes", "sometimes")
_ATTRIBUTE_FIELDS = {"question", "yes", "no"}
_THING_FIELDS = {"also", "split", "yes", "sometimes"}


@dataclass(frozen=True)
class Attribute:
    """Something that is true of some things.

    Attributes:
        question: how one asks for it.
        yes: a statement that it holds.
        no: a statement that it doesn't.
    """

    question: str
    yes: str
    no: str


@dataclass(frozen=True)
class Table:
    """All things and attributes.

    Attributes:
        things: names of the things.
        attributes: the attributes by name.
        names: every name of a thing, and of which thing.
        splits: positions in ``things`` of each split's things.
        answers: positions in ``ANSWERS``; a row a thing, a column an attribute.
    """

    things: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    names: Mapping[str, str]
    splits: Mapping[Split, tuple[int, ...]]
    answers: np.ndarray  # (num_things, num_attributes), int8

    def answer(self, thing: str, attribute: str) -> Answer:
        """Whether the attribute holds of the thing."""
        return ANSWERS[self.answers[self.things.index(thing), list(self.attributes).index(attribute)]]


@cache
def table() -> Table:
    """The table, checked.

    Raises:
        ValueError: for a field or an attribute that is unknown or missing, an attribute that both holds and holds sometimes, a name
            of two things, or two things that no question tells apart.
    """
    attributes = {name: _attribute(name, entry) for name, entry in _read("attributes.json").items()}
    entries: dict[str, dict[str, Any]] = _read("things.json")
    names: dict[str, str] = {}
    for thing, entry in entries.items():
        if set(entry) != _THING_FIELDS or entry["split"] not in SPLITS:
            raise ValueError(f"things.json: {thing}: expected {', '.join(sorted(_THING_FIELDS))}, and a split of {', '.join(SPLITS)}")
        for name in (thing, *entry["also"]):
            if name in names:
                raise ValueError(f"things.json: {name!r} is the name of both {names[name]} and {thing}")
            names[name] = thing
    answers = np.array([_row(thing, entry, list(attributes)) for thing, entry in entries.items()], dtype=np.int8)
    answers.setflags(write=False)
    things = tuple(entries)
    seen: dict[bytes, str] = {}
    for thing, row in zip(things, answers, strict=True):
        if (other := seen.setdefault(row.tobytes(), thing)) != thing:
            raise ValueError(f"things.json: no question tells {other} and {thing} apart")
    splits = {split: tuple(at for at, thing in enumerate(things) if entries[thing]["split"] == split) for split in SPLITS}
    return Table(things, attributes, names, splits, answers)


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Path(__file__).with_name(name).read_text("utf-8"))
    return data


def _attribute(name: str, entry: Mapping[str, str]) -> Attribute:
    if set(entry) != _ATTRIBUTE_FIELDS or not all(isinstance(text, str) and text for text in entry.values()):
        raise ValueError(f"attributes.json: {name}: expected texts {', '.join(sorted(_ATTRIBUTE_FIELDS))}")
    return Attribute(**entry)


def _row(thing: str, entry: Mapping[str, str], attributes: Sequence[str]) -> list[int]:
    """A thing's answers, of shape (num_attributes,)."""
    yes, sometimes = entry["yes"].split(), entry["sometimes"].split()
    given = [*yes, *sometimes]
    if unknown := sorted(set(given) - set(attributes)):
        raise ValueError(f"things.json: {thing}: unknown attributes {', '.join(unknown)}; known: {', '.join(attributes)}")
    if len(set(given)) < len(given):
        raise ValueError(f"things.json: {thing}: an attribute is listed twice")
    return [ANSWERS.index("yes" if name in yes else "sometimes" if name in sometimes else "no") for name in attributes]
