"""How well questions are understood, on ``heldout.jsonl``.

    python -m lm_envs.envs.twenty_questions.heldout

A label is the attribute or the thing that is meant. Kinds: ``plain`` and ``negative`` questions ("isn't it alive?", which asks what "is it
alive?" asks), the ``opposite`` of an attribute ("is it smaller than a person?"), a ``guess``, and ``none``: neither, or several at once.
These were written and committed before what understands them, by the same author, who knew them when writing it: their accuracy is an
upper limit. ``oblique`` ones describe the attribute instead of naming it ("would it set off a metal detector?"; a label with "!" is the
opposite) and were written afterwards, to find the limits; no phrase was added for any of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from lm_envs.envs.twenty_questions.table import table
from lm_envs.envs.twenty_questions.understanding import Understood, understand

Kind = Literal["plain", "negative", "opposite", "guess", "none", "oblique"]


@dataclass(frozen=True)
class Question:
    """A labelled reply."""

    kind: Kind
    text: str
    label: str

    def understood(self, heard: Understood) -> bool:
        """Whether it was taken for what it is."""
        if self.kind == "none":
            return heard.kind in ("nothing", "several")
        return heard == Understood(
            "guess" if self.kind == "guess" else "question",
            self.label.removeprefix("!"),
            self.kind == "opposite" or self.label.startswith("!"),
        )


@cache
def questions() -> tuple[Question, ...]:
    """The file, checked.

    Raises:
        ValueError: for a line of another form, an unknown label, or a text that was there before.
    """
    found: dict[str, Question] = {}
    for number, line in enumerate(Path(__file__).with_name("heldout.jsonl").read_text("utf-8").splitlines(), 1):
        question = Question(**json.loads(line))
        labels = {"none": ("",), "guess": table().things}.get(question.kind, tuple(table().attributes))
        if question.kind not in get_args(Kind) or question.label.removeprefix("!") not in labels or question.text in found:
            raise ValueError(f"heldout.jsonl, line {number}: unknown kind or label, or a text that was there before: {line}")
        found[question.text] = question
    return tuple(found.values())


class Tally(NamedTuple):
    """How questions of one kind were read: as they are meant, not at all ("ask it with other words"), or as something else."""

    right: int
    refused: int
    misread: int


def tally(read: Callable[[str], Understood] = understand, asked: Iterable[Question] | None = None) -> Mapping[str, Tally]:
    """By kind, and for ``"all"`` kinds but ``"oblique"``: how questions were read."""
    marks: dict[str, list[int]] = {}
    for question in questions() if asked is None else asked:
        heard = read(question.text)
        outcome = 0 if question.understood(heard) else 1 if heard.kind in ("nothing", "several") else 2
        for key in (question.kind,) if question.kind == "oblique" else ("all", question.kind):
            marks.setdefault(key, [0, 0, 0])[outcome] += 1
    return {key: Tally(*counts) for key, counts in marks.items()}


def main() -> None:
    """Print the accuracy by kind."""
    for kind, counts in tally().items():
        total = sum(counts)
        print(f"{kind:<9} {counts.right / total:6.1%} of {total:>3} understood, {counts.refused} refused, {counts.misread} misread")


if __name__ == "__main__":
    main()
