"""What is made of the runs: times to the goal, their ratio, curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from agents.evaluation import Estimate

Results = Sequence[Mapping[str, Any]]

_MOST_RESAMPLES = 20_000
_NAMES = {"ours": "this package", "unshaped": "without shaping", "trl": "TRL's GRPO"}


def times(results: Results, side: str) -> list[float]:
    """Seconds of a side's runs to the goal, in the order of the results; infinite for a run that didn't reach it."""
    return [math.inf if result["seconds"] is None else float(result["seconds"]) for result in results if result["side"] == side]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Median time of ours over median time of theirs, with a 95 % percentile interval of the bootstrap over seeds.

    With few seeds every resample is taken once, so that nothing is random; with more, 20,000 are drawn with a fixed seed. The
    interval of three seeds is the range between the extremes, or close to it: it says what was seen, not what any seed would give.
    """
    a, b = _medians(ours), _medians(theirs)
    ratios = (a[:, None] / b[None, :]).ravel()
    low, high = np.quantile(ratios, [0.025, 0.975], method="closest_observation")
    return Estimate(float(np.median(ours) / np.median(theirs)), float(low), float(high))


def markdown(results: Results, chosen: Mapping[str, str]) -> str:
    """The table, and the ratios to TRL under it when it ran."""
    sides = list(dict.fromkeys(result["side"] for result in results))
    seeds = list(dict.fromkeys(result["seed"] for result in results))
    lines = ["| side | settings | " + " | ".join(f"seed {seed}" for seed in seeds) + " | median | iterations | tokens | s an iteration |"]
    lines.append("|---|---|" + "---|" * (len(seeds) + 4))
    for side in sides:
        runs = {result["seed"]: result for result in results if result["side"] == side}
        cells = [_NAMES[side], chosen[side]]
        cells += [_seconds(runs[seed]) if seed in runs else "" for seed in seeds]
        cells.append(f"{np.median(times(results, side)):.1f} s")
        cells += [_median_of(runs.values(), name) for name in ("iterations", "tokens")]
        pace = [run["points"][-1]["seconds"] / len(run["points"]) for run in runs.values()]
        cells.append(f"{np.median(pace):.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    for side in sides:
        if side != "trl" and "trl" in sides:
            estimate = ratio(times(results, side), times(results, "trl"))
            lines += ["", f"{_NAMES[side]} ÷ TRL: {estimate.mean:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"]
    return "\n".join(lines) + "\n"


def plot(results: Results, path: Path) -> None:
    """Running mean of VADER against seconds and against tokens: a line a run, the sides in colours."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    sides = list(dict.fromkeys(result["side"] for result in results))
    for axes, measure in zip(panels, ("seconds", "tokens"), strict=True):
        for number, side in enumerate(sides):
            for run, result in enumerate(result for result in results if result["side"] == side):
                x, y = ([point[name] for point in result["points"]] for name in (measure, "running"))
                axes.plot(x, y, color=f"C{number}", alpha=0.8, marker=".", label=_NAMES[side] if run == 0 else None)
        axes.axhline(results[0]["task"]["goal"], color="black", linewidth=0.8, linestyle="--")
        axes.set(xlabel={"seconds": "seconds of training", "tokens": "tokens written"}[measure])
        axes.grid(alpha=0.3)
    panels[0].set(ylabel=f"mean VADER of the last {results[0]['task']['window']} replies")
    panels[0].legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _medians(values: Sequence[float]) -> Any:
    """The median of each resample, ``(resamples,)``."""
    data = np.asarray(values, dtype=np.float64)
    n = len(data)
    if n**n <= _MOST_RESAMPLES:
        chosen = np.array(list(product(range(n), repeat=n)))
    else:
        chosen = np.random.default_rng(0).integers(n, size=(_MOST_RESAMPLES // n, n))
    return np.median(data[chosen], axis=1)


def _seconds(run: Mapping[str, Any]) -> str:
    return f"{run['seconds']:.1f} s" if run["seconds"] is not None else f"> {run['points'][-1]['seconds']:.0f} s"


def _median_of(runs: Any, name: str) -> str:
    values = [math.inf if run[name] is None else run[name] for run in runs]
    return f"{np.median(values):,.0f}"
