"""Sentiment by the VADER lexicon."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from lm_envs.rewards.base import Shared
from lm_envs.types import Exchange

_SIGNS = {"positive": 1.0, "negative": -1.0}
_MAX_CHARS = 10_000


class VaderSentiment(Shared):
    """How much the reply alone carries the target sentiment.

    ``reward = sign · compound``, in [-1, 1]; 0 for a reply without words of the lexicon. ``compound`` is VADER's sum of
    word valences x, after its rules for negation, emphasis and emoji, normalised as x / √(x² + 15) (Hutto & Gilbert,
    "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM 2014). Of a reply longer
    than 10,000 characters that many are read, because the rules take time quadratic in the length.

    Args:
        target: ``"positive"`` (sign +1) or ``"negative"`` (−1); by default the exchange's ``scenario["target"]``,
            or ``"positive"`` where the scenario has none.
        name: the name it is reported under.

    Raises:
        ValueError: for another target.
    """

    def __init__(self, target: Literal["positive", "negative"] | None = None, *, name: str = "vader") -> None:
        if target is not None:
            _sign(target)
        self.target = target
        self.name = name

    def __call__(self, exchanges: Sequence[Exchange], /) -> list[float]:
        """Signed compound scores, ``(len(exchanges),)``, each in [-1, 1]."""
        return [
            _sign(self.target or exchange.scenario.get("target", "positive"))
            * _analyzer().polarity_scores(exchange.reply[:_MAX_CHARS])["compound"]
            for exchange in exchanges
        ]


def _sign(target: Any) -> float:
    if target not in _SIGNS:
        raise ValueError(f"target must be 'positive' or 'negative'; got {target!r}")
    return _SIGNS[target]


@cache
def _analyzer() -> Any:
    from vaderSentiment import vaderSentiment as library  # reads its lexicon: on first use

    negations = frozenset((*library.NEGATE, "so", "this"))  # these two change "never so ..."
    idioms = frozenset(word for phrase in (*library.SPECIAL_CASES, *library.BOOSTER_DICT) if " " in phrase for word in phrase.split())

    class Analyzer(library.SentimentIntensityAnalyzer):  # type: ignore[misc]
        """The library's, which around each word of its lexicon lower-cases the whole text several times for rules that rarely apply."""

        @staticmethod
        def _negation_check(valence: float, words: Sequence[str], start_i: int, i: int) -> float:
            near = [word.lower() for word in words[max(0, i - 3) : i]]
            if negations.isdisjoint(near) and not any("n't" in word for word in near):
                return valence
            return float(library.SentimentIntensityAnalyzer._negation_check(valence, words, start_i, i))

        @staticmethod
        def _special_idioms_check(valence: float, words: Sequence[str], i: int) -> float:
            if idioms.isdisjoint(word.lower() for word in words[i - 3 : i + 3]):
                return valence
            return float(library.SentimentIntensityAnalyzer._special_idioms_check(valence, words, i))

    return Analyzer()
