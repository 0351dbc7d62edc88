"""How well the sentiment judge agrees with people, with VADER beside it: `python -m benchmarks.sentiment_judge`.

Each of the 23,700 texts of the `hutto` data was rated from -4 to 4 by 20 people. The judge's word list was written before it was first
run on them and not tuned on them since.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from lm_envs import assets
from lm_envs.envs.sentiment.judge import CLEAR, judge

_CLEAR_RATING = 1.0  # people agree on a polarity: mean rating at least this far from 0
_VADER_CLEAR = 0.05  # the threshold that VADER's authors give


def agreement(ratings: np.ndarray, scores: np.ndarray, clear: float) -> dict[str, float]:
    """Agreement of scores with mean human ratings.

    Args:
        ratings: ``(n,)``, in [-4, 4].
        scores: ``(n,)``, of the same texts.
        clear: ``|score|`` from which the scorer commits itself to a polarity.

    Returns:
        ``spearman``: rank correlation over all texts. Over those with ``|rating| >= 1``: ``auc``, the chance that a positive text
        scores higher than a negative one; ``committed``, the share with a clear score; ``accuracy``, how often a clear score has
        the rating's sign.
    """
    rated = np.abs(ratings) >= _CLEAR_RATING
    committed = rated & (np.abs(scores) >= clear)
    positive = ratings[rated] > 0
    ranks = _ranks(scores[rated])
    pairs = positive.sum() * (~positive).sum()
    return {
        "texts": len(ratings),
        "spearman": float(np.corrcoef(_ranks(ratings), _ranks(scores))[0, 1]),
        "auc": float((ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2) / pairs),
        "committed": float(committed.sum() / rated.sum()),
        "accuracy": float(np.mean(np.sign(scores[committed]) == np.sign(ratings[committed]))),
    }


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties at their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table, then the same as JSON."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args(argv)
    vader = SentimentIntensityAnalyzer()
    results: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'domain':<10}{'scorer':<8}{'texts':>7}{'spearman':>10}{'auc':>8}{'committed':>11}{'accuracy':>10}")
    texts = assets.hutto_texts()
    for domain in dict.fromkeys(each.domain for each in texts):
        rated = [each for each in texts if each.domain == domain]
        ratings = np.array([each.rating for each in rated])
        scores = {
            "judge": (np.array([judge(each.text).score for each in rated]), CLEAR),
            "vader": (np.array([vader.polarity_scores(each.text)["compound"] for each in rated]), _VADER_CLEAR),
        }
        for name, (values, clear) in scores.items():
            row = results.setdefault(domain, {})[name] = agreement(ratings, values, clear)
            cells = "".join(f"{row[key]:>{width}.3f}" for key, width in (("spearman", 10), ("auc", 8), ("committed", 11), ("accuracy", 10)))
            print(f"{domain:<10}{name:<8}{row['texts']:>7.0f}{cells}")
    print(json.dumps({"vaderSentiment": version("vaderSentiment"), "results": results}))


if __name__ == "__main__":
    main()
