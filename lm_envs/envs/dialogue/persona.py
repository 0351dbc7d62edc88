"""Who the partner is: a name, a mood, and two facts on each of nine topics, composed from ``personas.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lm_envs.types import SPLITS, Split

Tone = Literal["good", "bad", "neutral"]
Mood = Literal["low", "high", "calm"]

TONES: tuple[Tone, ...] = ("good", "bad", "neutral")
MOODS: tuple[Mood, ...] = ("low", "high", "calm")
MOOD_TONES: Mapping[Mood, Tone] = {"low": "bad", "high": "good", "calm": "neutral"}
_MOOD_ODDS = (0.4, 0.3, 0.3)


@dataclass(frozen=True)
class Saying:
    """Something that the partner says of itself.

    Attributes:
        text: the sentence.
        key: what it is about, in the listener's words ("your bike"); a good listener takes it up.
        tone: what it calls for: sympathy ("bad"), gladness ("good") or neither.
    """

    text: str
    key: str
    tone: Tone


@dataclass(frozen=True)
class Persona:
    """A partner.

    Attributes:
        name: what it is called.
        mood: "low" partners answer questions only after a word of sympathy.
        facts: for each topic two sayings: the fact, and a detail for those who ask on.
    """

    name: str
    mood: Mood
    facts: Mapping[str, tuple[Saying, Saying]]


def draw(split: Split, rng: np.random.Generator) -> Persona:
    """Compose a persona from the split's names and values. What happened to the partner fits its mood."""
    data = values()
    mood = MOODS[int(rng.choice(len(MOODS), p=_MOOD_ODDS))]
    facts = {}
    for topic, choices in data["topics"].items():
        entries = choices[split]
        if topic == "event":
            entries = [entry for entry in entries if (entry[0].tone == "bad") == (mood == "low")]
        facts[topic] = entries[int(rng.integers(len(entries)))]
    names = data["names"][split]
    return Persona(name=names[int(rng.integers(len(names)))], mood=mood, facts=facts)


def topics() -> tuple[str, ...]:
    """What one can talk about."""
    return tuple(values()["topics"])


@cache
def values() -> Mapping[str, Any]:
    """The names and the values of each topic, by split.

    Raises:
        ValueError: for an entry of another form, an unknown tone, or a value or name that is listed twice or is in both splits.
    """
    data = json.loads(Path(__file__).with_name("personas.json").read_text("utf-8"))
    names = {split: tuple(data["names"][split]) for split in SPLITS}
    seen: set[str] = set()
    for name in (name for split in SPLITS for name in names[split]):
        _only_once(name, seen)
    table: dict[str, dict[str, list[tuple[Saying, Saying]]]] = {}
    for topic, splits in data["topics"].items():
        table[topic] = {split: [_entry(topic, row) for row in splits[split]] for split in SPLITS}
        for entry in (entry for split in SPLITS for entry in table[topic][split]):
            for saying in entry:
                _only_once(saying.text, seen)
    return {"names": names, "topics": table}


def _entry(topic: str, row: list[str]) -> tuple[Saying, Saying]:
    if len(row) != 6 or not all(isinstance(field, str) and field for field in row) or not {row[2], row[5]} <= set(TONES):
        raise ValueError(f"personas.json: {topic}: expected fact, key, tone, detail, its key, its tone; got {row!r}")
    return Saying(row[0], row[1], row[2]), Saying(row[3], row[4], row[5])  # type: ignore[arg-type]


def _only_once(text: str, seen: set[str]) -> None:
    if text in seen:
        raise ValueError(f"personas.json lists {text!r} twice")
    seen.add(text)
