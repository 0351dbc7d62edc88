"""How well texts were classified: accuracy, precision, recall and F1 of labels against predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lm_envs.envs.sentiment_classification.labels import LABELS


@dataclass(frozen=True)
class Scores:
    """Scores of a classifier, each in [0, 1].

    Attributes:
        count: how many texts.
        accuracy: share of texts whose label was named; without an answer, a text is a miss.
        answered: share of texts for which a label was named.
        precision: by label: of the texts that were called so, the share that is; 0 when none was.
        recall: by label: of the texts that are so, the share that was called so.
        f1: by label: the harmonic mean of both; 0 when both are.
    """

    count: int
    accuracy: float
    answered: float
    precision: Mapping[str, float]
    recall: Mapping[str, float]
    f1: Mapping[str, float]

    @property
    def macro_precision(self) -> float:
        """The mean of the labels' precisions."""
        return float(np.mean(list(self.precision.values())))

    @property
    def macro_recall(self) -> float:
        """The mean of the labels' recalls: balanced accuracy."""
        return float(np.mean(list(self.recall.values())))

    @property
    def macro_f1(self) -> float:
        """The mean of the labels' F1."""
        return float(np.mean(list(self.f1.values())))


def scores(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> Scores:
    """Scores of predictions.

    Args:
        labels: the true ones, shape ``(n,)`` with n at least 1, positions in ``LABELS``. Only labels that occur are scored.
        predicted: what was named, ``(n,)``, numbered alike; -1 for no answer.

    Raises:
        ValueError: for arrays of other shapes or with other numbers.
    """
    true, named = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if true.ndim != 1 or true.shape != named.shape or not true.size:
        raise ValueError(f"labels and predictions must have one shape (n,), n at least 1; got {true.shape} and {named.shape}")
    if true.min() < 0 or named.min() < -1 or max(true.max(), named.max()) >= len(LABELS):
        raise ValueError(f"labels are numbers from 0 to {len(LABELS) - 1}, predictions also -1")
    precision, recall, f1 = {}, {}, {}
    for number in np.unique(true):
        right = float(np.sum((true == number) & (named == number)))
        called, are = float(np.sum(named == number)), float(np.sum(true == number))
        name = LABELS[number]
        precision[name] = right / called if called else 0.0
        recall[name] = right / are
        f1[name] = 2 * right / (called + are)
    return Scores(
        count=true.size,
        accuracy=float(np.mean(true == named)),
        answered=float(np.mean(named >= 0)),
        precision=precision,
        recall=recall,
        f1=f1,
    )


def from_metrics(metrics: Iterable[Mapping[str, float]]) -> Scores:
    """Scores of episodes, from the last ``info["metrics"]`` of each.

    Raises:
        ValueError: when there are none, or an episode hasn't terminated.
    """
    pairs: Sequence[tuple[float, float]] = [(each["label"], each["predicted"]) for each in metrics]
    if any(label < 0 for label, _ in pairs):
        raise ValueError("an episode hasn't terminated: its label is -1")
    return scores([label for label, _ in pairs], [predicted for _, predicted in pairs])
