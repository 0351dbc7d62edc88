"""Continuations written from a grammar: what the scripted players say.

"The movie we saw last night" -> "was moving and clever, and we enjoyed every minute."
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

POLARITIES = ("pos", "neg", "neu")
MAX_WORDS = 17
ANYTHING = "any"  # the domain of words that fit openings of any other

# How a continuation goes on from each form of opening: what comes first, the form of "be", the pronoun.
FORMS = {
    "subject": ("", "was", "it"),
    "plural": ("", "were", "them"),
    "clause": ("", "was", "it"),
    "sentence": ("It ", "was", "it"),
    "cut": (", and it all ", "was", "it"),
}

_SLOT = re.compile(r"\{([^{}]+)\}")
_ARTICLE = re.compile(r"\ba (?=[aeio])")
_NEGATED = re.compile(r"\b(?:not|never|no|nobody|nothing|cannot)\b", re.IGNORECASE)
_OPPOSITE = {"pos": "neg", "neg": "pos"}


def continuation(domain: str, form: str, polarity: str, rng: np.random.Generator, *, plain: bool = False) -> str:
    """Write a continuation of 2 to 17 words.

    Args:
        domain: one of the keys of :func:`grammar`; for another, words that fit anything.
        form: how the opening ends, a key of :data:`FORMS`.
        polarity: ``"pos"``, ``"neg"``, ``"neu"`` or ``"mixed"`` (says one thing, but means the other).
        rng: where the choices come from.
        plain: say it outright: more than one clause, none with a negation.
    """
    while len((text := _write(domain, form, polarity, rng, plain)).split()) > MAX_WORDS or (plain and _NEGATED.search(text)):
        pass
    return text


def _write(domain: str, form: str, polarity: str, rng: np.random.Generator, plain: bool) -> str:
    start, be, it = FORMS[form]
    words = grammar().get(domain) or grammar()[ANYTHING]
    if polarity == "mixed":
        first = ("pos", "neg")[int(rng.integers(2))]
        pattern = f"{{{first}.predicate}}, but {{{_OPPOSITE[first]}.clause}}."
    else:
        predicate, clause = f"{{{polarity}.predicate}}", f"{{{polarity}.clause}}"
        shapes = (f"{predicate}, and {clause}.", f"{predicate}. <{clause}.", f"{predicate}, and {clause}. <{clause}.", f"{predicate}.")
        pattern = shapes[int(rng.integers(3 if plain else 4))]
    used: set[str] = set()

    def fill(match: re.Match[str]) -> str:
        if match[1] in ("be", "it"):
            return be if match[1] == "be" else it
        choices = [choice for choice in words[match[1]] if choice not in used] or words[match[1]]
        used.add(choice := choices[int(rng.integers(len(choices)))])
        return choice

    while "{" in pattern:
        pattern = _SLOT.sub(fill, pattern)
    text = re.sub(r"<(.)", lambda match: match[1].upper(), pattern)
    return start + re.sub(r"\bi\b", "I", _ARTICLE.sub("an ", text))


@cache
def grammar() -> Mapping[str, Mapping[str, list[str]]]:
    """The symbols of each domain with their alternatives, read from ``grammar.json``.

    Raises:
        ValueError: for a slot that no symbol fills, or a symbol with alternatives listed twice.
    """
    data = json.loads(Path(__file__).with_name("grammar.json").read_text("utf-8"))
    shared = data.pop("shared")
    domains = {domain: {**shared, **symbols} for domain, symbols in data.items()}
    for domain, symbols in domains.items():
        for symbol, choices in symbols.items():
            if len(set(choices)) != len(choices):
                raise ValueError(f"grammar.json: {domain}.{symbol} lists an alternative twice")
            for slot in (slot for choice in choices for slot in _SLOT.findall(choice)):
                if slot not in symbols and slot not in ("be", "it"):
                    raise ValueError(f"grammar.json: no {domain}.{slot}, which {domain}.{symbol} needs")
    return domains
