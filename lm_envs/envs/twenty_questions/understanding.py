"""What a question means: phrases of ``understanding.json`` among its words. Any text is safe; what is too long is not read.

understand("Would it be smaller than a person?")
    -> Understood("question", "person", opposite=True)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import dropwhile
from pathlib import Path
from typing import Literal

from lm_envs.envs.english import spelled_out
from lm_envs.envs.twenty_questions.table import table

LONGEST = 240  # characters that are read as one reply
_MOST_STRANGE = 2  # words of a question that no phrase explains
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_SPELLINGS = {"can't": "can not", "cannot": "can not", "won't": "will not", "colours": "colour", "colored": "colour", "coloured": "colour"}
_IRREGULAR = {
    "made": "make", "bigger": "big", "larger": "large", "taller": "tall", "smaller": "small", "shorter": "short", "cheaper": "cheap",
    "heavier": "heavy", "feet": "foot", "men": "man", "humans": "human", "lives": "live", "lived": "live", "worn": "wear", "eaten": "eat",
    "ate": "eat", "drunk": "drink", "grown": "grow", "built": "build", "kept": "keep", "knives": "knife", "kids": "kid", "leaves": "leaf",
    "wolves": "wolf", "geese": "goose", "mice": "mouse", "loaves": "loaf", "color": "colour",
}  # fmt: skip
_WHOLE = frozenset(
    "building clothing clothes cloth glasses during wing swing string ring thing king evening ceiling bus gas living mains".split()
)
_AUXILIARIES = frozenset(
    "is are was were am do does did can could would will should has have had may might must isnt arent doesnt dont cant".split()
)
_SUBJECTS = frozenset("it this that they you i one people we he she the".split())
_DENIALS = frozenset("not never without unable cannot neither lack lacks".split())
_ARTICLES = frozenset("a an the some pair".split())

Kind = Literal["question", "guess", "several", "nothing"]


@dataclass(frozen=True)
class Understood:
    """A reply as the other player hears it.

    Attributes:
        kind: ``"question"`` about an attribute, ``"guess"`` of a thing, ``"several"`` at once, or ``"nothing"`` that it understands.
        name: the attribute or the thing.
        opposite: whether "yes" means that the attribute does not hold ("is it smaller than ...", "is it something that can't fly").
    """

    kind: Kind
    name: str = ""
    opposite: bool = False


@dataclass(frozen=True)
class Phrases:
    """``understanding.json``: ``meanings`` are (words, attribute, opposite), by each phrase's longest word; ``names`` are things'."""

    meanings: Mapping[str, Sequence[tuple[frozenset[str], str, bool]]]
    names: Mapping[tuple[str, ...], str]
    empty: frozenset[str]
    neutral: frozenset[str]
    guessing: frozenset[str]
    asking: frozenset[str]


@lru_cache(maxsize=4096)
def understand(text: str) -> Understood:
    """What a reply asks; two questions or guesses in one are ``"several"``."""
    if len(text) > LONGEST:
        return Understood("nothing")
    found = [heard for sentence in re.split(r"[.?!;\n]+", text) if (heard := _sentence(sentence)).kind != "nothing"]
    distinct = list(dict.fromkeys(found))
    if len(distinct) > 1:
        return Understood("several")
    return distinct[0] if distinct else Understood("nothing")


def _sentence(text: str) -> Understood:
    known = phrases()
    clauses = [list(_words(clause)) for clause in text.split(",")]
    said = [word for clause in clauses if not _is_tag(clause) for word in clause]
    said = list(dropwhile(lambda word: word in known.guessing or word in ("so", "well", "then"), said))
    if not said or said[0] in known.asking:
        return Understood("nothing")
    said, denied = _denial(said)
    content = [stem for word in said if word not in known.empty and (stem := _stem(word))]
    is_clause = said[0] not in _AUXILIARIES or said[0] in ("is", "are", "was") or "be" in said
    guessed = _guess(content) if is_clause else ""
    asked = _question(content)
    if guessed and not denied and (not asked or len(content) > 1 or any(word in _ARTICLES for word in said)):
        return Understood("guess", guessed)
    if len(asked) > 1:
        return Understood("several")
    if asked:
        name, opposite = asked[0]
        return Understood("question", name, opposite != denied)
    return Understood("several") if "or" in said and is_clause and _alternatives(said) else Understood("nothing")


def _question(content: Sequence[str]) -> list[tuple[str, bool]]:
    """The attributes asked for, and whether for their opposites: those of the longest phrases that don't lie within another."""
    known = phrases()
    words = frozenset(content)
    found = [entry for word in words for entry in known.meanings.get(word, ()) if entry[0] <= words]
    found = [entry for entry in found if entry[0] - known.neutral] or found
    found = [entry for entry in found if not any(entry[0] < other[0] for other in found)]
    explained = frozenset().union(*(entry[0] for entry in found)) if found else frozenset()
    if not found or len(words - explained - known.neutral) > _MOST_STRANGE:
        return []
    return list(dict.fromkeys((name, opposite) for _, name, opposite in found))


