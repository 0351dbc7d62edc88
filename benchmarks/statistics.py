"""Means and intervals of experiments with several seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agents.evaluation import Estimate


def nested_bootstrap(values: npt.NDArray[np.float64], rng: np.random.Generator, resamples: int = 4000) -> Estimate:
    """The grand mean of several runs, with a 95 % percentile interval of the hierarchical bootstrap.

    Runs are resampled first and episodes within them second (Davison and Hinkley, 1997, section 3.8), so that the interval covers what
    differs between seeds as well as between episodes.

    Args:
        values: of shape (runs, episodes).
        rng: generator of the resamples.
        resamples: how many.
    """
    runs, episodes = values.shape
    means = np.empty(resamples)
    for number in range(resamples):
        chosen = rng.integers(runs, size=(runs, 1))
        means[number] = values[chosen, rng.integers(episodes, size=(runs, episodes))].mean()
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high))
