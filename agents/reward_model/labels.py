"""Labels out of ratings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_MOST_LEVELS = 10  # different ratings that count as labels of their own
_LABELS = 3  # else


def levels(ratings: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Edges between labels: a label for each rating where there are few different ones, else three labels with as many texts each."""
    known = np.unique(ratings)
    if len(known) <= _MOST_LEVELS:
        return tuple(((known[1:] + known[:-1]) / 2.0).tolist())
    return tuple(np.quantile(ratings, np.arange(1, _LABELS) / _LABELS).tolist())


def label(ratings: npt.NDArray[np.float64], edges: tuple[float, ...]) -> tuple[npt.NDArray[np.int64], tuple[float, ...]]:
    """The labels' positions ``(n,)`` of ratings ``(n,)``, and the mean rating of each label.

    Raises:
        ValueError: when a label has no rating, or there is one label only.
    """
    positions = np.digitize(ratings, edges)
    counts = np.bincount(positions, minlength=len(edges) + 1)
    if len(counts) < 2 or not counts.all():
        raise ValueError(f"ratings must fall into all of the labels between {', '.join(f'{edge:g}' for edge in edges) or 'no edges'}")
    return positions.astype(np.int64), tuple(float(ratings[positions == number].mean()) for number in range(len(counts)))
