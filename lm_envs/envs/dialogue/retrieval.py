"""What people answered to something like this: an index over conversations, made once and kept in the cache of assets.

    index = load("test", "words")
    index.nearest("Do you have any pets?", 3)     -> [(row, 0.93), (row, 0.81), (row, 0.80)]
    index.corpus.exchanges[row].answer            -> "yeah two dogs"

By ``"words"``: tf-idf of words and pairs of words, cosine (G. Salton and C. Buckley, "Term-weighting approaches in automatic text
retrieval", 1988), in numpy. By ``"minilm"``: cosine of sentence embeddings; needs torch.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lm_envs import assets, embeddings
from lm_envs.envs.dialogue import conversations, kept
from lm_envs.envs.dialogue.conversations import LONGEST, Corpus, Part
from lm_envs.envs.dialogue.understanding import words

Vectors = Literal["words", "minilm"]
VECTORS: tuple[Vectors, ...] = ("words", "minilm")

VERSION = 1  # raised when an index of the same conversations would come out otherwise

_RAREST = 2  # turns in which a term must occur
_READ = 64  # words of a text that are looked at
_DIGITS = 5  # of a score: sums may differ by rounding from one machine to another

Arrays = dict[str, npt.NDArray[Any]]


class Index:
    """Turns, and which of them are like a text.

    Args:
        corpus: what is searched.
        arrays: what :func:`postings` made of it.
        embedded: of what was said in each exchange, ``(len(corpus.exchanges), 384)``; ``None`` for an index by words.
        made_by: the arguments of :func:`load`, with which copies in other processes load it instead of carrying it.
    """

    def __init__(
        self,
        corpus: Corpus,
        arrays: Mapping[str, npt.NDArray[Any]],
        embedded: npt.NDArray[np.float16] | None = None,
        made_by: tuple[Part, Vectors] | None = None,
    ) -> None:
        self.corpus = corpus
        self._number = {term: number for number, term in enumerate(kept.texts(arrays, "terms"))}
        self._rarity, self._starts = arrays["rarity"].tolist(), arrays["starts"].tolist()
        self._rows, self._weights = arrays["rows"], arrays["weights"]
        self._embedded = None if embedded is None else embedded.astype(np.float32)
        self._made_by = made_by

    def __deepcopy__(self, memo: dict[int, Any]) -> Index:
        return self  # nothing in it changes

    def __reduce__(self) -> Any:
        return super().__reduce__() if self._made_by is None else (load, self._made_by)

    def nearest(self, text: str, count: int) -> list[tuple[int, float]]:
        """The exchanges in which something like ``text`` was said, the likest first, with the cosine, in [0, 1].

        Those with a cosine of 0 are left out. Of equals the earlier comes first.
        """
        if self._embedded is not None:
            if not text.strip():
                return []
            scores = np.maximum(self._embedded @ embeddings.embed([text])[0], 0)
        else:
            scores = np.zeros(len(self.corpus.exchanges), np.float32)
            for number, weight in self._weighed(text).items():
                span = slice(self._starts[number], self._starts[number + 1])
                scores[self._rows[span]] += np.float32(weight) * self._weights[span]
        return best(np.round(np.minimum(scores, 1), _DIGITS), count)

    def likeness(self, one: str, other: str) -> float:
        """The cosine of two texts by words, in [0, 1]; 0 where one of them has none that the index knows."""
        theirs = self._weighed(other)
        return round(min(1.0, sum(weight * theirs.get(number, 0.0) for number, weight in self._weighed(one).items())), _DIGITS)

    def _weighed(self, text: str) -> dict[int, float]:
        known = {self._number[term]: count for term, count in terms(text).items() if term in self._number}
        return weighed(known, self._rarity)


def postings(said: Sequence[str]) -> Arrays:
    """Which terms are in which of the texts, and with what weight; terms by first occurrence.

    Returns:
        ``terms`` as bytes and ends (see `kept.coded`), ``rarity`` (a term's idf), and, term after term, ``rows`` and ``weights``, of which
        the ones from ``starts[term]`` to ``starts[term + 1]`` are the term's.
    """
    texts = [terms(text) for text in said]
    found = Counter(term for counted in texts for term in counted)
    number = {term: at for at, term in enumerate(term for term, count in found.items() if count >= _RAREST)}
    rarity = [math.log(len(texts) / found[term]) for term in number]
    rows: list[list[int]] = [[] for _ in number]
    weights: list[list[float]] = [[] for _ in number]
    for row, counted in enumerate(texts):
        for at, weight in weighed({number[term]: count for term, count in counted.items() if term in number}, rarity).items():
            rows[at].append(row)
            weights[at].append(weight)
    return {
        **kept.coded(list(number), "terms"),
        "rarity": np.array(rarity, np.float64),
        "starts": np.cumsum([0, *map(len, rows)], dtype=np.int64),
        "rows": np.array([row for each in rows for row in each], np.int32),
        "weights": np.array([weight for each in weights for weight in each], np.float32),
    }


def terms(text: str) -> Counter[str]:
    """Words and pairs of neighbours, and how often they occur."""
    found = words(text)[:_READ]
    return Counter(found + [f"{one} {other}" for one, other in pairwise(found)])


def weighed(counts: Mapping[int, int], rarity: Sequence[float]) -> dict[int, float]:
    """``(1 + log count) * rarity`` by a term's number, scaled to length 1; nothing where all weights are 0."""
    raw = {number: (1 + math.log(count)) * rarity[number] for number, count in counts.items()}
    length = math.sqrt(sum(weight * weight for weight in raw.values()))
    return {number: weight / length for number, weight in raw.items()} if length else {}


def best(scores: npt.NDArray[np.float32], count: int) -> list[tuple[int, float]]:
    """The ``count`` highest of ``scores``, shape ``(n,)``, that are above 0: their rows and values; of equals the first."""
    if not scores.size or count < 1:
        return []
    count = min(count, scores.size)
    lowest = np.partition(scores, scores.size - count)[scores.size - count]
    rows = np.flatnonzero((scores >= lowest) & (scores > 0))
    rows = rows[np.argsort(-scores[rows], kind="stable")][:count]
    return [(int(row), float(scores[row])) for row in rows]


def load(part: Part, vectors: Vectors = "words") -> Index:
    """The index of one part of the `chitchat` conversations: from the cache, or made and put there.

    What is made is a function of the asset and of the versions in the file's name alone, so that it doesn't matter which of the two
    happened. Making it takes seconds, and minutes by ``"minilm"``.

    Raises:
        AssetError: when the conversations, or the model, can't be had.
        ImportError: for ``"minilm"`` without torch.
    """
    return _load(part, vectors)


@cache
def _load(part: Part, vectors: Vectors) -> Index:
    corpus = _kept(part, "turns", lambda: kept.packed(conversations.read(part)), kept.unpacked)
    said = [exchange.said for exchange in corpus.exchanges]
    arrays = _kept(part, "words", lambda: postings(said), dict)
    embedded = _kept(part, "minilm", lambda: _embedded(said), lambda found: found["vectors"]) if vectors == "minilm" else None
    return Index(corpus, arrays, embedded, (part, vectors))


def _kept(part: Part, what: str, make: Callable[[], Arrays], read: Callable[[Arrays], Any]) -> Any:
    sources = [assets.path("chitchat").name, *([assets.path("minilm").name] if what == "minilm" else [])]
    versions = repr((VERSION, conversations.VERSION, *sources)).encode()
    key = hashlib.sha256(versions + conversations.left_out()).hexdigest()[:12]
    return kept.load_or_make(assets.cache_folder() / f"dialogue-{part}-{what}-{key}.npz", make, read)


def _embedded(said: Sequence[str]) -> Arrays:
    distinct = list(dict.fromkeys(text[:LONGEST] for text in said))
    rows = dict(zip(distinct, embeddings.embed(distinct).astype(np.float16), strict=True))
    return {"vectors": np.array([rows[text[:LONGEST]] for text in said], np.float16)}
