"""Proxy, ground truth and KL in one picture, after L. Gao et al., "Scaling laws for reward model overoptimization", ICML 2023."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.rlhf.sweep import Results

_SMOOTHED = 5  # rollouts


def draw(curves: Mapping[float, Sequence[Mapping[str, float]]], results: Results, start: Mapping[str, Any], gold: str, path: Path) -> None:
    """Draw the course of each run, and where it ended on held-out prompts, over the root of the KL divergence of an episode.

    Args:
        curves: rows of ``metrics.jsonl`` by beta.
        results: of the judge, by beta.
        start: of the judge, for the start.
        gold: name of the ground truth.
        path: of the PNG.

    Raises:
        ImportError: without matplotlib.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", sharey=True)
    for number, beta in enumerate(sorted(curves)):
        colour = f"C{number}"
        rows = [row for row in curves[beta] if {"kl/per_reply", "rollout/reward", f"metrics/{gold}"} <= row.keys()]
        kl, proxy, truth = (np.array([row[name] for row in rows]) for name in ("kl/per_reply", "rollout/reward", f"metrics/{gold}"))
        root = np.sqrt(np.maximum(_smooth(kl), 0.0))
        left.plot(root, _smooth(proxy), color=colour, linewidth=1.5, label=f"beta {beta:g}")
        left.plot(root, _smooth(truth), color=colour, linewidth=1.5, linestyle="--")
        _points(right, results[beta]["held out"], colour)
    _points(right, start["held out"], "black")
    left.plot([], [], color="black", marker="o", linestyle="none", label="start, at the right")
    left.set_title(f"in training (means of {_SMOOTHED} rollouts)")
    right.set_title("at the end, on held-out prompts, 95 % intervals")
    left.set_ylabel(f"proxy: reward (solid, dots); ground truth: {gold} (dashed, diamonds)", fontsize="small")
    for axes in (left, right):
        axes.set_xlabel("√ KL from the start, nats an episode")
        axes.grid(alpha=0.3)
    left.legend(fontsize="small")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _points(axes: Any, result: Mapping[str, Any], colour: str) -> None:
    root = np.sqrt(max(result["kl_episode"]["mean"], 0.0))
    for name, marker in (("proxy", "o"), ("gold", "D")):
        found = result[name]
        bars = [[found["mean"] - found["low"]], [found["high"] - found["mean"]]]
        filled = colour if name == "proxy" else "none"
        axes.errorbar([root], [found["mean"]], bars, color=colour, marker=marker, markerfacecolor=filled, capsize=3)


def _smooth(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Running means over :data:`_SMOOTHED` values, fewer at the beginning."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - _SMOOTHED, 0)
    return (sums[ends] - sums[begins]) / (ends - begins)  # type: ignore[no-any-return]
