"""Feedback of the simulated world as a reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lm_envs.rewards.base import Composite
from lm_envs.rewards.numbers import finite
from lm_envs.types import Exchange


class Signals(Composite):
    """The weighted sum of what the world said of the reply: ``reward = Σ weight · exchange.signals[name]``.

    Each weighted signal is a component of the signal's name. The signals of an environment and their ranges are in its
    docstring.

    Args:
        weights: a finite weight for each signal.
        name: the name of the model in errors.

    Raises:
        ValueError: when there is no weight, or one that isn't finite. When called, a signal that an exchange doesn't have
            is a ``KeyError`` that lists those it has.
    """

    def __init__(self, weights: Mapping[str, float], *, name: str = "signals") -> None:
        if not weights:
            raise ValueError("Signals needs at least one weight")
        self.weights = {signal: finite(signal, weight) for signal, weight in weights.items()}
        self.name = name

    @property
    def component_names(self) -> tuple[str, ...]:
        """The names of the signals."""
        return tuple(self.weights)

    def components(self, exchanges: Sequence[Exchange], /) -> dict[str, list[float]]:
        """The weighted signals, each ``(len(exchanges),)``."""
        for exchange in exchanges:
            if missing := self.weights.keys() - exchange.signals.keys():
                raise KeyError(f"no signal {', '.join(sorted(missing))}; known signals: {', '.join(sorted(exchange.signals)) or 'none'}")
        return {signal: [weight * exchange.signals[signal] for exchange in exchanges] for signal, weight in self.weights.items()}
