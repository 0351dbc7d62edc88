"""How far two annotators agree beyond chance, and intervals of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z = 1.959964  # of a two-sided interval of 95 %


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa of two annotators.

    Attributes:
        pairs: that both judged.
        observed: the share of them on which they agree.
        kappa: 1 for agreement on all, 0 for as much as chance gives, below 0 for less; ``None`` where it isn't defined, because both gave
            one and the same answer throughout, or there are no pairs.
        low: of the 95 % interval; ``None`` with ``kappa``.
        high: likewise.
    """

    pairs: int
    observed: float
    kappa: float | None
    low: float | None
    high: float | None


def table(first: Sequence[str], second: Sequence[str], categories: Sequence[str]) -> npt.NDArray[np.int64]:
    """How often each two answers met: counts ``(k, k)``, the first annotator's down, the second's across."""
    counts = np.zeros((len(categories), len(categories)), dtype=np.int64)
    for one, other in zip(first, second, strict=True):
        counts[categories.index(one), categories.index(other)] += 1
    return counts


def cohen_kappa(counts: npt.NDArray[np.int64]) -> Kappa:
    """Kappa from counts ``(k, k)``, with an interval for large samples.

    With the shares p of the table, its margins r and c, the agreement o = Σ p_ii, and what chance gives, e = Σ r_i c_i: κ = (o − e)/(1 − e)
    (Cohen, "A coefficient of agreement for nominal scales", 1960). Its variance over n is that of Fleiss, Cohen and Everitt ("Large sample
    standard errors of kappa and weighted kappa", 1969): Σ_i p_ii ((1 − e) − (r_i + c_i)(1 − o))² + (1 − o)² Σ_{i≠j} p_ij (c_i + r_j)² −
    (o e − 2 e + o)², all over (1 − e)⁴. The interval is cut at −1 and 1; of few pairs it says too much.
    """
    n = int(counts.sum())
    if not n:
        return Kappa(0, 0.0, None, None, None)
    p = counts / n
    r, c = p.sum(axis=1), p.sum(axis=0)
    o, e = float(np.trace(p)), float(r @ c)
    if math.isclose(e, 1.0):
        return Kappa(n, o, None, None, None)
    kappa = (o - e) / (1 - e)
    same = float(np.diag(p) @ ((1 - e) - (r + c) * (1 - o)) ** 2)
    apart = p * (c[:, None] + r[None, :]) ** 2
    np.fill_diagonal(apart, 0.0)
    variance = max(0.0, same + (1 - o) ** 2 * float(apart.sum()) - (o * e - 2 * e + o) ** 2) / (1 - e) ** 4
    error = Z * math.sqrt(variance / n)
    return Kappa(n, o, kappa, max(-1.0, kappa - error), min(1.0, kappa + error))


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share; of no trials, 0 to 1.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if not n:
        return 0.0, 1.0
    share, z2 = successes / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - reach), min(1.0, middle + reach)
