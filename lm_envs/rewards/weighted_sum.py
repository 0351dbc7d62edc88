"""Several reward models as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lm_envs.rewards.base import Composite, component_names, name_of
from lm_envs.rewards.numbers import finite
from lm_envs.rewards.registry import resolve
from lm_envs.rewards.scoring import nested_columns
from lm_envs.types import Exchange, RewardModel


class WeightedSum(Composite):
    """``reward = Σ weight · model(exchange)``; each model is called once a batch.

        WeightedSum({"vader": 1.0, Length(target=20): 0.5, Repetition(): 0.5})

    The components are the weighted scores by the models' names; a model that has components of its own is reported by
    those, each times its weight.

    Args:
        parts: a weight for each registered name or reward model: a mapping, or pairs of the two.
        name: the name of the sum in errors.

    Raises:
        ValueError: when there is no part, a weight that isn't finite, or a component's name occurs twice. Models take a
            ``name`` when they are made; :class:`~lm_envs.rewards.Function` names others.
    """

    def __init__(
        self, parts: Mapping[str | RewardModel, float] | Iterable[tuple[str | RewardModel, float]], *, name: str = "weighted_sum"
    ) -> None:
        pairs = parts.items() if isinstance(parts, Mapping) else parts
        self.parts = [
            (model, finite(f"the weight of {name_of(model)}", weight))
            for model, weight in ((resolve(spec), weight) for spec, weight in pairs)
        ]
        if not self.parts:
            raise ValueError("WeightedSum needs at least one part")
        self.name = name
        names = self.component_names
        if repeated := sorted({part for part in names if names.count(part) > 1}):
            raise ValueError(
                f"WeightedSum has several components named {', '.join(map(repr, repeated))}; give the models names of their own"
            )

    @property
    def component_names(self) -> tuple[str, ...]:
        """The names of the parts' components."""
        return tuple(name for model, _ in self.parts for name in component_names(model))

    def components(self, exchanges: Sequence[Exchange], /) -> dict[str, list[float]]:
        """The weighted scores, each ``(len(exchanges),)``."""
        return {
            name: [weight * score for score in column]
            for model, weight in self.parts
            for name, column in nested_columns(model, exchanges).items()
        }
