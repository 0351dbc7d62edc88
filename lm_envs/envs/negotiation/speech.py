"""What is said, from the data files: by the other side, in the manner of a personality, and by the scripted players."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lm_envs.types import SPLITS, Split

ACTS: Mapping[str, str] = {
    "open": "open",
    **dict.fromkeys(("counter", "hold", "last", "unclear"), "answer"),
    **dict.fromkeys(("accept", "leave", "bye"), "end"),
}
"""What the other side does, each with the kind of its first words."""
_PRICED = ("open", "counter", "hold", "last", "accept", "unclear")
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Personality:
    """A manner of speaking; it has nothing to do with how it concedes.

    Attributes:
        name: name of its file.
        split: the split it speaks in.
        starts: first words by kind.
        lines: what follows them, by act.
    """

    name: str
    split: Split
    starts: Mapping[str, Sequence[str]]
    lines: Mapping[str, Sequence[str]]

    def paraphrases(self, act: str) -> list[str]:
        """All that it can say for an act, with ``{price}`` and ``{good}`` to be filled in."""
        return [f"{start} {line}".strip() for start in ("", *self.starts[ACTS[act]]) for line in self.lines[act]]

    def say(self, act: str, price: str, good: str, rng: np.random.Generator) -> str:
        """One of them."""
        start, line = pick(("", *self.starts[ACTS[act]]), rng), pick(self.lines[act], rng).format(price=price, good=good)
        if not start or start[-1] in ".!?":
            line = line[0].upper() + line[1:]
        return f"{start} {line}".strip()


@dataclass(frozen=True)
class Good:
    """What is bought and sold.

    Attributes:
        good: what it is called.
        detail: what the agent is told of it.
        step: the unit of prices.
        least: the lowest limit of the agent, in steps.
        most: the highest.
    """

    good: str
    detail: str
    step: int
    least: int
    most: int


@cache
def personalities() -> tuple[Personality, ...]:
    """Those of the folder ``personalities``, by name.

    Raises:
        ValueError: when one lacks an act or a kind of first words, a line lacks the price, or the split is unknown.
    """
    found = [_personality(path.stem, json.loads(path.read_text("utf-8"))) for path in sorted((_HERE / "personalities").glob("*.json"))]
    return tuple(found)


def _personality(name: str, entry: Mapping[str, Any]) -> Personality:
    if set(entry) != {"split", "starts", "lines"} or entry["split"] not in SPLITS:
        raise ValueError(f"{name}.json: expected split ({', '.join(SPLITS)}), starts and lines")
    if set(entry["starts"]) != set(ACTS.values()) or set(entry["lines"]) != set(ACTS):
        raise ValueError(f"{name}.json: expected starts for {', '.join(sorted(set(ACTS.values())))} and lines for {', '.join(ACTS)}")
    for act in ACTS:
        if wrong := [line for line in entry["lines"][act] if ("{price}" in line) != (act in _PRICED)]:
            raise ValueError(f"{name}.json: {act}: lines of {', '.join(_PRICED)} name {{price}}, others don't: {wrong[0]!r}")
    return Personality(name, **entry)


@cache
def goods() -> Mapping[str, tuple[Good, ...]]:
    """The goods by split.

    Raises:
        ValueError: when one is listed twice, or its limits leave no room for prices above 0.
    """
    found = {split: tuple(Good(**entry) for entry in entries) for split, entries in _read("goods.json").items()}
    names = [good.good for split in SPLITS for good in found[split]]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"goods.json lists {', '.join(sorted(repeated))} twice")
    for good in (good for split in SPLITS for good in found[split]):
        if good.step < 1 or not 20 <= good.least <= good.most:
            raise ValueError(f"goods.json: {good.good}: expected a step of at least 1, and limits of at least 20 steps")
    return found


@cache
def lines() -> Mapping[str, Any]:
    """``lines.json``: the task by role, and what the scripted players say."""
    return _read("lines.json")


def money(amount: float) -> str:
    """A price as it is written: pounds, and pence where there are some."""
    return f"£{amount:,.2f}".removesuffix(".00")


def pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    """One of the choices."""
    return choices[int(rng.integers(len(choices)))]


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((_HERE / name).read_text("utf-8"))
    return data
