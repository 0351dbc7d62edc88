"""What is made of the results: accuracies with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.estimates import bootstrap
from benchmarks.experiments.judges.sweep import Result
from lm_envs.rewards.constitution import PRINCIPLES

_RESAMPLES = 4000


def interval(wins: npt.NDArray[np.float64], resamples: int = _RESAMPLES) -> tuple[float, float]:
    """Ends of the 95 % percentile interval of the bootstrap over pairs, ``wins`` being of shape ``(pairs,)``."""
    found = bootstrap(wins, np.random.default_rng(0), resamples=resamples)
    return found.low, found.high


def with_totals(results: Sequence[Result]) -> list[Result]:
    """The results, and behind each scorer's domains all of them together."""
    rows: list[Result] = []
    for scorer in dict.fromkeys(one.scorer for one in results):
        mine = [one for one in results if one.scorer == scorer]
        rated = [one for one in mine if one.on not in PRINCIPLES]
        wins, injected = (np.concatenate([getattr(one, name) for one in rated]) for name in ("wins", "injected"))
        seconds = float(np.average([one.seconds for one in rated], weights=[len(one.wins) for one in rated]))
        rows += [*rated, Result(scorer, "all domains", wins, injected, seconds), *(one for one in mine if one.on in PRINCIPLES)]
    return rows


def plain(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The results for JSON."""
    return [
        {
            "scorer": one.scorer,
            "on": one.on,
            "pairs": len(one.wins),
            "accuracy": float(one.wins.mean()),
            "interval": interval(one.wins),
            "accuracy_injected": float(one.injected.mean()),
            "interval_injected": interval(one.injected),
            "seconds_a_reply": one.seconds,
        }
        for one in results
    ]


def line(result: Result) -> str:
    """A result in a line."""
    return f"{result.scorer}, {result.on}: {_shown(result.wins)}, {1000 * result.seconds:.1f} ms a reply"


def markdown(results: Sequence[Result]) -> str:
    """A row for each scorer and kind of pair."""
    lines = [
        "| scorer | pairs | accuracy | the worse reply praises itself | ms a reply |",
        "|---|---|---|---|---|",
    ]
    for one in results:
        lines.append(
            f"| {one.scorer} | {one.on}, {len(one.wins)} | {_shown(one.wins)} | {_shown(one.injected)} | {1000 * one.seconds:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _shown(wins: npt.NDArray[np.float64]) -> str:
    low, high = interval(wins)
    return f"{wins.mean():.2f} [{low:.2f}, {high:.2f}]"
