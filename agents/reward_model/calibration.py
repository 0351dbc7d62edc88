"""Scale and offset that turn what a model puts out into what it means, and how well they do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEAST_SCALE = 1e-3  # a model whose scores don't go with the ratings says the mean, but never turns its own order round
_STEPS = 100


class Calibration(NamedTuple):
    """``calibrated = scale * raw + offset``."""

    scale: float
    offset: float


def of_ratings(raw: Array, ratings: Array) -> Calibration:
    """The least-squares line through ratings ``(n,)`` over raw scores ``(n,)``."""
    spread = float(np.var(raw))
    slope = float(np.mean((raw - raw.mean()) * (ratings - ratings.mean()))) / spread if spread > 0 else 0.0
    scale = max(slope, LEAST_SCALE)
    return Calibration(scale, float(ratings.mean() - scale * raw.mean()))


def of_preferences(chosen: Array, rejected: Array) -> Calibration:
    """The scale that makes σ(scale · difference) the likeliest probability of the preferences, and the offset that makes the mean 0.

    This is temperature scaling (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017) of a Bradley-Terry model. The scale
    is found by Newton's method on the logarithm of the likelihood, which is concave; where all pairs are in the right order there is no
    finite optimum, and the scale is where the likelihood of the pairs is that of one mistake among them.

    Args:
        chosen: raw scores of the preferred, ``(n,)``.
        rejected: of the others, ``(n,)``.
    """
    differences = chosen - rejected
    unit = float(np.abs(differences).mean())
    if unit == 0.0:
        return Calibration(1.0, -float(np.concatenate([chosen, rejected]).mean()))
    x = np.append(differences / unit, -1.0)  # one mistake of ordinary size keeps the optimum finite; weighs little among many pairs
    scale = 0.0
    for _ in range(_STEPS if x.sum() > 0 else 0):  # else the likelihood falls from 0 on
        p = 1.0 / (1.0 + np.exp(-np.clip(scale * x, -50.0, 50.0)))
        step = float(np.sum((1.0 - p) * x) / np.sum(p * (1.0 - p) * x**2))
        scale += float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-9:
            break
    scale = max(scale / unit, LEAST_SCALE)
    return Calibration(scale, -scale * float(np.concatenate([chosen, rejected]).mean()))


class Bin(NamedTuple):
    """A bin of a calibration plot: what was predicted and observed in the mean, with a 95 % interval of the latter, and how many."""

    predicted: float
    observed: float
    low: float
    high: float
    size: int


def bins(predicted: Array, observed: Array, count: int = 10) -> list[Bin]:
    """Bins of as many predictions each, from the lowest; intervals by the normal approximation.

    Args:
        predicted: ``(n,)``.
        observed: ratings, or whether the one was preferred, ``(n,)``.
        count: how many bins.
    """
    found = []
    for rows in np.array_split(np.argsort(predicted, kind="stable"), min(count, len(predicted))):
        mean = float(observed[rows].mean())
        half = 1.96 * float(observed[rows].std()) / np.sqrt(len(rows))
        found.append(Bin(float(predicted[rows].mean()), mean, mean - half, mean + half, len(rows)))
    return found


def error(found: list[Bin]) -> float:
    """The mean distance between predicted and observed, weighted by the bins' counts: the expected calibration error."""
    return float(sum(one.size * abs(one.predicted - one.observed) for one in found) / sum(one.size for one in found))
