"""Classifiers to compare agents with: from texts to positions in ``LABELS``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from benchmarks.experiments.sentiment_classification.regression import fit_by_validation
from lm_envs import embeddings
from lm_envs.envs.sentiment.judge import CLEAR, judge, words_of

Labels = npt.NDArray[np.int64]
Predict = Callable[[Sequence[str]], Labels]
Fit = Callable[[Sequence[str], Labels, Sequence[int]], Predict]
"""From training texts, their labels and the numbers of the labels that there are, to a classifier."""

_VADER_CLEAR = 0.05  # the threshold that VADER's authors give
_FEWEST_TEXTS = 2  # that a term must be in
_NEGATIVE, _NEUTRAL, _POSITIVE = range(3)


def majority(texts: Sequence[str], labels: Labels, offered: Sequence[int]) -> Predict:
    """The most frequent label of the training texts, always."""
    most = Counter(labels.tolist()).most_common(1)[0][0]
    return lambda texts: np.full(len(texts), most)


def vader(texts: Sequence[str], labels: Labels, offered: Sequence[int]) -> Predict:
    """VADER's compound score by its authors' thresholds; learns nothing."""
    analyzer = SentimentIntensityAnalyzer()
    return _by_score(lambda text: analyzer.polarity_scores(text)["compound"], _VADER_CLEAR, offered)


def by_judge(texts: Sequence[str], labels: Labels, offered: Sequence[int]) -> Predict:
    """The sentiment family's judge by its own threshold; learns nothing."""
    return _by_score(lambda text: judge(text).score, CLEAR, offered)


def tf_idf(texts: Sequence[str], labels: Labels, offered: Sequence[int]) -> Predict:
    """Logistic regression on words and pairs of words, weighted by how rare they are."""
    counts = Counter(term for text in texts for term in set(_terms(text)))
    columns = {term: column for column, term in enumerate(sorted(term for term, count in counts.items() if count >= _FEWEST_TEXTS))}
    rarity = np.log((1 + len(texts)) / (1 + np.array([counts[term] for term in columns]))) + 1  # (terms,)
    classify = fit_by_validation(_tf_idf_rows(texts, columns, rarity), labels)
    return lambda texts: classify(_tf_idf_rows(texts, columns, rarity))


def minilm(texts: Sequence[str], labels: Labels, offered: Sequence[int]) -> Predict:
    """Logistic regression on sentence embeddings of the `minilm` asset."""
    classify = fit_by_validation(_embedded(texts), labels)
    return lambda texts: classify(_embedded(texts))


CLASSIFIERS: Mapping[str, Fit] = {"majority": majority, "vader": vader, "judge": by_judge, "tf-idf": tf_idf, "minilm": minilm}
LEARNING = ("tf-idf", "minilm")
"""Those whose training texts matter."""


def _by_score(score: Callable[[str], float], clear: float, offered: Sequence[int]) -> Predict:
    """By the sign of a score; near 0 it is neutral, or where that isn't offered the sign's label all the same."""

    def label(text: str) -> int:
        value = score(text)
        if abs(value) < clear and _NEUTRAL in offered:
            return _NEUTRAL
        return _POSITIVE if value > 0 else _NEGATIVE

    return lambda texts: np.array([label(text) for text in texts])


def _terms(text: str) -> list[str]:
    words = words_of(text)
    return [*words, *map(" ".join, pairwise(words))]


def _tf_idf_rows(texts: Sequence[str], columns: Mapping[str, int], rarity: npt.NDArray[np.float64]) -> sparse.csr_matrix:
    """Rows of length 1, ``(len(texts), len(columns))``: (1 + log count) times rarity; terms that training didn't know are left out."""
    values: list[float] = []
    indices: list[int] = []
    ends = [0]
    for text in texts:
        counts = Counter(columns[term] for term in _terms(text) if term in columns)
        row = np.array([(1 + np.log(count)) * rarity[column] for column, count in counts.items()])
        values.extend(row / np.linalg.norm(row) if counts else row)
        indices.extend(counts)
        ends.append(len(indices))
    return sparse.csr_matrix((values, indices, ends), shape=(len(texts), len(columns)))


def _embedded(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Embeddings, ``(len(texts), 384)``; each text is read once."""
    new = [text for text in dict.fromkeys(texts) if text not in _read]
    _read.update(zip(new, embeddings.embed(new), strict=True))
    return np.stack([_read[text] for text in texts])


_read: dict[str, npt.NDArray[np.float32]] = {}
