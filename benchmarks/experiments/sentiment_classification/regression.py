"""Logistic regression with as much weight for each label, by L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import optimize, sparse, special

Labels = npt.NDArray[np.int64]
Rows: TypeAlias = "sparse.csr_matrix | npt.NDArray[np.float32]"

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2)
_ITERATIONS = 200
_VALIDATED = 5  # one text in so many chooses the penalty


def fit_by_validation(rows: Rows, labels: Labels) -> Callable[[Rows], Labels]:
    """Fit with the penalty of `PENALTIES` that gives the best balanced accuracy on a fifth, then on all.

    Args:
        rows: ``(n, features)``.
        labels: ``(n,)``.

    Returns:
        From rows to their labels.
    """
    validated = np.random.default_rng(0).permutation(len(labels)) % _VALIDATED == 0
    trained = ~validated
    best = max(
        PENALTIES, key=lambda penalty: balanced_accuracy(labels[validated], fit(rows[trained], labels[trained], penalty)(rows[validated]))
    )
    return fit(rows, labels, best)


def fit(rows: Rows, labels: Labels, penalty: float) -> Callable[[Rows], Labels]:
    """Minimise the mean negative log-likelihood, in which each label weighs as much, plus ``penalty / 2 * |weights|²``."""
    known, positions = np.unique(labels, return_inverse=True)
    weights = 1 / (np.bincount(positions)[positions] * len(known))  # (n,), sums to 1
    target = np.eye(len(known))[positions]  # (n, labels)
    size = rows.shape[1] * len(known)

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        matrix, bias = parameters[:size].reshape(-1, len(known)), parameters[size:]
        logits = rows @ matrix + bias
        slopes = (special.softmax(logits, axis=1) - target) * weights[:, None]
        value = -np.sum(special.log_softmax(logits, axis=1) * target * weights[:, None]) + penalty / 2 * np.sum(matrix**2)
        return float(value), np.concatenate([(rows.T @ slopes + penalty * matrix).ravel(), slopes.sum(0)])

    found = optimize.minimize(loss, np.zeros(size + len(known)), jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS}).x
    matrix, bias = found[:size].reshape(-1, len(known)), found[size:]
    return lambda rows: known[np.argmax(rows @ matrix + bias, axis=1)]


def balanced_accuracy(labels: Labels, predicted: Labels) -> float:
    """The mean over labels of the share that was found."""
    return float(np.mean([np.mean(predicted[labels == label] == label) for label in np.unique(labels)]))
