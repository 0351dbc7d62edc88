"""A reward model that is asked only about some exchanges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lm_envs.rewards.base import Composite, component_names
from lm_envs.rewards.numbers import finite
from lm_envs.rewards.registry import resolve
from lm_envs.rewards.scoring import nested_columns
from lm_envs.types import Exchange, RewardModel


class Gate(Composite):
    """``reward = model(exchange) if condition(exchange) else otherwise``.

        Gate("vader", lambda exchange: exchange.reply.strip() != "", otherwise=-1.0)

    The model is called once a batch, with the exchanges that pass; with none, it isn't called. The components are the
    model's, 0 where the gate is shut, and one of the gate's name, ``otherwise`` where it is shut and else 0, which is left out when
    ``otherwise`` is 0.

    Args:
        model: a registered name or a reward model.
        condition: from one exchange to whether it passes.
        otherwise: the score of those that don't.
        name: of the gate's component.

    Raises:
        ValueError: when ``otherwise`` isn't finite, or the gate's name is that of one of the model's components.
    """

    def __init__(
        self, model: str | RewardModel, condition: Callable[[Exchange], bool], otherwise: float = 0.0, *, name: str = "gate"
    ) -> None:
        self.model = resolve(model)
        self.condition = condition
        self.otherwise = finite("otherwise", otherwise)
        self.name = name
        if name in component_names(self.model):
            raise ValueError(f"a gate named {name!r} around a model with a component of that name; give the gate another name")

    @property
    def component_names(self) -> tuple[str, ...]:
        """The model's, and the gate's own where it adds something."""
        return component_names(self.model) + ((self.name,) if self.otherwise else ())

    def components(self, exchanges: Sequence[Exchange], /) -> dict[str, list[float]]:
        """The scores of what passed, and the price of what didn't, each ``(len(exchanges),)``."""
        passed = [bool(self.condition(exchange)) for exchange in exchanges]
        scored = nested_columns(self.model, [exchange for exchange, ok in zip(exchanges, passed, strict=True) if ok])
        columns = {name: [next(scores) if ok else 0.0 for ok in passed] for name, scores in ((n, iter(c)) for n, c in scored.items())}
        if self.otherwise:
            columns[self.name] = [0.0 if ok else self.otherwise for ok in passed]
        return columns
