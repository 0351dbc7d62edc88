"""What is said, from ``lines.json``: by the partner, and by the scripted players."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lm_envs.envs.dialogue.persona import TONES, topics, values

_RANDOM_KINDS = ("ask", "follow", "react", "react and ask", "own", "aside", "noise")
_RANDOM_ODDS = (0.12, 0.08, 0.16, 0.22, 0.12, 0.2, 0.1)


@cache
def lines() -> Mapping[str, Any]:
    """The file as it is.

    Raises:
        ValueError: when a topic or a tone has no lines.
    """
    data: Mapping[str, Any] = json.loads(Path(__file__).with_name("lines.json").read_text("utf-8"))
    for table, keys in (("ask", topics()), ("follow", topics()), ("own", topics()), ("react", TONES), ("greet", TONES)):
        if missing := [key for key in keys if not data[table].get(key)]:
            raise ValueError(f"lines.json: {table} has no lines for {', '.join(missing)}")
    return data


def pick(choices: Sequence[str], rng: np.random.Generator, said: str = "") -> str:
    """One of the choices, one that isn't part of ``said`` where there is one."""
    fresh = [choice for choice in choices if choice not in said] or choices
    return fresh[int(rng.integers(len(fresh)))]


def react(tone: str, key: str, rng: np.random.Generator, said: str = "") -> str:
    """A reaction to something about ``key``."""
    patterns = lines()["react"][tone]
    fresh = [pattern for pattern in patterns if max(pattern.split("{key}"), key=len) not in said] or patterns
    text = pick(fresh, rng).format(key=key)
    return text[0].upper() + text[1:]


def random_line(rng: np.random.Generator) -> str:
    """A reply of any kind: fitting ones by chance, and remarks that fit nothing."""
    kind = _RANDOM_KINDS[int(rng.choice(len(_RANDOM_KINDS), p=_RANDOM_ODDS))]
    table = lines()
    topic = pick(topics(), rng)
    if kind in ("ask", "follow", "own"):
        return pick(table[kind][topic], rng)
    if kind in ("aside", "noise"):
        return pick(table[kind], rng)
    entries = values()["topics"][topic]["train"]
    key = entries[int(rng.integers(len(entries)))][int(rng.integers(2))].key
    reaction = react(pick(TONES, rng), key, rng)
    return f"{reaction} {pick(table['ask'][topic], rng)}" if kind == "react and ask" else reaction
