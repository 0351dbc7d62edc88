"""A reward model kept within bounds."""

from __future__ import annotations

from collections.abc import Sequence

from lm_envs.rewards.base import Shared, name_of
from lm_envs.rewards.numbers import finite
from lm_envs.rewards.registry import resolve
from lm_envs.rewards.scoring import score
from lm_envs.types import Exchange, RewardModel


class Clip(Shared):
    """``reward = min(high, max(low, model(exchange)))``, in [low, high].

    It is reported as one score, even for a model that has components, since those no longer add up to it.

    Args:
        model: a registered name or a reward model.
        low: the least score.
        high: the highest score, at least ``low``.
        name: the name it is reported under; by default that of the model.

    Raises:
        ValueError: when a bound isn't finite or ``low`` is above ``high``.
    """

    def __init__(self, model: str | RewardModel, low: float = -1.0, high: float = 1.0, *, name: str | None = None) -> None:
        self.model = resolve(model)
        self.low, self.high = finite("low", low), finite("high", high)
        if self.low > self.high:
            raise ValueError(f"low must not be above high; got {low!r} and {high!r}")
        self.name = name or name_of(self.model)

    def __call__(self, exchanges: Sequence[Exchange], /) -> list[float]:
        """Clipped scores, ``(len(exchanges),)``."""
        return [min(self.high, max(self.low, judged.total)) for judged in score(self.model, exchanges)]
