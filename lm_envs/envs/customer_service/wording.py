"""The customers' words: paraphrases by act and split, dressed in a persona's register, dialect, chattiness and typos."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from lm_envs.envs.customer_service.data import check_wordings, load_checked, names, require
from lm_envs.types import SPLITS, Split

MIN_WORDINGS = {"train": 12, "test": 8}
SLOTS = frozenset(
    {
        "order",
        "name",
        "email",
        "postcode",
        "item",
        "problem",
        "evidence",
        "variant",
        "address",
        "payment",
        "amount",
        "request",
        "task",
        "prize",
    }
)
"""What templates may name in braces."""

PLACES = ("open", "lead", "tail", "chat")
"""A register's words before the first message, before later ones, after a message, and between the lines of who likes to talk."""

LASTING = 15  # characters from which closing words are remembered, so that they are said once

VERBOSITIES = ("short", "normal", "long")

_PAIRS = frozenset({"boots", "gloves", "headphones", "jeans", "scissors", "shears", "shoes", "shorts", "slippers", "socks", "trousers"})
_LETTERS = re.compile(r"[a-z]{4,}")
_FIELD = re.compile(r"\{[a-z]+\}")


@dataclass(frozen=True)
class Line:
    """One act of a customer's message.

    Attributes:
        act: its name in `data/wording`.
        values: what its words may use; a template is chosen among those for which all is there.
        slots: what it gives away, by slot, for the record.
        must: a slot that the words must name, where the act has such words.
    """

    act: str
    values: Mapping[str, str] = field(default_factory=dict)
    slots: Mapping[str, str] = field(default_factory=dict)
    must: str = ""


class Speaker:
    """Words lines in a persona's manner.

    Args:
        persona: its ``register``, ``dialect``, ``verbosity`` and ``typos`` are used.
        split: whose wordings to use.
        rng: all chance comes from it.
    """

    def __init__(self, persona: Mapping[str, Any], split: Split, rng: np.random.Generator) -> None:
        self._rng = rng
        self._split = split
        self._dialect: str = persona.get("dialect") or ""
        register = manner()["registers"][persona["register"]]
        self._lower: bool = register["lower"]
        self._places: Mapping[str, Sequence[str]] = register[split]
        self._chatty = {"short": -1.0, "normal": 0.0, "long": 0.5}[persona["verbosity"]]
        self._typos: float = persona["typos"]
        self._used: set[str] = set()

    def say(self, lines: Sequence[Line], place: str = "") -> str:
        """A message of some lines.

        Args:
            lines: what to say.
            place: ``"open"``, ``"lead"`` or ``""``: which words of the register may go before.
        """
        parts = [self._word(line) for line in lines]
        if self._chatty < 0:
            return " ".join(parts)
        before = self._pick(self._places[place]) if place else ""
        after = self._pick(self._places["tail"]) if place else ""
        if len(after) > LASTING:
            after = self._once(after)
        if self._chatty and self._rng.random() < self._chatty:
            parts.append(self._once(self._pick(self._places["chat"])))
        if before.endswith(",") and parts and not any(value and parts[0].startswith(value) for value in lines[0].values.values()):
            parts[0] = _uncapitalised(parts[0])
        return " ".join(part for part in (before, *parts, after) if part)

    def _word(self, line: Line) -> str:
        available = frozenset(line.values) & SLOTS if line.values else frozenset()
        template = self._fresh(templates(line.act, self._split, available, self._lower, self._dialect, line.must))
        values = line.values
        if "{item}" in template:
            values = {**values, "item": counted(values["item"])}
            if values["item"][:1].lower() in "aeiou":
                template = template.replace("a {item}", "an {item}").replace("A {item}", "An {item}")
        if self._typos:
            template = self._mistype(template)
        return template.format_map(values)

    def _mistype(self, template: str) -> str:
        """Slips of the fingers, in the template's own words alone: what is filled in stays as it is."""
        words = template.split(" ")
        for _ in range(int(self._typos * len(words) + self._rng.random())):
            at = int(self._rng.random() * len(words))
            word = words[at]
            if _LETTERS.fullmatch(word):
                place = 1 + int(self._rng.random() * (len(word) - 2))
                words[at] = _SLIPS[int(self._rng.random() * len(_SLIPS))](word, place)
        return " ".join(words)

    def _fresh(self, choices: Sequence[str]) -> str:
        """One of the choices that wasn't used yet, as long as there is any."""
        first = int(self._rng.random() * len(choices))
        for step in range(len(choices)):
            choice = choices[(first + step) % len(choices)]
            if choice not in self._used:
                self._used.add(choice)
                return choice
        return choices[first]

    def _once(self, words: str) -> str:
        """Words at their first use, then nothing."""
        if words in self._used:
            return ""
        self._used.add(words)
        return words

    def _pick(self, choices: Sequence[str]) -> str:
        return choices[int(self._rng.random() * len(choices))]


