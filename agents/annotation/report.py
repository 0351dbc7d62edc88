"""What judgements say: who chose what, how fast and on which side, how far annotators agree, and which replies they prefer."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.annotation.agreement import Kappa, cohen_kappa, table, wilson
from agents.annotation.log import CHOICES, Judgement
from agents.annotation.pairs import Pair
from agents.estimates import Estimate, bootstrap
from lm_envs.rendering import printable

_ANSWERS = ("a", "b", "tie")  # what agreement is about; a skipped pair has no answer
_SHOWN_PROBLEMS = 5


@dataclass(frozen=True)
class Annotator:
    """What one annotator did.

    Attributes:
        name: theirs.
        choices: how often each of `CHOICES` was made.
        left: how often they chose the left of two replies, whichever it was.
        left_share: of left among left and right, and a 95 % interval: about a half where position has no effect.
        seconds: median of a judgement.
    """

    name: str
    choices: dict[str, int]
    left: int
    left_share: Estimate | None
    seconds: float


@dataclass(frozen=True)
class Agreement:
    """How far two annotators agree on the pairs that both judged, skipped ones left out; answers are a, b and tie."""

    first: str
    second: str
    kappa: Kappa


@dataclass(frozen=True)
class Report:
    """All of it.

    Attributes:
        annotators: by name.
        everybody: the same of all judgements together; ``None`` when there are none.
        agreement: of each two annotators.
        preference: mean over pairs of how far b is preferred: 1 when all chose b, a half for ties, 0 when all chose a; the interval
            resamples pairs. ``None`` when nothing was judged.
        pairs: that were judged by somebody.
        retracted: judgements that were taken back.
        problems: lines that hold no record.
    """

    annotators: list[Annotator]
    everybody: Annotator | None
    agreement: list[Agreement]
    preference: Estimate | None
    pairs: int
    retracted: int
    problems: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def report(judgements: Sequence[Judgement], *, retracted: int = 0, problems: Sequence[str] = ()) -> Report:
    """The report of the judgements that count."""
    by_name: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        by_name[judgement.annotator].append(judgement)
    names = sorted(by_name)
    scores = _preferences(judgements)
    return Report(
        [_annotator(name, by_name[name]) for name in names],
        _annotator("", judgements) if judgements else None,
        [Agreement(first, second, _kappa(by_name[first], by_name[second])) for first, second in combinations(names, 2)],
        bootstrap([float(np.mean(of_pair)) for of_pair in scores.values()], np.random.default_rng(0)) if scores else None,
        len(scores),
        retracted,
        list(problems),
    )


def preferences(pairs: Sequence[Pair], judgements: Sequence[Judgement]) -> list[dict[str, str]]:
    """Rows ``prompt``, ``chosen``, ``rejected`` in the pairs' order, one for each pair that annotators decided on the whole."""
    scores = _preferences(judgements)
    rows = []
    for pair in pairs:
        mean = float(np.mean(scores[pair.id])) if pair.id in scores else 0.5
        if mean != 0.5:
            chosen, rejected = (pair.b, pair.a) if mean > 0.5 else (pair.a, pair.b)
            rows.append({"prompt": pair.prompt, "chosen": chosen, "rejected": rejected})
    return rows


def export(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Write rows as JSON Lines.

    Raises:
        OSError: when they can't be written.
    """
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")


def show(found: Report, console: Console) -> None:
    """Print a report."""
    people = Table(
        "annotator", "a", "b", "tie", "skip", "left chosen", "95 % interval", "median s", title="Judgements", title_justify="left"
    )
    for row in [*found.annotators, *([found.everybody] if found.everybody and len(found.annotators) > 1 else [])]:
        share = row.left_share
        shown = ("", "") if share is None else (f"{share.mean:.2f}", f"{share.low:.2f} … {share.high:.2f}")
        counts = (str(row.choices[choice]) for choice in CHOICES)
        people.add_row(Text(printable(row.name) or "all"), *counts, *shown, f"{row.seconds:.1f}")
    console.print(people)
    if found.agreement:
        together = Table("annotators", "pairs", "agree", "Cohen's kappa", "95 % interval", title="Agreement", title_justify="left")
        for one in found.agreement:
            kappa = one.kappa
            of_both = Text(f"{printable(one.first)}, {printable(one.second)}")
            if kappa.kappa is None:
                together.add_row(of_both, str(kappa.pairs), f"{kappa.observed:.2f}" if kappa.pairs else "", "undefined", "")
            else:
                interval = f"{kappa.low:.2f} … {kappa.high:.2f}"
                together.add_row(of_both, str(kappa.pairs), f"{kappa.observed:.2f}", f"{kappa.kappa:.2f}", interval)
        console.print(together)
    if found.preference:
        console.print(
            f"b is preferred to a: {found.preference}, over {found.pairs} pairs, a tie counts half", highlight=False, markup=False
        )
    if found.retracted:
        console.print(f"{found.retracted} judgements were taken back", highlight=False)
    for problem in found.problems[:_SHOWN_PROBLEMS]:
        console.print(printable(problem), highlight=False, markup=False, style="yellow")
    if len(found.problems) > _SHOWN_PROBLEMS:
        console.print(f"and {len(found.problems) - _SHOWN_PROBLEMS} more such lines", highlight=False, style="yellow")


def _annotator(name: str, judgements: Sequence[Judgement]) -> Annotator:
    counts = Counter(judgement.choice for judgement in judgements)
    left = sum(judgement.choice == judgement.left for judgement in judgements)
    decided = counts["a"] + counts["b"]
    share = Estimate(left / decided, *wilson(left, decided)) if decided else None
    return Annotator(name, {choice: counts[choice] for choice in CHOICES}, left, share, median(one.seconds for one in judgements))


def _kappa(first: Sequence[Judgement], second: Sequence[Judgement]) -> Kappa:
    answers = [{one.pair: one.choice for one in made if one.choice != "skip"} for made in (first, second)]
    both = sorted(answers[0].keys() & answers[1].keys())
    return cohen_kappa(table([answers[0][pair] for pair in both], [answers[1][pair] for pair in both], _ANSWERS))


def _preferences(judgements: Sequence[Judgement]) -> dict[str, list[float]]:
    """How far each annotator prefers b, by pair: 0, a half or 1."""
    scores: dict[str, list[float]] = defaultdict(list)
    for judgement in judgements:
        if judgement.choice != "skip":
            scores[judgement.pair].append({"a": 0.0, "tie": 0.5, "b": 1.0}[judgement.choice])
    return dict(scores)
