"""A second opinion on a sentence: a small network that has read replies by several authors and sentences composed from phrases.

Patterns are right about what they were written for and blind to the rest; the network is never sure, but has seen more ways of
saying things. Where it is confident enough that a label is missing or wrong, it overrules them.

    tags of a sentence -> embeddings of word and form -> convolutions of width 3 and 5, their maxima -> hidden layer -> logits

Its weights, `data/understanding/learned.npz`, are made by `benchmarks/experiments/reply_reader/train.py`. Reading is numpy alone, some
20 µs a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from lm_envs.envs.customer_service.acts import AGENT_ACTS, REASONS
from lm_envs.envs.customer_service.shop import ORDER_STATUSES

LABELS = (
    *AGENT_ACTS,
    *(f"reason={reason}" for reason in REASONS),
    *(f"status={status}" for status in ORDER_STATUSES),
    "stock=in",
    "stock=out",
)
FORMS = ("", "b", "s", "p", "g", "n")
PLACES = 5  # words that the wider convolution sees
MAX_TAGS = 40
MAX_KNOWN = 4096  # tags about which something is remembered: texts are untrusted, and make up words
ADDING, ADDING_BESIDE, ADDING_SECOND = 0.0, 0.5, 1.5
"""Logits above which a label that the patterns missed is added: where they found no act but inform, where they did, and where that was
an operation or a question like the label."""
_LEAST = min(ADDING, ADDING_BESIDE, ADDING_SECOND)
DROPPING, DROPPING_OPERATION = -2.0, -3.0
"""Logits below which a label that they found is dropped; what is offered, done or refused less lightly."""

_INDEX = {label: index for index, label in enumerate(LABELS)}
_OPERATING = frozenset(act for act in AGENT_ACTS if act.startswith(("offer_", "done_", "refuse_")))
_ASKING = frozenset(act for act in AGENT_ACTS if act.startswith("ask_"))
_REPAYING = frozenset("refund reimburse repay back credit money cash pay return reverse pocket penny cent release claim sum".split())
_JOINING = frozenset(("and", "or", ",", "then", ";", "but", "&", "-"))
_DONE = frozenset(act for act in AGENT_ACTS if act.startswith("done_"))
_PERFECT = frozenset("have has had did".split())
_POSSIBLE = frozenset("could would should might may must".split())
_TELLING = frozenset(AGENT_ACTS) - {"inform"}


@lru_cache(maxsize=MAX_KNOWN)
def split(tag: str) -> tuple[str, str]:
    """Word and form of a tag: ``"refund/p"`` -> ``("refund", "p")``."""
    word, slash, form = tag.partition("/")
    return (word, form) if slash and word and form in FORMS else (word or tag, "")


class Network:
    """The weights.

    Args:
        weights: arrays by name as `train.py` saves them; ``words`` are the known words in order.
    """

    def __init__(self, weights: dict[str, NDArray[np.generic]]) -> None:
        self._ids = {str(word): index for index, word in enumerate(weights["words"], 2)}  # 0 pads, 1 is unknown
        arrays = {name: array.astype(np.float32) for name, array in weights.items() if name != "words"}
        self._words, self._forms = arrays["e_weight"], arrays["f_weight"]
        narrow, wide = (arrays[name].transpose(1, 2, 0) for name in ("c3_weight", "c5_weight"))  # (width, places, channels)
        self._kernels = np.concatenate([np.pad(narrow, ((0, 0), (1, 1), (0, 0))), wide], 2).reshape(len(wide), -1)
        biases = np.concatenate([arrays["c3_bias"], arrays["c5_bias"]])  # each place sees one word in the middle
        self._biases = np.pad(biases, (2 * len(biases), 2 * len(biases)))
        rows = len(self._words) * len(FORMS)  # a word and a form each; what isn't a word, beyond the sentence, is row 0, and adds nothing
        self._terms = np.zeros((PLACES, rows, len(biases)), np.float32)  # what it adds where it is the first to the last word seen
        self._filled = {0}
        self._hidden, self._hidden_bias = arrays["h_weight"].T.copy(), arrays["h_bias"]
        self._out, self._out_bias = arrays["o_weight"].T.copy(), arrays["o_bias"]

    def logits(self, tags: Sequence[str]) -> NDArray[np.float32]:
        """One logit a label.

        Args:
            tags: of a sentence, ``"<q>"`` the last of a question's.

        Returns:
            Logits, (len(LABELS),).
        """
        n = len(tags)
        rows = np.array([0, 0, *map(self._row, tags), 0, 0])
        convolved = self._terms[0].take(rows[:n], 0)
        for place in range(1, PLACES):
            convolved += self._terms[place].take(rows[place : place + n], 0)
        features = np.maximum(np.maximum.reduce(convolved), 0)
        hidden = np.maximum(features @ self._hidden + self._hidden_bias, 0)
        logits: NDArray[np.float32] = np.concatenate([hidden, features]) @ self._out + self._out_bias
        return logits

    @lru_cache(maxsize=MAX_KNOWN)  # noqa: B019 (one network a process)
    def _row(self, tag: str) -> int:
        """The row of a tag's terms, which are computed when it first comes up."""
        word, form = split(tag)
        known, shape = self._ids.get(word, 1), FORMS.index(form)
        row = known * len(FORMS) + shape
        if row not in self._filled:
            terms = (self._words[known] + self._forms[shape]) @ self._kernels + self._biases
            self._terms[:, row] = terms.reshape(PLACES, -1)
            self._filled.add(row)
        return row