def _guess(content: Sequence[str]) -> str:
    known = phrases()
    plain = tuple(dropwhile(lambda word: word in known.guessing or word in ("of", "you"), content))
    for name in (tuple(content), plain, plain[:-1] if plain and plain[-1] in known.guessing else ()):
        if name in known.names:
            return known.names[name]
    return ""


def _alternatives(said: Sequence[str]) -> bool:
    """Whether things are offered with "or" between them."""
    at = said.index("or")
    known = phrases()
    sides = ([_stem(word) for word in part if word not in known.empty] for part in (said[:at], said[at + 1 :]))
    return all(_guess(side) for side in sides)


def _is_tag(clause: Sequence[str]) -> bool:
    """Whether a clause only asks for assent, as in "isn't it" or "right"."""
    known = phrases()
    return all(word in known.empty or word in known.guessing or word in _DENIALS for word in clause)


def _denial(said: Sequence[str]) -> tuple[list[str], bool]:
    """The words without those that deny, and whether they deny; "isn't it" and "is it not" at the beginning only ask for assent."""
    start = next((at for at, word in enumerate(said[:3]) if word in _AUXILIARIES), None)
    rest = list(said)
    if start is not None and (start == 0 or rest[start - 1] not in _SUBJECTS):
        for at in (start + 1, start + 2):
            if at < len(rest) and rest[at] == "not" and (at == start + 1 or rest[start + 1] in _SUBJECTS):
                del rest[at]
                break
    denials = sum(word in _DENIALS for word in rest)
    return [word for word in rest if word not in _DENIALS], denials % 2 == 1


@cache
def phrases() -> Phrases:
    """The file, checked.

    Raises:
        ValueError: when its attributes aren't those of the table, or a phrase is empty or has two meanings.
    """
    data = json.loads(Path(__file__).with_name("understanding.json").read_text("utf-8"))
    attributes = data["attributes"]
    if set(attributes) != set(table().attributes):
        raise ValueError(f"understanding.json and attributes.json differ in {sorted(set(attributes) ^ set(table().attributes))}")
    empty = frozenset(data["empty"].split())
    meanings: dict[str, list[tuple[frozenset[str], str, bool]]] = {}
    seen: dict[frozenset[str], tuple[str, bool]] = {}
    for name, entry in attributes.items():
        for kind in ("means", "opposite"):
            for phrase in entry[kind]:
                key = frozenset(_stem(word) for word in _words(phrase) if word not in empty)
                meaning = (name, kind == "opposite")
                if not key or seen.setdefault(key, meaning) != meaning:
                    raise ValueError(f"understanding.json: {phrase!r} is empty, or means {name} and {seen.get(key, ('nothing',))[0]}")
                entries = meanings.setdefault(max(key, key=lambda word: (len(word), word)), [])
                if (key, *meaning) not in entries:
                    entries.append((key, *meaning))
    names = {tuple(_stem(word) for word in _words(name) if word not in empty): thing for name, thing in table().names.items()}
    return Phrases(
        meanings,
        names,
        empty,
        *(frozenset(map(stem, data[key].split())) for key, stem in (("neutral", _stem), ("guessing", str), ("asking", str))),
    )


def _words(text: str) -> Iterator[str]:
    return spelled_out(text, _WORD, _SPELLINGS)


def _stem(word: str) -> str:
    """A word without the endings of number, tense and the continuous form."""
    word = _IRREGULAR.get(word, word)
    if word in _WHOLE:
        return word
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]
    for ending in ("ing", "ed"):
        if word not in _WHOLE and word.endswith(ending) and len(word) >= len(ending) + 3:
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
                word = word[:-1]
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word
