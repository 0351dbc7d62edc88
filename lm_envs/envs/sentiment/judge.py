"""Ground truth for sentiment: a judge with a hand-written word list of its own.

    judge("was not bad at all, and I would go back.")  ->  Judgement(score=0.7..., stuffing=0.2)

It shares no word list, weight or formula with VADER, so a reply that games the reward model isn't bound to please the judge.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

CLEAR = 0.3  # |score| from which a text has a clear polarity: about one plain word of praise or blame, net

_NEGATION_REACH = 3  # words
_NEGATED_PRAISE = -0.8  # "not good" is nearly as bad as "bad" ...
_NEGATED_BLAME = -0.6  # ... but "not bad" is less good than "good"
_STRONGER, _WEAKER = 1.4, 0.6
_BEFORE_CONTRAST, _AFTER_CONTRAST = 0.5, 1.5  # "a, but b" means b
_SCALE = 3.0
_LONGEST_WORD = 24
_TOKEN = re.compile(r"<3|[:;=]'?-?[()/d]|[^\W\d_]+(?:['\-][^\W\d_]+)*|[.!?;,\n]")
_STOPS = frozenset(".!?;\n")


@dataclass(frozen=True)
class Judgement:
    """What the judge says of a text.

    Attributes:
        score: polarity in (-1, 1), ``tanh(sum of valences / 3)``; 0 for a text without any polar word.
        stuffing: polar words and phrases as a share of the words, in [0, 1]; honest prose rarely goes beyond a third.
        words: number of words.
    """

    score: float
    stuffing: float
    words: int


@dataclass(frozen=True)
class WordList:
    """The judge's data file, read and checked."""

    valences: Mapping[str, int]
    phrases: Mapping[str, tuple[tuple[tuple[str, ...], int], ...]]  # by first word, longest first
    negations: frozenset[str]
    strengtheners: frozenset[str]
    weakeners: frozenset[str]
    contrasts: frozenset[str]
    concessions: frozenset[str]

    @cached_property
    def modifiers(self) -> frozenset[str]:
        """Words that scale the polar word after them."""
        return self.strengtheners | self.weakeners


def judge(text: str) -> Judgement:
    """Judge the polarity of an English text; any text is safe, and time is linear in its length.

    Each polar word counts by its valence (-2 to 2), once for each sign: saying it again adds nothing. A negation up to three
    words before turns it, a strengthener or weakener right before scales it, and "but" halves what the sentence said before it
    and adds half to what follows; a sentence that begins with "although" turns at its first comma.
    """
    total, polar, words = 0.0, 0, 0
    counted: set[tuple[str, bool]] = set()
    for sentence in _sentences(text):
        words += sum(token != "," for token in sentence)
        hits = list(_hits(sentence))
        polar += len(hits)
        turn = _turn(sentence)
        for position, term, valence in hits:
            value = valence * _context(sentence, position, valence)
            if turn is not None:
                value *= _AFTER_CONTRAST if position > turn else _BEFORE_CONTRAST
            if (key := (term, value > 0)) not in counted:
                counted.add(key)
                total += value
    return Judgement(score=math.tanh(total / _SCALE), stuffing=min(1.0, polar / words) if words else 0.0, words=words)