@cache
def network() -> Network:
    """The network with the weights that come with the package."""
    with as_file(files(__package__) / "data" / "understanding" / "learned.npz") as path, np.load(path) as weights:
        return Network(dict(weights))


def amend(tags: Sequence[str], question: bool, found: Sequence[str]) -> tuple[list[str], list[str]]:
    """What the network adds to and drops from the labels that patterns found.

    Args:
        tags: of the sentence.
        question: whether it ends with a question mark.
        found: labels of :data:`LABELS`.

    Returns:
        Labels to add and labels to drop, in their order there.
    """
    if not tags:
        return [], []
    logits = network().logits([*tags[:MAX_TAGS], *(("<q>",) if question else ())])
    doubted = [label for label in found if label in _INDEX and not label.startswith("reason=")]
    dropped = [label for label in doubted if logits[_INDEX[label]] < (DROPPING_OPERATION if label in _OPERATING else DROPPING)]
    had = set(found)
    likely = [label for label in (LABELS[index] for index in (logits > _LEAST).nonzero()[0].tolist()) if label not in had]
    if not likely:
        return [], dropped
    words = {split(tag)[0] for tag in tags}
    settled = {label.partition("_")[2] for label in had & _OPERATING}
    barred = _DONE if question or "already" in words else frozenset[str]()  # "has it been sent?"
    if _denies(tags):
        barred |= _OPERATING
    if words.isdisjoint(_REPAYING):
        barred |= {"offer_refund", "done_refund"}  # "£4.50 were charged"
    if any(label.startswith("refuse") for label in had):
        barred |= _ASKING  # "I can't verify your identity"
    if had & _OPERATING:
        barred |= {"rude"}
    joined = not words.isdisjoint(_JOINING)
    added = [label for label in likely if label not in barred and logits[_INDEX[label]] > _least(label, had, joined)]
    added = [label for label in added if label not in _OPERATING or label.partition("_")[2] not in settled]
    if not any(label.startswith("refuse") for label in (*had, *added)):  # reasons were learned beside refusals alone
        added = [label for label in added if not label.startswith("reason=")]
    return added, dropped


def _least(label: str, had: set[str], joined: bool) -> float:
    """The logit from which a label is added to those had, in a sentence that joins things or not."""
    if (label in _OPERATING and not had.isdisjoint(_OPERATING)) or (label in _ASKING and not had.isdisjoint(_ASKING)):
        return ADDING_SECOND if joined else np.inf
    if label.startswith("status=") and any(other.startswith("status=") for other in had):
        return np.inf
    return ADDING if had.isdisjoint(_TELLING) and (label not in _ASKING or "inform" not in had) else ADDING_BESIDE


def _denies(tags: Sequence[str]) -> bool:
    """Whether something hasn't happened, "I haven't refunded it", which is no refusal."""
    for index, tag in enumerate(tags):
        if tag in _PERFECT and "not" in tags[index + 1 : index + 3] and (not index or tags[index - 1] not in _POSSIBLE):
            return True
    return False
