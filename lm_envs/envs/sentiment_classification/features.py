"""Texts as vectors, for learners that don't read."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lm_envs import embeddings
from lm_envs.envs.sentiment.judge import judge, words_of

BUCKETS = 256
_LONG = 50  # words
_KEPT = 4096  # texts whose vectors are kept

Vector = npt.NDArray[np.float32]


@lru_cache(_KEPT)
def by_words(text: str) -> Vector:
    """Words and pairs of words, hashed (K. Weinberger et al., "Feature Hashing", ICML 2009), and what the judge's word list says.

    Returns:
        Of shape ``(BUCKETS + 3,)``: signed counts by the CRC-32 of a word or a pair, scaled to length 1; the judge's polarity; its share
        of polar words; the text's length, 1 from 50 words on. Components are in [-1, 1].
    """
    vector = np.zeros(BUCKETS + 3, np.float32)
    words = words_of(text)
    for term in (*words, *map(" ".join, pairwise(words))):
        code = zlib.crc32(term.encode("utf-8"))
        vector[code % BUCKETS] += 1 if code & 0x8000_0000 else -1
    if length := float(np.linalg.norm(vector)):
        vector /= length
    found = judge(text)
    vector[BUCKETS:] = found.score, found.stuffing, min(1.0, len(words) / _LONG)
    return vector


@lru_cache(_KEPT)
def by_minilm(text: str) -> Vector:
    """The sentence embedding of the `minilm` asset, ``(384,)``, of length 1; needs torch."""
    return np.clip(embeddings.embed([text])[0], -1, 1)


FEATURES: Mapping[str, tuple[Callable[[str], Vector], int]] = {
    "words": (by_words, BUCKETS + 3),
    "minilm": (by_minilm, embeddings.DIMENSIONS),
}
"""What makes a text's vector, and how long it is, by name."""
