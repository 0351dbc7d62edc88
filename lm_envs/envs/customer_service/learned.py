"""A second opinion on a sentence: a small network that has read replies by several authors and sentences composed from phrases.

Patterns are right about what they were written for and blind to the rest; the network is never sure, but has seen more ways of
saying things. Where it is confident enough that a label is missing or wrong, it overrules them.

    tags of a sentence -> embeddings of word and form -> convolutions of width 3 and 5, their maxima -> hidden layer -> logits

Its weights, `data/understanding/learned.npz`, are made by `tools/reply_reader/train.py`. Reading is numpy alone, some 0.1 ms a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from lm_envs.envs.customer_service.acts import AGENT_ACTS, REASONS

STATUSES = ("pending", "processed", "shipped", "delivered", "returned", "cancelled")
LABELS = (
    *AGENT_ACTS,
    *(f"reason={reason}" for reason in REASONS),
    *(f"status={status}" for status in STATUSES),
    "stock=in",
    "stock=out",
)
FORMS = ("", "b", "s", "p", "g", "n")
MAX_TAGS = 40
ADDING, ADDING_BESIDE = 0.0, 1.0
"""Logits above which a label that the patterns missed is added: where they found no act but inform, and where they did."""
DROPPING, DROPPING_OPERATION = -3.0, -6.0
"""Logits below which a label that they found is dropped; what is offered, done or refused less lightly."""


_OPERATING = frozenset(act for act in AGENT_ACTS if act.startswith(("offer_", "done_", "refuse_")))
_DONE = frozenset(act for act in AGENT_ACTS if act.startswith("done_"))
_PERFECT = frozenset("have has had did".split())
_POSSIBLE = frozenset("could would should might may must".split())
_TELLING = frozenset(AGENT_ACTS) - {"inform"}


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
        self._forms = {form: index for index, form in enumerate(FORMS)}
        arrays = {name: array.astype(np.float32) for name, array in weights.items() if name != "words"}
        self._words, self._form = arrays["e_weight"], arrays["f_weight"]
        self._width = self._words.shape[1]
        self._kernels = [arrays[name].transpose(2, 1, 0).reshape(-1, len(arrays[name])) for name in ("c3_weight", "c5_weight")]
        self._biases = np.concatenate([arrays["c3_bias"], arrays["c5_bias"]])
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
        parts = [split(tag) for tag in tags]
        x = np.zeros((n + 4, self._width), np.float32)
        x[2:-2] = self._words[[self._ids.get(word, 1) for word, _ in parts]] + self._form[[self._forms[form] for _, form in parts]]
        narrow = np.concatenate([x[i : n + i] for i in (1, 2, 3)], 1) @ self._kernels[0]
        wide = np.concatenate([x[i : n + i] for i in range(5)], 1) @ self._kernels[1]
        features = np.maximum(np.concatenate([narrow, wide], 1).max(0) + self._biases, 0)
        hidden = np.maximum(features @ self._hidden + self._hidden_bias, 0)
        logits: NDArray[np.float32] = np.concatenate([hidden, features]) @ self._out + self._out_bias
        return logits


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
    had = set(found)
    least = ADDING if had.isdisjoint(_TELLING) else ADDING_BESIDE
    settled = {label.partition("_")[2] for label in had if label in _OPERATING}
    denied = _denies(tags)
    barred = _DONE if question else frozenset[str]()  # "has it been sent?"
    added, dropped = [], []
    for label, logit in zip(LABELS, logits.tolist(), strict=True):
        if label in had:
            if logit < (DROPPING_OPERATION if label in _OPERATING else DROPPING):
                dropped.append(label)
        elif logit > least and label not in barred and not (label in _OPERATING and (denied or label.partition("_")[2] in settled)):
            added.append(label)
    return added, dropped


def _denies(tags: Sequence[str]) -> bool:
    """Whether something hasn't happened, "I haven't refunded it", which is no refusal."""
    for index, tag in enumerate(tags):
        if tag in _PERFECT and "not" in tags[index + 1 : index + 3] and (not index or tags[index - 1] not in _POSSIBLE):
            return True
    return False
