"""Pairs of replies to judge.

read_pairs("pairs.jsonl")  # {"prompt": "How was the soup?", "a": "Salty.", "b": "It was lovely, thank you."}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lm_envs.user_data import read

COLUMNS = ("prompt", "a", "b")

Side = Literal["a", "b"]


@dataclass(frozen=True)
class Pair:
    """Two different replies to one prompt."""

    prompt: str
    a: str
    b: str

    def __post_init__(self) -> None:
        if self.a == self.b:
            raise ValueError("a and b are the same")

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits that follow from the texts: a judgement finds its pair wherever that stands in the file."""
        return hashlib.sha256(json.dumps([self.prompt, self.a, self.b]).encode()).hexdigest()[:16]


def read_pairs(source: Any, columns: Mapping[str, str] | None = None) -> list[Pair]:
    """The pairs of a source in its order, each once.

    Args:
        source: a ``.jsonl`` or ``.csv`` file, a list, or whatever else :func:`lm_envs.user_data.read` takes, with the columns ``prompt``,
            ``a`` and ``b``.
        columns: what the source calls a column, such as ``{"a": "chosen", "b": "rejected"}``.

    Raises:
        DataError: for what can't be read, and for rows that aren't pairs.
    """
    return list(dict.fromkeys(read(source, lambda row: Pair(**row), required=COLUMNS, names=columns)))


def write_pairs(pairs: Iterable[Pair], path: Path) -> None:
    """Write a new ``.jsonl`` file.

    Raises:
        OSError: when it can't be written, or is there already.
    """
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(asdict(pair), ensure_ascii=False) + "\n" for pair in pairs)


def paired(prompts: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> list[Pair]:
    """Pairs of what two models answered to the same prompts; without those that leave nothing to judge: same or empty replies."""
    rows = ((prompt.strip(), a.strip(), b.strip()) for prompt, a, b in zip(prompts, ours, theirs, strict=True))
    return list(dict.fromkeys(Pair(*row) for row in rows if all(row) and row[1] != row[2]))
