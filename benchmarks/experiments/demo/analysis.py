"""What is made of the runs: a table, learning curves, completions before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Column, Table

from benchmarks.statistics import Estimate, nested_bootstrap
from lm_envs.rendering import printable

Results = Sequence[dict[str, Any]]


def summarise(results: Results, metric: str = "success") -> list[dict[str, Any]]:
    """One row an algorithm: reward and ground truth on the test split before and after, their paired gains, KL divergence, speed."""
    rows = []
    for algorithm in dict.fromkeys(result["algorithm"] for result in results):
        runs = [result for result in results if result["algorithm"] == algorithm]
        rng = np.random.default_rng(0)
        row: dict[str, Any] = {"algorithm": algorithm, "seeds": len(runs)}
        for name in ("reward", metric):
            before, after = (_episodes(runs, when, name) for when in ("before", "after"))
            row[f"{name} before"] = nested_bootstrap(before, rng)
            row[f"{name} after"] = nested_bootstrap(after, rng)
            row[f"{name} gain"] = nested_bootstrap(after - before, rng)  # the same scenarios: paired
        row["KL"] = float(np.mean([run["kl"]["per_token"]["mean"] for run in runs]))
        row["tokens/s"] = float(np.median([run["tokens"] / run["seconds"] for run in runs]))
        rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    """The rows for a terminal, a column an algorithm."""
    head, *lines = _columns(rows)
    shown = Table(head[0], *(Column(name, justify="right") for name in head[1:]), title=title)
    for line in lines:
        shown.add_row(*line)
    return shown


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table, a column an algorithm."""
    head, *body = _columns(rows)
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def plot_curves(results: Results, path: Path) -> None:
    """Reward of training episodes against tokens: a line a run, the mean of an algorithm's runs in bold."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for number, algorithm in enumerate(dict.fromkeys(result["algorithm"] for result in results)):
        curves = [np.array(result["curve"]) for result in results if result["algorithm"] == algorithm and result["curve"]]
        for curve in curves:
            axes.plot(curve[:, 0], curve[:, 1], color=f"C{number}", alpha=0.3, linewidth=1)
        if curves:
            tokens = np.linspace(max(curve[0, 0] for curve in curves), min(curve[-1, 0] for curve in curves), 100)
            mean = np.mean([np.interp(tokens, curve[:, 0], curve[:, 1]) for curve in curves], axis=0)
            axes.plot(tokens, mean, color=f"C{number}", linewidth=2.5, label=f"{algorithm.upper()}, mean of {len(curves)}")
    axes.set(xlabel="tokens written by the agent", ylabel="reward of an episode (train split)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def completions(results: Results, count: int = 4) -> str:
    """Prompts of the test split with the completions before and after, as text; contents are escaped."""
    parts = []
    for result in results:
        if result["seed"] != results[0]["seed"]:
            continue
        parts.append(f"== {result['algorithm']}, seed {result['seed']}")
        for before, after in list(zip(result["before"]["episodes"], result["after"]["episodes"], strict=True))[:count]:
            parts.append(printable(before["prompt"]))
            for when, episode in (("before", before), ("after", after)):
                replies = " / ".join(printable(reply) for reply in episode["replies"])
                parts.append(f"  {when:6} {episode['reward']:+.2f}  {replies}")
        parts.append("")
    return "\n".join(parts)


def _columns(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [["" if name == "algorithm" else name, *(_cell(row[name]) for row in rows)] for name in rows[0]]


def _episodes(runs: Results, when: str, name: str) -> npt.NDArray[np.float64]:
    """Values of shape (runs, episodes)."""
    values = [[episode["reward"] if name == "reward" else episode["metrics"][name] for episode in run[when]["episodes"]] for run in runs]
    return np.array(values, dtype=np.float64)


def _cell(value: Any) -> str:
    if isinstance(value, Estimate):
        return f"{value.mean:.2f} [{value.low:.2f}, {value.high:.2f}]"
    return f"{value:.3g}" if isinstance(value, float) and value < 100 else f"{value:.0f}" if isinstance(value, float) else str(value)
