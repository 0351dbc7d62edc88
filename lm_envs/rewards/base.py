"""What reward models are named, what they are made of, and why they aren't copied."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from typing_extensions import Self

from lm_envs.types import Exchange


class Shared:
    """A reward model that copies of an environment share instead of copying it.

    ``gym.make`` and ``Wrapper.spec`` deep-copy the keyword arguments of an environment; with a neural network among them
    that is another network in memory each time. A reward model judges an exchange by that exchange alone, so sharing one
    is safe. Every reward model here is shared; derive yours from this class, or wrap it in
    :class:`~lm_envs.rewards.Function`::

        class Politeness(Shared):
            name = "politeness"

            def __call__(self, exchanges):
                return [float("please" in exchange.reply) for exchange in exchanges]

    Pickling is not affected: an environment in another process has a model of its own.
    """

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class Composite(Shared, ABC):
    """A reward model whose score is the sum of named components."""

    name: str

    @property
    @abstractmethod
    def component_names(self) -> tuple[str, ...]:
        """The names that :meth:`components` returns, always all of them."""

    @abstractmethod
    def components(self, exchanges: Sequence[Exchange], /) -> Mapping[str, Sequence[float]]:
        """A score for every exchange, by component."""

    def __call__(self, exchanges: Sequence[Exchange], /) -> Sequence[float]:
        """The sums of the components."""
        return add_up(self.components(exchanges), len(exchanges))


def add_up(columns: Mapping[str, Sequence[float]], size: int) -> list[float]:
    """The sum over the columns, from the first to the last, for each of ``size`` rows."""
    return [sum((column[row] for column in columns.values()), 0.0) for row in range(size)]


def name_of(model: Callable[..., Any]) -> str:
    """The name under which a reward model's score is reported: its ``name``, a function's name, or that of its class."""
    name = getattr(model, "name", None)
    if isinstance(name, str) and name:
        return name
    while isinstance(model, functools.partial):
        model = model.func
    return getattr(model, "__name__", None) or type(model).__name__


def component_names(model: Callable[..., Any]) -> tuple[str, ...]:
    """The components under which a reward model is reported inside another: those it declares, or its own name."""
    if hasattr(model, "components"):
        return tuple(getattr(model, "component_names", ())) or (name_of(model),)
    return (name_of(model),)
