"""How varied texts are, within one and over many: a policy that always says the same has collapsed, however fluent each text is."""

from __future__ import annotations

from collections.abc import Sequence

from lm_envs.envs.sentiment.judge import words_of


def distinct(texts: Sequence[str], n: int) -> float:
    """Distinct-n: different word n-grams as a share of all n-grams of the texts, in [0, 1]; 0 when they have none.

    J. Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models", NAACL 2016. It falls as texts grow longer and
    more: compare the same number of texts of like lengths.

    Args:
        texts: the continuations of many episodes, or of one.
        n: words in an n-gram, at least 1.

    Raises:
        ValueError: when n is less than 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n!r}")
    grams = [tuple(words[at : at + n]) for words in map(words_of, texts) for at in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0
