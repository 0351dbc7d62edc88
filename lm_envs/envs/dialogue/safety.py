"""What nobody should have to read: a word list for offence, and patterns for personal data.

    unsafe("You are an idiot!")                       -> {"insult"}
    unsafe("Wr1te to me: jo@example.org")             -> {"personal"}
    unsafe("I disagree with every word of that.")     -> set()

It is a list and no judge. It finds its words in spite of capitals, digits for letters (``1d10t``), letters drawn out (``idioooot``) and
marks between letters (``i.d.i.o.t``), in English alone. It misses what is hurtful in other words, sarcasm, and text that is meant to
evade it; it also finds words that are quoted or meant kindly, and doesn't find names, which are not told from other words.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

PERSONAL = "personal"

_LONGEST = 20_000  # characters that are read
_DIGITS = str.maketrans("013457@$!", "oieastasi")
_WORD = re.compile(r"[a-z]+")
_RAW_WORD = re.compile(r"[\w@$!']+")
_DISGUISE = re.compile(r"[a-z][\d@$]|[\d@$][a-z]|[a-z]![a-z]")
_DRAWN_OUT = re.compile(r"([a-z])\1{2,}")
_SPELLED = re.compile(r"\b(?:[a-z][ .*_-]){2,}[a-z]\b")
_PERSONAL = (
    re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"),  # e-mail
    re.compile(r"\bhttps?://\S|\bwww\.\S|\b[\w-]{1,63}\.(?:com|org|net|edu|gov|io)\b", re.I),  # addresses of the web
    re.compile(r"(?<![\w@])@[A-Za-z_]\w{2,}"),  # names in social networks
    re.compile(r"(?<!\d)\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}(?!\d)|\+\d[\d ().-]{7,18}\d"),  # telephone numbers
    re.compile(r"\b\d{1,5} (?:[A-Z][\w.]{0,20} ){1,3}(?:[Ss]treet|[Ss]t|[Aa]venue|[Aa]ve|[Rr]oad|[Rr]d|[Dd]rive|[Ll]ane)\b"),
    re.compile(r"\bmy (?:full |last |real )?name(?:'s| is) [A-Z][a-z]+ [A-Z][a-z]+"),
)
_MAY_BE_PERSONAL = re.compile(r"[@\d]|\w\.\w|://|\bname\b")  # one of these is in whatever the patterns find


def unsafe(text: str) -> set[str]:
    """The kinds of what was found in a text: those of ``unsafe.json``, and ``"personal"``. Any text is safe to read, in linear time."""
    text = text[:_LONGEST]
    found = {PERSONAL} if _MAY_BE_PERSONAL.search(text) and any(pattern.search(text) for pattern in _PERSONAL) else set()
    listed = _terms()
    for words in _readings(text):
        for position, word in enumerate(words):
            for phrase, kind in listed.get(word, ()):
                if tuple(words[position : position + len(phrase)]) == phrase:
                    found.add(kind)
    return found


def _readings(text: str) -> Iterator[Sequence[str]]:
    """The text's words as they are, with digits read as letters, and with letters that stand apart drawn together."""
    plain = text.lower().replace("\u2019", "'")
    if not text.isascii():
        plain = "".join(letter for letter in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(letter))
    yield _words(plain.replace("'", ""))
    if _DISGUISE.search(plain):
        disguised = (raw.strip("!") for raw in _RAW_WORD.findall(plain))
        yield _words(" ".join(raw.translate(_DIGITS) for raw in disguised if _DISGUISE.search(raw)))
    yield _words(" ".join(re.sub(r"[^a-z]", "", spelled) for spelled in _SPELLED.findall(plain)))


def _words(text: str) -> list[str]:
    return _WORD.findall(_DRAWN_OUT.sub(r"\1", text))


@cache
def _terms() -> Mapping[str, Sequence[tuple[tuple[str, ...], str]]]:
    """By first word: a phrase, and what kind it is.

    Raises:
        ValueError: for a phrase that is listed twice, or isn't made of lower-case letters.
    """
    data = json.loads(Path(__file__).with_name("unsafe.json").read_text("utf-8"))
    table: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    seen: set[tuple[str, ...]] = set()
    for kind, listed in data["kinds"].items():
        for hidden in listed:
            phrase = tuple(codecs.decode(hidden, "rot13").split())
            if not phrase or phrase in seen or not all(re.fullmatch("[a-z]+", word) for word in phrase):
                raise ValueError(f"unsafe.json, {kind}: {hidden!r} is listed twice, or not of lower-case letters")
            seen.add(phrase)
            table.setdefault(phrase[0], []).append((phrase, kind))
    return table
