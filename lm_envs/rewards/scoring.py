"""The one gate between environments and reward models: one call a batch, and nothing unchecked comes out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from lm_envs.rewards.base import add_up, component_names, name_of
from lm_envs.types import Exchange, RewardModel

_SHOWN_EXCHANGES = 2
_SHOWN_CHARS = 160


class RewardModelError(RuntimeError):
    """A reward model raised, or returned something other than one finite score an exchange."""


@dataclass(frozen=True)
class Score:
    """The judgement of one exchange.

    Attributes:
        total: the reward.
        components: what it is the sum of, by name; a model without components is its own only one.
    """

    total: float
    components: Mapping[str, float] = field(default_factory=dict)


def score(model: RewardModel, exchanges: Sequence[Exchange]) -> list[Score]:
    """Judge a batch of exchanges with one call of the model; an empty batch calls nothing.

    A model may return a list, a tuple, an array or a tensor of real numbers. One that has a method
    ``components(exchanges)``, which returns such a batch for each name, is asked for those instead.

    Raises:
        RewardModelError: when the model raises, or returns a batch of the wrong length or a score that isn't a finite
            real number. The message names the model and shows an exchange; the model's own exception is the cause.
    """
    if not exchanges:
        return []
    columns = _columns(model, exchanges)
    totals = add_up(columns, len(exchanges))
    for row, total in enumerate(totals):
        if not math.isfinite(total):
            parts = ", ".join(f"{name} {column[row]:g}" for name, column in columns.items())
            raise RewardModelError(
                f"reward model {name_of(model)!r}: the components' sum isn't finite ({parts}){_show(exchanges[row : row + 1])}"
            )
    return [Score(total, {name: column[row] for name, column in columns.items()}) for row, total in enumerate(totals)]


def nested_columns(model: RewardModel, exchanges: Sequence[Exchange]) -> dict[str, list[float]]:
    """Checked scores of a model inside another, by :func:`~lm_envs.rewards.base.component_names`.

    The names don't depend on the batch: a model that has components but doesn't declare their names counts as one.
    """
    if not exchanges:
        return {name: [] for name in component_names(model)}
    columns = _columns(model, exchanges)
    if columns.keys() == set(component_names(model)):
        return columns
    return {name_of(model): add_up(columns, len(exchanges))}


def _columns(model: RewardModel, exchanges: Sequence[Exchange]) -> dict[str, list[float]]:
    name = name_of(model)
    try:
        parts = model.components(exchanges) if hasattr(model, "components") else {name: model(exchanges)}
    except RewardModelError:
        raise  # a model inside this one; its message names it
    except Exception as error:
        raise RewardModelError(f"reward model {name!r} raised {type(error).__name__}: {_short(str(error))}{_show(exchanges)}") from error
    if not isinstance(parts, Mapping) or not parts:
        raise RewardModelError(f"reward model {name!r}: components must return a mapping from names to scores, got {_kind(parts)}")
    declared = getattr(model, "component_names", None)
    if declared and parts.keys() != set(declared):
        raise RewardModelError(f"reward model {name!r}: expected the components {list(declared)}, got {list(parts)}")
    return {part: _checked(name if part == name else f"{name} (component {part})", values, exchanges) for part, values in parts.items()}


def _checked(name: str, values: Any, exchanges: Sequence[Exchange]) -> list[float]:
    """``values`` as floats, one an exchange. Arrays and tensors of any device are known by their ``tolist``."""
    if type(values) is list and len(values) == len(exchanges) and all(type(value) is float and math.isfinite(value) for value in values):
        return values  # as nearly all are: this is called for each component of each reply
    expected = f"reward model {name!r}: expected {len(exchanges)} finite real numbers"
    if hasattr(values, "tolist"):
        shape = tuple(getattr(values, "shape", (len(exchanges),)))
        if len(shape) != 1:
            raise RewardModelError(f"{expected}, one an exchange, got an array of shape {shape}")
        values = values.tolist()
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        raise RewardModelError(f"{expected} in a list, an array or a tensor, got {_kind(values)}")
    if len(values) != len(exchanges):
        raise RewardModelError(f"{expected}, one an exchange, got {len(values)}")
    checked = []
    for exchange, value in zip(exchanges, values, strict=True):
        if hasattr(value, "tolist"):
            value = value.tolist()  # a number inside an array or a tensor of its own
        if not (type(value) is float or isinstance(value, Real)) or not math.isfinite(value):
            raise RewardModelError(f"{expected}, got {_short(repr(value))}{_show([exchange])}")
        checked.append(float(value))
    return checked


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}… ({len(text):,} characters)"


def _show(exchanges: Sequence[Exchange]) -> str:
    """The first exchanges of a batch, shortened, with everything that a terminal couldn't print escaped."""
    lines = []
    for exchange in exchanges[:_SHOWN_EXCHANGES]:
        lines.append(f"  scenario: {_short(repr(exchange.scenario.get('id')))}")
        lines += [f"  {message['role']}: {_short(repr(message['content']))}" for message in exchange.messages[-2:]]
    if len(exchanges) > _SHOWN_EXCHANGES:
        lines.append(f"  … and {len(exchanges) - _SHOWN_EXCHANGES} more exchanges in the batch")
    return "\n" + "\n".join(lines)
