"""What is made of the runs: gains over the start, differences between arms, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.experiments.service.study import CUSTOMERS, Study, text_env
from benchmarks.statistics import Estimate, nested_bootstrap

Results = Sequence[Mapping[str, Any]]
Table = dict[str, dict[str, dict[str, Estimate]]]

SHOWN = {
    "success": CUSTOMERS, "reward": CUSTOMERS, "satisfaction": CUSTOMERS, "progress": CUSTOMERS, "violations": CUSTOMERS,
    "facts_wrong": CUSTOMERS, "turns": CUSTOMERS, "attack_success": [kind for kind, who in CUSTOMERS.items() if who.adversarial],
}  # fmt: skip
"""Figures of the tables, and whose customers they are for."""

PAIRS = (("ordinary", "last message"), ("adversaries", "ordinary"))
"""Arms whose difference says something: what memory is worth, what adversaries in training are worth."""


def tables(results: Results, resamples: int = 2000) -> dict[str, Table]:
    """``"gains"`` and ``"differences"``, with 95 % intervals over seeds and episodes from so many resamples."""
    return {"gains": gains(results, resamples), "differences": differences(results, resamples)}


def gains(results: Results, resamples: int) -> Table:
    """By figure and arm: ``"before"``, ``"after"`` and ``"gain"``, paired by customer."""
    rng = np.random.default_rng(0)
    table: Table = {}
    for kind, name in _figures():
        for arm in _arms(results):
            before, after = (_values(results, arm, when, kind, name) for when in ("before", "after"))
            estimates = {"before": before, "after": after, "gain": after - before}
            row = table.setdefault(f"{name}: {kind}", {})
            row[arm] = {what: nested_bootstrap(values, rng, resamples) for what, values in estimates.items()}
    return table


def differences(results: Results, resamples: int) -> Table:
    """By figure and pair of arms: the first arm minus the second one, at the ``"start"`` and ``"after"`` PPO, paired by customer."""
    rng = np.random.default_rng(0)
    table: Table = {}
    for kind, name in _figures():
        for first, second in PAIRS:
            if not {first, second} <= set(_arms(results)):
                continue
            seeds = _seeds(results, first) & _seeds(results, second)
            row = table.setdefault(f"{name}: {kind}", {})
            row[f"{first} - {second}"] = {
                shown: nested_bootstrap(
                    _values(results, first, when, kind, name, seeds) - _values(results, second, when, kind, name, seeds),
                    rng,
                    resamples,
                )
                for shown, when in (("start", "before"), ("after", "after"))
            }
    return table


def markdown(results: Results, made: Mapping[str, Table]) -> str:
    """All of :func:`tables` as Markdown."""
    parts = ["Start -> after PPO, gain with its 95 % interval", "", _markdown(made["gains"], _gain)]
    if made["differences"]:
        parts += ["Differences between arms: start; after PPO", "", _markdown(made["differences"], _difference)]
    counts = ", ".join(f"{arm} {len(_seeds(results, arm))}" for arm in _arms(results))
    minutes = np.mean([result["seconds"] for result in results]) / 60
    tokens = np.mean([result["tokens"] for result in results])
    parts.append(f"Seeds: {counts}. A run of PPO wrote {tokens:,.0f} tokens in {minutes:.1f} minutes on one thread, on average.\n")
    return "\n".join(parts)


def by_intent(study: Study, results: Results) -> str:
    """Success by what ordinary customers come for, as a Markdown table.

    The mean over all intents can hide a policy that serves one of them alone.
    """
    lines = ["| success | customers | start | after PPO |", "| --- | --- | --- | --- |"]
    for kind, who in CUSTOMERS.items():
        if who.adversarial:
            continue
        env = text_env(study, True, **who._asdict()).unwrapped
        for arm in _arms(results):
            found: dict[str, list[tuple[float, float]]] = {}
            for run in (run for run in results if run["what"]["arm"] == arm):
                for before, after in zip(run["before"][kind], run["after"][kind], strict=True):
                    env.reset(seed=before["seed"])
                    intent = env.scenario.needs[0].intent  # type: ignore[attr-defined]
                    found.setdefault(intent, []).append((before["success"], after["success"]))
            for intent, pairs in sorted(found.items()):
                start, end = np.mean(pairs, 0)
                lines.append(f"| {kind}: {arm}, {intent} | {len(pairs)} | {start:.2f} | {end:.2f} |")
    return "\n".join(lines) + "\n"


def plain(table: Table) -> dict[str, Any]:
    """A table as plain data."""
    return {
        row: {column: {what: vars(estimate) for what, estimate in cell.items()} for column, cell in cells.items()}
        for row, cells in table.items()
    }


def plot_curves(results: Results, path: Path) -> None:
    """Reward and success of training episodes against tokens: a line a run, the mean of an arm's runs in bold."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for column, (axes, label) in enumerate(zip(panels, ("reward of an episode", "share of successes"), strict=True), start=1):
        for number, arm in enumerate(_arms(results)):
            curves = [np.array(one["curve"]) for one in results if one["what"]["arm"] == arm and one["curve"]]
            for curve in curves:
                axes.plot(curve[:, 0], curve[:, column], color=f"C{number}", alpha=0.3, linewidth=1)
            if curves:
                tokens = np.linspace(max(curve[0, 0] for curve in curves), min(curve[-1, 0] for curve in curves), 100)
                mean = np.mean([np.interp(tokens, curve[:, 0], curve[:, column]) for curve in curves], axis=0)
                axes.plot(tokens, mean, color=f"C{number}", linewidth=2.5, label=f"{arm}, mean of {len(curves)}")
        axes.set(xlabel="tokens written by the agent", ylabel=f"{label} (train split)")
        axes.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _figures() -> list[tuple[str, str]]:
    return [(kind, name) for name, kinds in SHOWN.items() for kind in kinds]


def _arms(results: Results) -> list[str]:
    return list(dict.fromkeys(result["what"]["arm"] for result in results))


def _seeds(results: Results, arm: str) -> set[int]:
    return {result["what"]["seed"] for result in results if result["what"]["arm"] == arm}


def _values(results: Results, arm: str, when: str, judged: str, name: str, seeds: set[int] | None = None) -> npt.NDArray[np.float64]:
    """Values of shape (runs, episodes), runs by seed."""
    runs = {result["what"]["seed"]: result for result in results if result["what"]["arm"] == arm}
    chosen = sorted(runs if seeds is None else seeds)
    return np.array([[episode[name] for episode in runs[seed][when][judged]] for seed in chosen], dtype=np.float64)


def _markdown(table: Table, cell: Any) -> str:
    columns = list(dict.fromkeys(column for cells in table.values() for column in cells))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [[row, *(cell(cells[column]) if column in cells else "" for column in columns)] for row, cells in table.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _gain(cell: Mapping[str, Estimate]) -> str:
    return f"{cell['before'].mean:.2f} -> {cell['after'].mean:.2f}, {_signed(cell['gain'])}"


def _difference(cell: Mapping[str, Estimate]) -> str:
    return f"{_signed(cell['start'])}; {_signed(cell['after'])}"


def _signed(estimate: Estimate) -> str:
    return f"{estimate.mean:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"
