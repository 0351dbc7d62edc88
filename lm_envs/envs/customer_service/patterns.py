"""A small language of word patterns, and an index that tries only those that a clause's words allow.

A pattern is a list of elements, one space apart, matched against a line of words that end with a space; verbs carry their lemma and
form, as in "i have cancel/p your order" (`words.py`):

    word          that word; a verb's base: any of its forms
    a|b           either (``money_back`` is two words in one alternative)
    word/p        that form: b, s, p, g or n; the last alternative's form is that of those that have none
    refund~       a word that so begins
    *, *3         up to six, or three, words
    word?         may be missing
    @name         any word of a class
    <date>        something that `entities.py` found
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

Match = tuple[str, re.Match[str]]
"""A match with its group."""

_Pattern = tuple["PatternSet", str, re.Pattern[str]]
"""A pattern with its set and its group."""

GAP = 6
KEYS = 3
"""Elements of a pattern, those with the fewest alternatives, of which a line must have a word each for the pattern to be tried."""

MAX_WORDS = 20_000  # whose patterns are remembered: texts are untrusted, and make up words


class Line:
    """Words that patterns are matched against, each set of patterns once.

    Args:
        tags: the words, verbs as lemma and form.
        words: the same, bare of forms.
    """

    def __init__(self, tags: Sequence[str], words: Sequence[str]) -> None:
        self.tags, self.words = tags, words
        self.text = " ".join((*tags, ""))
        self.matches: Mapping[PatternSet, Sequence[Match]] | None = None  # of all sets at once, when the first is asked for


class Patterns:
    """All sets of patterns, with one index, so that a line's words are looked up once for all sets.

    A pattern has ``KEYS`` bits in a number, one for each of its keys. A word's number has the bits of the keys that it is, a line's
    number those of its words, and a pattern all of whose bits are there is tried.

    Args:
        forms: lemma and form of inflected words, so that patterns may be written with them.
    """

    def __init__(self, forms: Mapping[str, tuple[str, str]]) -> None:
        self._forms = forms
        self._patterns: list[_Pattern] = []
        self._words: dict[str, int] = {}
        self._starts: dict[str, int] = {}
        self._allowed = _Allowed(self._words, self._starts)

    def add(self, groups: Mapping[str, Iterable[str]], classes: Mapping[str, str] | None = None) -> PatternSet:
        """A set of named groups of patterns, which may name words by class."""
        added = PatternSet(self)
        for group, patterns in groups.items():
            for pattern in patterns:
                elements = [_lemmas(_expand(element, classes or {}), self._forms) for element in pattern.split(" ")]
                for bit, words in enumerate(_keys(elements), KEYS * len(self._patterns)):
                    for word in words:
                        index = self._starts if word.endswith("~") else self._words
                        index[word.rstrip("~")] = index.get(word.rstrip("~"), 0) | 1 << bit
                self._patterns.append((added, group, _compile(elements)))
        self._allowed.clear()
        self._first = sum(1 << KEYS * index for index in range(len(self._patterns)))
        return added

    def matches(self, line: Line) -> Mapping[PatternSet, Sequence[Match]]:
        """The matches of each set that has any, in the order of its patterns."""
        if line.matches is None:
            found: dict[PatternSet, list[Match]] = {}
            for owner, group, pattern in self._allowing(line.words):
                for match in pattern.finditer(line.text):
                    found.setdefault(owner, []).append((group, match))
            line.matches = found
        return line.matches

    def _allowing(self, words: Iterable[str]) -> Iterator[_Pattern]:
        """The patterns that a line's words allow, in order."""
        bits = 0
        for allowed in map(self._allowed.__getitem__, words):
            bits |= allowed
        every = bits & self._first
        for key in range(1, KEYS):
            every &= bits >> key
        while every:
            lowest = every & -every
            every ^= lowest
            yield self._patterns[lowest.bit_length() // KEYS]


class PatternSet:
    """Named groups of patterns."""

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns

    def find(self, line: Line) -> Sequence[Match]:
        """Every match of every pattern in a line, with its group."""
        return self._patterns.matches(line).get(self, ())

    def names(self, line: Line) -> dict[str, int]:
        """Groups with a match, each with where its first one begins."""
        first: dict[str, int] = {}
        for group, match in self.find(line):
            first[group] = min(match.start(), first.get(group, match.start()))
        return first


class _Allowed(dict[str, int]):
    """The bits of a word, looked up once a word: what is found there takes no Python."""

    def __init__(self, words: Mapping[str, int], starts: Mapping[str, int]) -> None:
        super().__init__()
        self._words, self._starts = words, starts

    def __missing__(self, word: str) -> int:
        bits = self._words.get(word, 0)
        for length in range(1, len(word) + 1):
            bits |= self._starts.get(word[:length], 0)
        if len(self) < MAX_WORDS:
            self[word] = bits
        return bits


def _expand(element: str, classes: Mapping[str, str]) -> str:
    if element[0] == "*":
        return element
    optional = "?" if element.endswith("?") else ""
    parts = []
    for part in element.rstrip("?").split("|"):
        name, _, forms = part.partition("/")
        if name.startswith("@"):
            parts += [word + (f"/{forms}" if forms and "_" not in word else "") for word in classes[name[1:]].split()]
        else:
            parts.append(part)
    if "/" in parts[-1]:
        forms = parts[-1].split("/")[1]
        parts = [part if "/" in part or "_" in part else f"{part}/{forms}" for part in parts]
    return "|".join(parts) + optional


def _lemmas(element: str, forms: Mapping[str, tuple[str, str]]) -> str:
    if element[0] == "*":
        return element
    optional = "?" if element.endswith("?") else ""
    return "|".join("_".join(_lemma(word, forms) for word in part.split("_")) for part in element.rstrip("?").split("|")) + optional


def _lemma(word: str, forms: Mapping[str, tuple[str, str]]) -> str:
    lemma, form = forms.get(word, (word, "b"))
    return word if form == "b" or "/" in word else f"{lemma}/{'sn' if form == 's' else form}"


def _keys(elements: Sequence[str]) -> list[list[str]]:
    """Of ``KEYS`` elements, repeated where there are fewer, the words of which every match has one."""
    fixed = [element.split("|") for element in elements if element[0] != "*" and not element.endswith("?")]
    keys = (sorted(fixed, key=len) * KEYS)[:KEYS]
    return [[alternative.split("/")[0].split("_")[0] for alternative in key] for key in keys]


@cache
def _element(element: str) -> str:
    if element[0] == "*":
        return rf"(?:[^ ]+ ){{0,{int(element[1:] or GAP)}}}?"
    optional = "?" if element.endswith("?") else ""
    return f"(?:{'|'.join(map(_alternative, element.rstrip('?').split('|')))}){optional}"


def _alternative(text: str) -> str:
    parts = []
    for word in text.split("_"):
        name, _, forms = word.partition("/")
        if name.endswith("~"):
            parts.append(re.escape(name[:-1]) + "[^ ]* ")
        elif forms:
            parts.append(f"{re.escape(name)}/[{forms}] ")
        else:
            parts.append(re.escape(name) + ("(?:/.)? " if name[0] != "<" else " "))
    return "".join(parts)


def _compile(elements: Sequence[str]) -> re.Pattern[str]:
    """It backtracks over gaps of six words at most, so it takes linear time."""
    return re.compile(r"(?<![^ ])" + "".join(map(_element, elements)))
