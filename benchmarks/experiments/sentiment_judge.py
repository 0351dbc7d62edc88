"""How well the sentiment judge agrees with people, with VADER beside it: ``python -m benchmarks sentiment-judge``.

Each of the 23,700 texts of the `hutto` data was rated from -4 to 4 by 20 people. The judge's word list was written before it was first
run on them and not tuned on them since.
"""

from __future__ import annotations

import numpy as np
from rich.table import Table
from scipy import stats
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
    auc = stats.mannwhitneyu(scores[rated][positive], scores[rated][~positive]).statistic / (positive.sum() * (~positive).sum())
    return {
        "texts": len(ratings),
        "spearman": float(stats.spearmanr(ratings, scores).statistic),
        "auc": float(auc),
        "committed": float(committed.sum() / rated.sum()),
        "accuracy": float(np.mean(np.sign(scores[committed]) == np.sign(ratings[committed]))),
    }


def measure() -> dict[str, dict[str, dict[str, float]]]:
    """:func:`agreement` of each scorer, by domain and scorer. Fetches the ``hutto`` asset; raises ``AssetError`` when it can't be had."""
    vader = SentimentIntensityAnalyzer()
    results: dict[str, dict[str, dict[str, float]]] = {}
    texts = assets.hutto_texts()
    for domain in dict.fromkeys(each.domain for each in texts):
        rated = [each for each in texts if each.domain == domain]
        ratings = np.array([each.rating for each in rated])
        results[domain] = {
            "judge": agreement(ratings, np.array([judge(each.text).score for each in rated]), CLEAR),
            "vader": agreement(ratings, np.array([vader.polarity_scores(each.text)["compound"] for each in rated]), _VADER_CLEAR),
        }
    return results


def table(results: dict[str, dict[str, dict[str, float]]]) -> Table:
    """The results for a terminal."""
    shown = Table("domain", "scorer", "texts", "spearman", "auc", "committed", "accuracy", title="Agreement with human ratings")
    for domain, scorers in results.items():
        for scorer, row in scorers.items():
            shown.add_row(
                domain, scorer, f"{row['texts']:,.0f}", *(f"{row[key]:.3f}" for key in ("spearman", "auc", "committed", "accuracy"))
            )
    return shown