def repetition(text: str, before: str = "") -> float:
    """Share of the bigrams of ``text`` that occur earlier in it or in ``before``, in [0, 1]; 0 when it has fewer than two words."""
    words = words_of(text)
    seen = set(_bigrams(before))
    repeated = 0
    for bigram in pairwise(words):
        repeated += bigram in seen
        seen.add(bigram)
    return repeated / (len(words) - 1) if len(words) > 1 else 0.0


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, emoticons among them, without punctuation."""
    return [token for token in _tokens(text) if token not in _STOPS and token != ","]


@cache
def word_list() -> WordList:
    """Read ``judge_words.json``.

    Raises:
        ValueError: when a word or phrase is listed twice or a valence is out of range.
    """
    data = json.loads(Path(__file__).with_name("judge_words.json").read_text("utf-8"))
    valences: dict[str, int] = {}
    phrases: dict[tuple[str, ...], int] = {}
    for valence, lines in data["valences"].items():
        for word in " ".join(lines).split():
            _add(valences, word, valence)
    for valence, lines in data["phrases"].items():
        for phrase in ", ".join(lines).split(", "):
            _add(phrases, tuple(phrase.split()), valence)
    by_first: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    for words, number in sorted(phrases.items(), key=lambda item: -len(item[0])):
        by_first.setdefault(words[0], []).append((words, number))
    kinds = {name: frozenset(data[name].split()) for name in ("negations", "strengtheners", "weakeners", "contrasts", "concessions")}
    return WordList(valences=valences, phrases={first: tuple(group) for first, group in by_first.items()}, **kinds)


def _add(table: dict[Any, int], key: Any, valence: str) -> None:
    if key in table:
        raise ValueError(f"judge_words.json lists {key!r} twice")
    if not -2 <= int(valence) <= 2:
        raise ValueError(f"judge_words.json: valence {valence} of {key!r} is outside [-2, 2]")
    table[key] = int(valence)


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.lower().replace("\u2019", "'"))


@lru_cache(maxsize=1024)
def _bigrams(text: str) -> frozenset[tuple[str, str]]:
    return frozenset(pairwise(words_of(text)))


def _sentences(text: str) -> Iterator[list[str]]:
    sentence: list[str] = []
    for token in _tokens(text):
        if token in _STOPS:
            if sentence:
                yield sentence
            sentence = []
        else:
            sentence.append(token)
    if sentence:
        yield sentence


def _hits(sentence: Sequence[str]) -> Iterator[tuple[int, str, int]]:
    """Polar terms of a sentence: position, base form, valence."""
    lexicon = word_list()
    position = 0
    while position < len(sentence):
        for words, valence in lexicon.phrases.get(sentence[position], ()):
            if tuple(sentence[position : position + len(words)]) == words:
                if valence:
                    yield position, " ".join(words), valence
                position += len(words)
                break
        else:
            word = sentence[position]
            following = sentence[position + 1] if position + 1 < len(sentence) else ","
            found = None if word in lexicon.negations else _lookup(word)
            if found and not (word in lexicon.modifiers and _lookup(following)):
                yield position, *found
            position += 1


def _context(sentence: Sequence[str], position: int, valence: int) -> float:
    """The factor by which the words right before a polar term change it."""
    lexicon = word_list()
    factor = 1.0
    for word in reversed(sentence[max(0, position - 2) : position]):
        if word not in lexicon.modifiers:
            break
        factor *= _STRONGER if word in lexicon.strengtheners else _WEAKER
    for word in reversed(sentence[max(0, position - _NEGATION_REACH) : position]):
        if word == "," or word in lexicon.contrasts:
            break
        if word in lexicon.negations:
            return factor * (_NEGATED_PRAISE if valence > 0 else _NEGATED_BLAME)
    return factor


def _turn(sentence: Sequence[str]) -> int | None:
    """Where a sentence turns from what it concedes to what it means; ``None`` when it doesn't."""
    lexicon = word_list()
    if sentence[0] in lexicon.concessions:
        return sentence.index(",") if "," in sentence else None
    return max((at for at, word in enumerate(sentence) if at and word in lexicon.contrasts), default=None)


@lru_cache(maxsize=16_384)
def _lookup(word: str) -> tuple[str, int] | None:
    """Base form and valence of a polar word, or ``None``."""
    if len(word) > _LONGEST_WORD:
        return None
    valences = word_list().valences
    for form in _bases(word):
        if form in valences:
            return (form, valences[form]) if valences[form] else None
    return None


def _bases(word: str) -> Iterator[str]:
    """The word and the base forms it may be an inflection of."""
    yield word
    if word.endswith("'s"):
        yield word[:-2]
    for ending in ("ness", "est", "ing", "ed", "er", "ly", "es", "s"):
        if not word.endswith(ending) or len(stem := word[: -len(ending)]) < 3:
            continue
        yield stem
        if ending not in ("s", "ness"):
            yield stem + "e"
        if stem.endswith("i"):
            yield stem[:-1] + "y"
        if len(stem) > 3 and stem[-1] == stem[-2]:
            yield stem[:-1]
