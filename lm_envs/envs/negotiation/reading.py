"""What a reply says: a price offered, consent, or the end. Any text is safe; time is linear in its length.

read("450 is too much for me. I can do £410.", standing=450)
    -> Reading("offer", 410.0)

Prices are written in ASCII digits, with or without a currency sign. Numbers that count something else ("2 years old", "20%", "size 42";
without a sign, all below a tenth of the standing price), that are turned down ("I can't do 500", "500 is too much"), and the other
side's own price called back ("your 450") are no offers. Where more than one price is left, or consent is tied to a condition, nothing is
agreed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

LONGEST = 1000  # characters that are read as one reply
HIGHEST = 1e9
_CENT = 0.005
_SMALL = 10  # of a standing price's parts, a number without a currency sign is no price if it is less than one

_NUMBER = re.compile(
    r"(?P<sign>[£$€]\s?)?(?<![\w.,+\-−–#'/:])(?P<digits>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?P<cents>\.[0-9]{1,2}(?![0-9]))?(?P<kilo>k\b)?"
    r"(?![\w/:]|[.,][0-9]|\s?%|['\u2019])"
)
_CLAUSE = re.compile(r"[;!?\n]+|\.(?![0-9])|,(?![0-9])|\b(?:but|however|although|though)\b")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9]+")
_RANGE = re.compile(
    r"(?<!from)(?<!from )(?<![0-9.,])[£$€]?\s?[0-9][0-9.,]*k?\s*(?:-|−|–|\bto\b|\bor\b|\band\b)\s*[£$€]?\s?[0-9][0-9.,]*k?(?:\s+([a-z]+))?"
)

Act = Literal["offer", "accept", "leave", "unclear", "nothing"]


@dataclass(frozen=True)
class Reading:
    """What a reply does.

    Attributes:
        act: offers a price, accepts the standing one, leaves without a deal, names several prices or a condition, or none of these.
        price: the price offered, in (0, 1e9]; 0 with other acts.
    """

    act: Act
    price: float = 0.0


def read(text: str, *, standing: float) -> Reading:
    """Read a reply to a standing price. A text of more than 1,000 characters says nothing."""
    if len(text) > LONGEST:
        return Reading("nothing")
    text = text.lower().replace("\u2019", "'")
    offered: set[float] = set()
    accepts = leaves = conditional = ranged = False
    for clause in filter(str.strip, _CLAUSE.split(text)):
        clause, has_range = _without_ranges(clause)
        spoken = " ".join(_WORD.findall(clause))
        denies, consents = _says(spoken, "denials"), _says(spoken, "accepting") or _is_consent(spoken)
        leaves = leaves or _says(spoken, "leaving")
        accepts = accepts or (consents and not denies)
        conditional = conditional or _says(spoken, "conditions")
        ranged = ranged or has_range
        rejected = denies or _says(spoken, "too much") or (_says(spoken, "called back") and not consents)
        if not rejected or _says(spoken, "limits"):
            offered |= set(_prices(clause, standing / _SMALL))
    if ranged or len(offered) > 1:
        return Reading("unclear")
    if offered:
        (price,) = offered
        agreed = accepts and not conditional and abs(price - standing) < _CENT
        return Reading("accept") if agreed else Reading("offer", price)
    if accepts:
        return Reading("unclear" if conditional or leaves or text.rstrip().endswith("?") else "accept")
    return Reading("leave") if leaves else Reading("nothing")


def _without_ranges(clause: str) -> tuple[str, bool]:
    """The clause without "3 to 5 days" and the like, and whether it has a range that may be of prices."""
    found = list(_RANGE.finditer(clause))
    return _RANGE.sub(" ", clause), any(match[1] not in words()["after"] for match in found)


def _is_consent(spoken: str) -> bool:
    """Whether a clause is a word of consent and nothing of substance."""
    rest = [word for word in spoken.split() if word not in words()["fillers"] and not word.isdecimal()]
    return len(rest) == 1 and rest[0] in words()["consent"]


def _prices(clause: str, lowest: float) -> Iterator[float]:
    """The numbers of a clause that may be prices; without a currency sign, those of at least ``lowest``."""
    for match in _NUMBER.finditer(clause):
        before = _WORD.findall(clause[: match.start()])[-1:]
        after = _WORD.findall(clause[match.end() :])[:1]
        counted = set(before) & words()["before"] or set(after) & words()["after"]
        if set(before) & words()["mentions"] or (counted and not match["sign"]):
            continue
        digits = match["digits"].replace(",", "")
        price = float(digits + (match["cents"] or "")) * (1000 if match["kilo"] else 1) if len(digits) <= 10 else 0.0
        if 0 < price <= HIGHEST and (match["sign"] or price >= lowest):
            yield price


def _says(spoken: str, kind: str) -> bool:
    return bool(phrases()[kind].search(spoken))


@cache
def words() -> Mapping[str, frozenset[str]]:
    """Words by what they do: stand before or after a number that is no price, mention a price that is no offer, consent, or nothing."""
    return {kind: frozenset(text.split()) for kind, text in _data()["words"].items()}


@cache
def phrases() -> Mapping[str, re.Pattern[str]]:
    """A pattern for each kind of phrase of ``reading.json``: any of its phrases, as whole words.

    Raises:
        ValueError: when a phrase isn't in lower case without punctuation, and so could not be found.
    """
    found = {}
    for kind, entries in _data()["phrases"].items():
        if wrong := [entry for entry in entries if entry != " ".join(_WORD.findall(entry))]:
            raise ValueError(f"reading.json: {kind}: these phrases can't be found: {', '.join(wrong)}")
        longest_first = sorted(entries, key=len, reverse=True)
        found[kind] = re.compile(r"(?<![\w'])(?:" + "|".join(map(re.escape, longest_first)) + r")(?![\w'])")
    return found


@cache
def _data() -> Mapping[str, Any]:
    data: Mapping[str, Any] = json.loads(Path(__file__).with_name("reading.json").read_text("utf-8"))
    return data
