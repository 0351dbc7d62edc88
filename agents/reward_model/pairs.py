"""Pairs out of ratings: of two texts of a domain, the higher rated one is preferred."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.reward_model.data import Preference, Rated


def pair(rated: Sequence[Rated], rounds: int, margin: float, rng: np.random.Generator) -> list[Preference]:
    """Random matchings within domains, in each of which a text occurs at most once.

    Args:
        rated: the texts.
        rounds: how many matchings.
        margin: by which the ratings of a pair must differ at least; pairs that don't are left out.
        rng: draws the matchings.

    Raises:
        ValueError: when no pair is left.
    """
    if not margin > 0:
        raise ValueError(f"the margin between ratings must be above 0, else neither is preferred; got {margin}")
    pairs = []
    for _ in range(rounds):
        for domain in dict.fromkeys(one.domain for one in rated):
            members = [one for one in rated if one.domain == domain]
            order = rng.permutation(len(members)).tolist()
            for first, second in zip(order[::2], order[1::2], strict=False):  # an odd one is left over
                worse, better = sorted((members[first], members[second]), key=lambda one: one.rating)
                if better.rating - worse.rating >= margin:
                    pairs.append(Preference(better.exchange, worse.exchange, domain, better.source))
    if not pairs:
        raise ValueError(f"no two texts of a domain differ by {margin:g} in their ratings")
    return pairs