_SLIPS = (
    lambda word, place: word[:place] + word[place + 1] + word[place] + word[place + 2 :],  # swapped
    lambda word, place: word[:place] + word[place + 1 :],  # left out
    lambda word, place: word[:place] + word[place] + word[place:],  # doubled
)


@cache
def counted(item: str) -> str:
    """An item in words that go with "a" and "is": a pair of gloves, a set of scales."""
    last = item.rpartition(" ")[2].lower()
    if not last.endswith("s") or last.endswith(("ss", "us")):
        return item
    return f"{'pair' if last in _PAIRS else 'set'} of {item}"


@lru_cache(maxsize=8192)
def templates(
    act: str, split: Split, available: frozenset[str] = frozenset(), lower: bool = False, dialect: str = "", must: str = ""
) -> tuple[str, ...]:
    """An act's templates that can be filled in with what is available, in a register and a dialect.

    Args:
        act: its name.
        split: whose wordings.
        available: slots for which there is a value.
        lower: whether they are written without capitals.
        dialect: one of the manner's dialects, or ``""``.
        must: a slot that they name, where any of them does.

    Raises:
        KeyError: when there is no such act, or none of its templates can be filled in.
    """
    entry = acts()[act]
    fit = [template for template in entry[split] if _fields(template) <= available]
    if not fit:
        raise KeyError(f"{act} needs {', '.join(sorted(_fields(entry[split][0])))}; there is {', '.join(sorted(available)) or 'nothing'}")
    fit = [template for template in fit if must in _fields(template)] or fit
    swaps: Mapping[str, str] = manner()["dialects"][dialect] if dialect else {}
    if swaps:
        fit = [" ".join(_swapped(word, swaps) for word in template.split(" ")) for template in fit]
    return tuple(template.lower() if lower else template for template in fit)


@cache
def can_name(act: str, split: Split, slot: str) -> bool:
    """Whether some of an act's templates name a slot that others don't."""
    return any(slot in _fields(template) for template in acts()[act][split])


@cache
def acts() -> Mapping[str, Mapping[str, Any]]:
    """Every act a customer's message can be made of: ``slots`` that each wording names, and wordings by split.

    Raises:
        DataError: when a file is malformed or an act is in two of them.
    """
    merged: dict[str, Mapping[str, Any]] = {}
    for name in names("wording"):
        if name == "wording/manner":
            continue
        entries = load_checked(name, _check_acts)
        require(not merged.keys() & entries.keys(), name, f"acts of another file too: {sorted(merged.keys() & entries.keys())}")
        merged.update(entries)
    return MappingProxyType(merged)


@cache
def manner() -> Mapping[str, Any]:
    """Registers and dialects.

    Raises:
        DataError: when the file is malformed.
    """
    return load_checked("wording/manner", _check_manner)  # type: ignore[no-any-return]


def _check_acts(data: Mapping[str, Any]) -> None:
    for act, entry in data.items():
        required, where = set(entry.get("slots", ())), f"wording: {act}"
        may = required | set(entry.get("may", ()))
        require(may <= SLOTS, where, f"unknown slots {sorted(may - SLOTS)}; known: {', '.join(sorted(SLOTS))}")
        check_wordings(where, entry, MIN_WORDINGS)
        for split in SPLITS:
            for template in entry[split]:
                found = _fields(template)
                require(required <= found <= may, where, f"{template!r} names {sorted(found)}, must {sorted(required)}, may {sorted(may)}")
            require(any(_fields(template) == required for template in entry[split]), where, "some wording must do with what is required")


def _check_manner(data: Mapping[str, Any]) -> None:
    for name, register in data["registers"].items():
        for split in SPLITS:
            for place in PLACES:
                require(register[split][place], f"wording/manner: {name}", f"nothing to say for {split}, {place}")
    for name, swaps in data["dialects"].items():
        plain = all(word == word.lower() and not _FIELD.search(word + swap) for word, swap in swaps.items())
        require(swaps and plain, f"wording/manner: {name}", "a dialect is a table from lower-case words to others, without slots")


@cache
def _fields(template: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in string.Formatter().parse(template) if name is not None)


def _swapped(word: str, swaps: Mapping[str, str]) -> str:
    """A word in dialect, with its capital and its punctuation."""
    core = word.strip(".,!?")
    swap = swaps.get(core.lower())
    if not core or swap is None:
        return word
    if core[0].isupper() and core != "I":
        swap = swap[0].upper() + swap[1:]
    return word.replace(core, swap, 1)


def _uncapitalised(sentence: str) -> str:
    """A sentence as it goes on after a comma."""
    keep = sentence.startswith(("I ", "I'")) or sentence[1:2].isupper()
    return sentence if keep else sentence[:1].lower() + sentence[1:]
