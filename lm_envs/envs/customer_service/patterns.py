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

GAP = 6
MAX_WORDS = 20_000  # whose patterns are remembered: texts are untrusted, and make up words


class PatternSet:
    """Named groups of patterns.

    Args:
        groups: patterns by group.
        classes: words by class.
        forms: lemma and form of inflected words, so that patterns may be written with them.
    """

    def __init__(self, groups: Mapping[str, Iterable[str]], classes: Mapping[str, str], forms: Mapping[str, tuple[str, str]]) -> None:
        self._by_word: dict[str, list[int]] = {}
        self._by_start: dict[str, list[int]] = {}
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        for group, patterns in groups.items():
            for pattern in patterns:
                elements = [_lemmas(_expand(element, classes), forms) for element in pattern.split(" ")]
                for word in _key(elements):
                    index = self._by_start if word.endswith("~") else self._by_word
                    index.setdefault(word.rstrip("~"), []).append(len(self._patterns))
                self._patterns.append((group, _compile(elements)))
        self._allowed = _Allowed(self._by_word, self._by_start)

    def find(self, line: str, words: Sequence[str]) -> Iterator[tuple[str, re.Match[str]]]:
        """Every match of every pattern in a line.

        Args:
            line: words that each end with a space.
            words: the line's words, bare of forms.
        """
        candidates = set[int]().union(*map(self._allowed.__getitem__, words))
        for index in sorted(candidates):
            group, pattern = self._patterns[index]
            for match in pattern.finditer(line):
                yield group, match

    def names(self, line: str, words: Sequence[str]) -> dict[str, int]:
        """Groups with a match, each with where its first one begins."""
        first: dict[str, int] = {}
        for group, match in self.find(line, words):
            first[group] = min(match.start(), first.get(group, match.start()))
        return first


class _Allowed(dict[str, tuple[int, ...]]):
    """The patterns that a word allows, looked up once a word: what is found there takes no Python."""

    def __init__(self, by_word: Mapping[str, Sequence[int]], by_start: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self._by_word, self._by_start = by_word, by_start
        self._lengths = sorted({len(start) for start in by_start})

    def __missing__(self, word: str) -> tuple[int, ...]:
        starts = (self._by_start.get(word[:length], ()) for length in self._lengths)
        allowed = (*self._by_word.get(word, ()), *(index for indices in starts for index in indices))
        if len(self) < MAX_WORDS:
            self[word] = allowed
        return allowed


def line_of(words: Iterable[str]) -> str:
    """The line that patterns are matched against."""
    return "".join(f"{word} " for word in words)


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


def _key(elements: Sequence[str]) -> list[str]:
    """The words of which every match has one: those of the element with the fewest alternatives."""
    fixed = [element.split("|") for element in elements if element[0] != "*" and not element.endswith("?")]
    return [alternative.split("/")[0].split("_")[0] for alternative in min(fixed, key=len)]


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
