"""What is made of the results: a table of classifiers by domain, matrices of transfer, a picture of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Column, Table

from benchmarks.experiments.sentiment_classification.classifiers import LEARNING
from benchmarks.experiments.sentiment_classification.sweep import EVERYWHERE, Result, Study, of
from lm_envs.envs.sentiment_classification.texts import DOMAINS

_SCORES = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
_HEAD = ("classifier", "tested on", "accuracy", "precision", "recall", "F1", "reward")


def plain(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The results for JSON: scores overall and by label."""
    return [
        {
            "classifier": one.classifier,
            "trained": one.trained,
            "tested": one.tested,
            "episodes": one.scores.count,
            "reward": one.reward,
            **{name: getattr(one.scores, name) for name in _SCORES},
            "by_label": {
                label: {"precision": one.scores.precision[label], "recall": one.scores.recall[label], "f1": one.scores.f1[label]}
                for label in one.scores.f1
            },
        }
        for one in results
    ]


def tables(results: Sequence[Result], study: Study) -> list[Table]:
    """Classifiers by domain, and a matrix of transfer for each learning one, for a terminal."""
    setting = f"data={study.data!r}, {study.labels} labels, {study.episodes:,} test episodes a domain"
    first = Table(*_HEAD[:2], *(Column(name, justify="right") for name in _HEAD[2:]), title=f"Classification: {setting}")
    for row in _rows(results):
        first.add_row(*row, end_section=row[1] == "mean")
    matrices = []
    for name in _learning(results):
        matrix = Table("trained on", *(Column(domain, justify="right") for domain in DOMAINS), title=f"Transfer of {name}: macro F1 on …")
        for row in _matrix_rows(results, name):
            matrix.add_row(*row)
        matrices.append(matrix)
    return [first, *matrices]


def markdown(results: Sequence[Result]) -> str:
    """The same as Markdown."""
    parts = [_markdown(_HEAD, _rows(results))]
    parts += [f"{name}: macro F1\n\n{_markdown(('trained on', *DOMAINS), _matrix_rows(results, name))}" for name in _learning(results)]
    return "\n".join(parts)


def plot(results: Sequence[Result], study: Study, path: Path) -> None:
    """Accuracy by domain, a group of bars each, and a heat map of transfer for each learning classifier."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    learning = _learning(results)
    figure, panels = plt.subplots(
        1,
        1 + len(learning),
        figsize=(6 + 3.6 * len(learning), 4),
        layout="constrained",
        squeeze=False,
        width_ratios=[1.7, *(1 for _ in learning)],
    )
    bars, *maps = panels[0]
    names = list(dict.fromkeys(one.classifier for one in results))
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        heights = [of(results, name, EVERYWHERE, domain).scores.accuracy for domain in DOMAINS]
        bars.bar(np.arange(len(DOMAINS)) + (number - (len(names) - 1) / 2) * width, heights, width, label=name)
    bars.axhline(1 / study.labels, color="black", linewidth=1, linestyle="--", label="chance")
    bars.set(xticks=range(len(DOMAINS)), ylim=(0, 1), ylabel="accuracy, labels drawn evenly")
    bars.set_xticklabels(DOMAINS)
    bars.legend(fontsize=8, ncols=3, loc="upper left")
    for axes, name in zip(maps, learning, strict=True):
        sources = (*DOMAINS, EVERYWHERE)
        values = np.array([[of(results, name, trained, tested).scores.macro_f1 for tested in DOMAINS] for trained in sources])
        axes.imshow(values, cmap="viridis", vmin=0, vmax=1)
        axes.set(title=f"{name}: macro F1", xticks=range(len(DOMAINS)), yticks=range(len(sources)), xlabel="tested on", ylabel="trained on")
        axes.set_xticklabels(DOMAINS)
        axes.set_yticklabels(sources)
        for (row, column), value in np.ndenumerate(values):
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 else "black")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _learning(results: Sequence[Result]) -> list[str]:
    return [name for name in LEARNING if any(one.classifier == name for one in results)]


def _rows(results: Sequence[Result]) -> list[list[str]]:
    rows = []
    for name in dict.fromkeys(one.classifier for one in results):
        found = [of(results, name, EVERYWHERE, domain) for domain in DOMAINS]
        values = np.array([[*(getattr(one.scores, score) for score in _SCORES), one.reward] for one in found])  # (domains, columns)
        for domain, row in zip((*DOMAINS, "mean"), (*values, values.mean(0)), strict=True):
            rows.append([name if domain == DOMAINS[0] else "", domain, *(f"{value:.3f}" for value in row)])
    return rows


def _matrix_rows(results: Sequence[Result], name: str) -> list[list[str]]:
    return [
        [trained, *(f"{of(results, name, trained, tested).scores.macro_f1:.3f}" for tested in DOMAINS)]
        for trained in (*DOMAINS, EVERYWHERE)
    ]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"
