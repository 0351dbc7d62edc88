"""What people tell of themselves, in sentences of free text.

    disclosures("haha yeah! I work as a nurse in Provo. And you?", known=set())     -> [{"work", "nurse", "provo"}]
    disclosures("two dogs", known=set(), asked=True)                             -> [{"two", "dog"}]

A disclosure is a statement about its speaker ("I", "my", "we", ...) with at least two words of substance that are new to the conversation;
right after a question also a statement of at most five words with one such word. It is read from words alone, and a joke is one too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from lm_envs.envs.dialogue.understanding import intents, sentences, stem, words

NEW_WORDS = 2
SHORT = 5  # words of an answer that leaves out its subject


def disclosures(text: str, known: set[str], *, asked: bool = False) -> list[set[str]]:
    """The new words of each statement in which the speaker tells something, as stems.

    Args:
        text: what somebody said.
        known: stems of what was said before.
        asked: whether it answers a question.
    """
    found: list[set[str]] = []
    heard = set(known)
    for sentence, asks in sentences(text):
        new = {stem(word) for word in sentence if _says_something(word)} - heard
        own = len(new) >= NEW_WORDS and not casual()["speaker"].isdisjoint(sentence)
        if not asks and (own or (asked and new and len(sentence) <= SHORT)):
            found.append(new)
        heard |= new
    return found


def substance(text: str) -> list[str]:
    """The words of a text that say something, in order."""
    return [word for word in words(text) if _says_something(word)]


def stems(text: str) -> set[str]:
    """Stems of the words that say something."""
    return {stem(word) for word in substance(text)}


@cache
def casual() -> Mapping[str, frozenset[str]]:
    """The lists of ``casual.json`` by name."""
    data = json.loads(Path(__file__).with_name("casual.json").read_text("utf-8"))
    return {name: frozenset(listed) for name, listed in data.items() if name != "about"}


def _says_something(word: str) -> bool:
    return len(word) > 2 and not word.isdigit() and word not in casual()["little"] and word not in intents()["empty"]
