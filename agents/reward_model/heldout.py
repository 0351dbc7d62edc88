"""How often a score puts two texts in the order in which people put them, with intervals, beside other scores on the same pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agents.evaluation import Estimate

Array = npt.NDArray[np.float64]

RESAMPLES = 2000
_AT_ONCE = 4000  # texts whose pairs are looked at together: 128 MB


@dataclass(frozen=True)
class Accuracies:
    """Shares of pairs in people's order; a tie counts one half.

    Attributes:
        pairs: how many pairs.
        sources: how many independent sources of text they are of.
        by_scorer: by the scorers' names.
        gains: of the first scorer over each other one, on the same pairs.
    """

    pairs: int
    sources: int
    by_scorer: dict[str, Estimate]
    gains: dict[str, Estimate]


def of_ratings(
    scores: Mapping[str, Array], ratings: Array, sources: Sequence[str], margin: float, seed: int = 0, resamples: int = RESAMPLES
) -> Accuracies:
    """Over all pairs of texts whose ratings differ by at least ``margin``.

    A text is in many pairs, and sentences of one review hang together, so the interval resamples sources, with all their texts
    (percentile bootstrap of a U-statistic, by clusters). Of more than 4,000 texts as many are drawn.

    Args:
        scores: ``(n,)`` by scorer.
        ratings: ``(n,)``.
        sources: of each text.
        margin: above 0.
        seed: of the bootstrap.
        resamples: how many.
    """
    rng = np.random.default_rng(seed)
    if len(ratings) > _AT_ONCE:
        rows = np.sort(rng.choice(len(ratings), _AT_ONCE, replace=False))
        scores, ratings, sources = {name: one[rows] for name, one in scores.items()}, ratings[rows], [sources[row] for row in rows]
    apart = np.triu(np.abs(np.subtract.outer(ratings, ratings)) >= margin)  # (n, n)
    if not apart.any():
        raise ValueError(f"no two held-out texts differ by {margin:g} in their ratings")
    higher = np.sign(np.subtract.outer(ratings, ratings))
    names, cluster = np.unique(np.asarray(sources), return_inverse=True)
    weights = _resampled(len(names), rng, resamples)[:, cluster].T  # (n, resamples + 1), the first as it is
    totals = _pair_sums(apart.astype(np.float32), weights)
    shares = {}
    for name, one in scores.items():
        agree = apart * (1.0 + higher * np.sign(np.subtract.outer(one, one))) / 2.0
        shares[name] = _pair_sums(agree.astype(np.float32), weights) / np.maximum(totals, 1.0)
    return _summary(shares, int(apart.sum()), len(names))


def of_pairs(
    chosen: Mapping[str, Array], rejected: Mapping[str, Array], sources: Sequence[str], seed: int = 0, resamples: int = RESAMPLES
) -> Accuracies:
    """Over given pairs; the interval resamples sources.

    Args:
        chosen: scores of the preferred, ``(n,)`` by scorer.
        rejected: of the others, ``(n,)`` by scorer.
        sources: of each pair.
        seed: of the bootstrap.
        resamples: how many.
    """
    names, cluster = np.unique(np.asarray(sources), return_inverse=True)
    weights = _resampled(len(names), np.random.default_rng(seed), resamples)[:, cluster].T
    right = {name: (1.0 + np.sign(chosen[name] - rejected[name])) / 2.0 for name in chosen}
    return _summary({name: one @ weights / np.maximum(weights.sum(0), 1.0) for name, one in right.items()}, len(sources), len(names))


def _resampled(clusters: int, rng: np.random.Generator, resamples: int) -> npt.NDArray[np.float32]:
    """How often each cluster was drawn, ``(resamples + 1, clusters)``; once each in the first row."""
    drawn = np.stack([np.bincount(rng.integers(clusters, size=clusters), minlength=clusters) for _ in range(resamples)])
    return np.concatenate([np.ones((1, clusters)), drawn]).astype(np.float32)


def _pair_sums(matrix: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]) -> Array:
    """Sums over pairs by their weights, ``(resamples + 1,)``."""
    return np.einsum("nr,nr->r", weights, matrix @ weights, dtype=np.float64)


def _summary(shares: Mapping[str, Array], pairs: int, sources: int) -> Accuracies:
    first, *others = shares
    gains = {name: _estimate(shares[first] - shares[name]) for name in others}
    return Accuracies(pairs, sources, {name: _estimate(one) for name, one in shares.items()}, gains)


def _estimate(values: Array) -> Estimate:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return Estimate(float(values[0]), float(low), float(high))
