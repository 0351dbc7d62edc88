"""A penalty for saying the same again."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lm_envs.rewards.base import Shared
from lm_envs.types import Exchange


class Repetition(Shared):
    """The share of the reply's word n-grams that the agent has written before.

    ``reward = -repeated / total``, in [-1, 0]: ``total`` counts the reply's n-grams, ``repeated`` those that occur earlier
    in the reply or, with ``across_turns``, in an earlier reply of the conversation. Words are runs of letters and digits, case
    ignored. A reply shorter than n words gets 0. Within one reply it is distinct-n minus 1 (Li et al., "A Diversity-Promoting Objective
    Function for Neural Conversation Models", NAACL 2016).

    Args:
        n: words in an n-gram, at least 1.
        across_turns: whether earlier replies count.
        name: the name it is reported under.

    Raises:
        ValueError: when n is less than 1.
    """

    def __init__(self, n: int = 3, *, across_turns: bool = True, name: str = "repetition") -> None:
        if n < 1:
            raise ValueError(f"n must be at least 1; got {n!r}")
        self.n = n
        self.across_turns = across_turns
        self.name = name

    def __call__(self, exchanges: Sequence[Exchange], /) -> list[float]:
        """Penalties, ``(len(exchanges),)``, each in [-1, 0]."""
        return [self._penalty(exchange) for exchange in exchanges]

    def _penalty(self, exchange: Exchange) -> float:
        earlier = (m["content"] for m in exchange.messages[:-1] if self.across_turns and m["role"] == "assistant")
        seen = {gram for text in earlier for gram in self._grams(text)}
        grams = self._grams(exchange.reply)
        repeated = 0
        for gram in grams:
            repeated += gram in seen
            seen.add(gram)
        return -repeated / len(grams) if repeated else 0.0

    def _grams(self, text: str) -> list[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return list(zip(*(words[start:] for start in range(self.n)), strict=False))
