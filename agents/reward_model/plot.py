"""The picture of a reward model: whether its scores mean what they say, and accuracy by domain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw ``results.json`` as a PNG.

    Raises:
        ImportError: without matplotlib.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    bins = results["calibration"]["bins"]
    x, y = (np.array([one[name] for one in bins]) for name in ("predicted", "observed"))
    bars = np.abs(np.array([[one["low"], one["high"]] for one in bins]).T - y)
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    left.plot(ends, ends, color="grey", linestyle="--", linewidth=1, label="as it should be")
    left.errorbar(x, y, bars, marker="o", capsize=3, linewidth=1.2, label="held-out data, 95 % intervals")
    rating = results["calibration"]["unit"] == "of a rating"
    left.set_xlabel("predicted rating" if rating else "predicted probability that the first is preferred")
    left.set_ylabel("mean rating by people" if rating else "share in which it is")
    left.set_title(f"calibration; mean error {results['calibration']['error']:.3f}")
    left.legend()
    accuracy = results["accuracy"]
    scorers = list(next(iter(accuracy.values()))["by_scorer"])
    for number, scorer in enumerate(scorers):
        found = [accuracy[domain]["by_scorer"][scorer] for domain in accuracy]
        means = np.array([one["mean"] for one in found])
        spread = np.abs(np.array([[one["low"], one["high"]] for one in found]).T - means)
        place = np.arange(len(accuracy)) + 0.8 * (number - (len(scorers) - 1) / 2) / len(scorers)
        right.bar(place, means, 0.8 / len(scorers), yerr=spread, capsize=2, label=scorer)
    right.axhline(0.5, color="grey", linestyle="--", linewidth=1)
    right.set_xticks(np.arange(len(accuracy)), list(accuracy))
    right.set_ylim(0.4, 1.0)
    right.set_ylabel("pairs in people's order")
    right.set_title("held-out accuracy (chance 0.5)")
    right.legend(loc="upper center", ncols=len(scorers), fontsize="small")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
