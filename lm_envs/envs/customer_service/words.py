"""From text to words: sentences, spelling, the forms of verbs, and clauses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

MAX_READ = 2000
MIN_CORRECTED = 6
_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "–": " - ", "—": " - ", "*": " ", "_": " ", "…": ". "})
_END = re.compile(r"(?<=[.!?])[\"')]*\s+|\n+|(?<=[a-z]{2}[.!?])(?=[A-Z])|(?<=[!?])(?=[A-Za-z])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|no|nr|st|rd|ave|mr|mrs|ms|dr|approx)\.)$", re.IGNORECASE)
_WORD = re.compile(r"<[a-z]+:\d+>|[^\W_]+(?:['-][^\W_]+)*|[£$€]|[,;:()\"/-]")
FORMS = "bspg"
_QUOTED = re.compile(r'"(\w+)[.,]?"')
_OWNED = re.compile(
    r"\b(order|account|customer|holder|item|product|parcel|shop|company|purchase|article|courier|driver|manufacturer)'s"
    r"(?= (?:number|name|postcode|email|address|reference|id|size|colour|color|price|policy|rules|warranty|details|owner|date|status)\b)"
)
_ITS = re.compile(
    r"\bits(?= (?:in|on|been|not|a|the|out|already|still|now|too|final|past|sold|delivered|shipped|cancelled|canceled|done|gone|okay)\b)"
)
_NOUNS = frozenset(("refund", "return", "exchange", "swap", "credit", "transfer"))
_SAME = frozenset(("set", "put", "let"))
_PERFECT = frozenset("have has had been was is are".split())
_BETWEEN = frozenset("been being not now already just also successfully all".split())
_BEFORE_VERB = frozenset("will can could shall would may might to me us".split())
_AFTER_NOUN = frozenset(
    "is are was were has have had will can could of or and not coming issued approved processed done sent confirmed booked on in".split()
)


def sentences(text: str) -> Iterator[str]:
    """Sentences with their end marks; only the first 2,000 characters are read."""
    text = unicodedata.normalize("NFKC", text[:MAX_READ])[:MAX_READ].translate(_QUOTES)
    held = ""
    for part in _END.split(text):
        if _ABBREVIATION.search(part[-8:]):
            held += part + " "
            continue
        if sentence := (held + part).strip():
            yield sentence
        held = ""
    if held.strip():
        yield held.strip()


class Lexicon:
    """The compiled `words.json`, with words that patterns use, which mistyped ones are corrected to."""

    def __init__(self, data: Mapping[str, Any], vocabulary: frozenset[str]) -> None:
        self._contractions = tuple(
            (short, re.compile((r"\b" if short[0].isalpha() and short != "n't" else "") + re.escape(short) + r"\b"), long)
            for short, long in data["contractions"]
        )
        self._idioms = _any_of(data["idioms"])
        self._fillers = _any_of(data["fillers"])
        self._folds: dict[str, str] = data["folds"]
        self._folded = _any_of(self._folds)
        self._spellings: dict[str, str] = data["spellings"]
        self.forms = _verb_forms(data["verbs"])
        self.forms.pop("orders", None)  # goods, not what somebody does
        self.nouns: dict[str, str] = data["verbs"]["nouns"]
        self._determiners = frozenset(data["determiners"].split())
        self._plain = frozenset(data["plain"].split())
        self._known = vocabulary | self.forms.keys() | self.nouns.keys() | self._plain | self._spellings.keys()
        self._near = _deletions(word for word in (vocabulary | self.forms.keys() | self.nouns.keys()) if len(word) >= MIN_CORRECTED)

    def words(self, sentence: str) -> list[str]:
        """Lower-cased words and commas of a sentence, contractions written out and spelling mended."""
        if '"' in sentence:
            sentence = _QUOTED.sub(r"\1", sentence)
        if "'s " in sentence:
            sentence = _OWNED.sub(r"\1", sentence)
        if "its " in sentence:
            sentence = _ITS.sub("it is", sentence)
        for short, pattern, long in self._contractions:
            if short in sentence:
                sentence = pattern.sub(long, sentence)
        words: list[str] = []
        for word in _WORD.findall(sentence):
            if word in self._spellings:
                words += self._spellings[word].split()
            elif word[0] == "<" or word in self._known:
                words.append(word)
            elif "-" in word and word != "-":
                words += word.split("-")
            else:
                words.append(self._mended(word))
        line = self._folded.sub(lambda match: self._folds[match.group()], " ".join(words))
        return self._fillers.sub(" ", self._idioms.sub(" , ", line)).split()

    @lru_cache(maxsize=8192)  # noqa: B019 (one lexicon a process)
    def _mended(self, word: str) -> str:
        if not (MIN_CORRECTED - 1 <= len(word) <= 20 and word.isalpha()):
            return word
        for variant in (word, *(word[:i] + word[i + 1 :] for i in range(1, len(word)))):
            for target in self._near.get(variant, ()):
                if target[0] == word[0] and _within_one(word, target):
                    return target
        return word

    @property
    def inflected(self) -> dict[str, tuple[str, str]]:
        """Lemma and form of inflected words, nouns included."""
        return {**self.forms, **{word: (lemma, "n") for word, lemma in self.nouns.items()}}

    def tagged(self, words: list[str]) -> list[str]:
        """Words with verbs as lemma and form: b(ase), s (third person), p(ast or participle), g(erund), or n(oun)."""
        tagged: list[str] = []
        for index, word in enumerate(words):
            if word in self.nouns:
                tagged.append(f"{self.nouns[word]}/n")
            elif word in self.forms:
                lemma, form = self.forms[word]
                if form in "bs":
                    form = self._base_form(words, tagged, index, lemma, form)
                tagged.append(f"{lemma}/{form}")
            elif (
                word == "did"
                and words[index - 1 : index] in (["i"], ["we"])
                and words[index + 1 : index + 2]
                and words[index + 1] in self._determiners
            ):
                tagged.append("do/p")
            elif word == "do" and index and words[index - 1] in _BEFORE_VERB:
                tagged.append("do/b")
            else:
                tagged.append(word)
        return tagged

    def _base_form(self, words: list[str], tagged: list[str], index: int, lemma: str, form: str) -> str:
        """Whether a word that looks like a present tense is a noun or a participle after all."""
        previous = words[index - 1] if index else ""
        if previous in self._determiners:
            return "n"
        if lemma in _SAME:
            at = index - 1
            while at >= 0 and words[at] in _BETWEEN:
                at -= 1
            return "p" if at >= 0 and words[at] in _PERFECT and words[at - 1 : at] != ["do"] else form
        if lemma == "order":
            return form if previous in _BEFORE_VERB or previous in ("i", "we", "you", "please", "and", "did") else "n"
        if lemma not in _NOUNS:
            return form
        following = words[index + 1] if index + 1 < len(words) else ""
        if index and "/" in tagged[-1] and previous not in ("help", "let", "please"):
            return "n"
        if previous in ("or", "and") and index > 1 and tagged[index - 2].endswith("/n"):
            return "n"
        return "n" if previous in ("", ",", ":", "-", "so", "also") and following in _AFTER_NOUN else form


def _any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(sorted(map(re.escape, phrases), key=len, reverse=True)) + r")\b")


def _verb_forms(verbs: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    forms: dict[str, tuple[str, str]] = {}
    for lemma in verbs["regular"].split():
        stem = lemma[:-1] if lemma.endswith("e") else lemma
        past = lemma[:-1] + "ied" if lemma.endswith("y") and lemma[-2] not in "aeo" else stem + "ed"
        third = lemma + "es" if lemma.endswith(("s", "sh", "ch", "x")) else past[:-1] + "s" if past.endswith("ied") else lemma + "s"
        for form, word in zip(FORMS, (lemma, third, past, stem + "ing"), strict=True):
            forms.setdefault(word, (lemma, form))
    for lemma in verbs["doubling"].split():
        for form, word in zip(FORMS, (lemma, lemma + "s", lemma + lemma[-1] + "ed", lemma + lemma[-1] + "ing"), strict=True):
            forms.setdefault(word, (lemma, form))
    for lemma, by_form in verbs["irregular"].items():
        for form, written in zip(FORMS, by_form, strict=True):
            forms.update(dict.fromkeys(written.split(), (lemma, form)))
    return forms


def _deletions(words: Iterable[str]) -> dict[str, list[str]]:
    near: dict[str, list[str]] = {}
    for word in sorted(words):
        for variant in {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}:
            near.setdefault(variant, []).append(word)
    return near


def _within_one(one: str, other: str) -> bool:
    """Whether one letter more, less or other, or two swapped, turn one word into the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    i = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    a, b = one[i:], other[i:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
