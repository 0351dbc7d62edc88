"""A penalty for replies that are too short or too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lm_envs.rewards.base import Shared
from lm_envs.rewards.numbers import finite
from lm_envs.types import Exchange

_COUNTS = {"words": lambda text: len(text.split()), "characters": len}


class Length(Shared):
    """How far the reply's length is from a target, beyond a tolerance.

    ``reward = -min(1, max(0, |n - target| / target - tolerance))``, in [-1, 0], where n is the reply's number of words
    (between white space) or characters.

    Args:
        target: the length that is best, more than 0.
        tolerance: the relative deviation that costs nothing, at least 0.
        unit: ``"words"`` or ``"characters"``.
        name: the name it is reported under.

    Raises:
        ValueError: for a target, a tolerance or a unit that isn't one of these.
    """

    def __init__(
        self, target: float = 30, *, tolerance: float = 0.5, unit: Literal["words", "characters"] = "words", name: str = "length"
    ) -> None:
        if unit not in _COUNTS:
            raise ValueError(f"unit must be one of {', '.join(map(repr, _COUNTS))}; got {unit!r}")
        self.target = finite("target", target)
        self.tolerance = finite("tolerance", tolerance)
        if self.target <= 0 or self.tolerance < 0:
            raise ValueError(f"target must be more than 0 and tolerance at least 0; got {target!r} and {tolerance!r}")
        self.unit = unit
        self.name = name

    def __call__(self, exchanges: Sequence[Exchange], /) -> list[float]:
        """Penalties, ``(len(exchanges),)``, each in [-1, 0]."""
        return [self._penalty(_COUNTS[self.unit](exchange.reply)) for exchange in exchanges]

    def _penalty(self, length: int) -> float:
        return -min(1.0, max(0.0, abs(length - self.target) / self.target - self.tolerance))
