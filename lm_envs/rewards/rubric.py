"""`Rubric`: weights and gates over named reward models, from a file.

name = "desk"

[components.helpful]
reward = "judge"                                # a registered name
reward_kwargs = {criterion = "helpfulness"}
weight = 1.0

[components.harmless]
reward = "judge"
reward_kwargs = {criterion = "harmlessness"}
weight = 0                                      # only for the gate

[[gates]]
component = "harmless"
at_least = 0.5
otherwise = -1.0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lm_envs.rewards.base import Composite
from lm_envs.rewards.files import Table, read, text
from lm_envs.rewards.numbers import finite
from lm_envs.rewards.registry import resolve
from lm_envs.rewards.scoring import score
from lm_envs.types import Exchange, RewardModel
from lm_envs.user_data import DataError, shown


class Component(NamedTuple):
    """A part of a rubric.

    Attributes:
        model: the reward model.
        weight: of its score.
    """

    model: RewardModel
    weight: float


class Bounds(NamedTuple):
    """A gate of a rubric.

    Attributes:
        component: whose score it looks at, without the weight.
        at_least: the least score that passes; ``None`` for no bound.
        at_most: the highest that passes; ``None`` for no bound.
        otherwise: the reward of what doesn't pass.
        name: the name that this reward is reported under.
    """

    component: str
    at_least: float | None
    at_most: float | None
    otherwise: float
    name: str

    def passes(self, value: float) -> bool:
        """Whether a score is within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


class Rubric(Composite):
    """Weights and gates over named components.

    ``reward = Σ weight · score`` if all gates pass, else ``otherwise`` of the first that doesn't.

    Gates are looked at first, in their order: a component is asked only about replies that passed the gates before it, and those without a
    gate only about replies that passed all. So a cheap gate saves the questions to a dear judge. Each model is called at
    most once a batch.

        Rubric("desk.toml")
        gym.make(id, reward="rubric", reward_kwargs={"source": "desk.toml"})

    The components are the weighted scores by name, 0 where a gate is shut, and for each gate one of its name, ``otherwise`` where it is
    the one that shut and else 0. What has the weight 0, and gates whose ``otherwise`` is 0, are not reported.

    A TOML or JSON file holds ``components``, a table by name of tables with

    - ``reward``: a registered name;
    - ``reward_kwargs``: what the reward model of that name is made with, a table; none by default;
    - ``weight``: a number, 1 by default;

    and perhaps ``gates``, a list of tables with

    - ``component``: a component's name;
    - ``at_least``, ``at_most``: the bounds of its unweighted score, one or both;
    - ``otherwise``: the reward of what doesn't pass, 0 by default;
    - ``name``: what that is reported as, by default ``gate_`` and the component's name;

    and perhaps ``name``, that of the rubric in errors.

    Args:
        source: the path of a file, or the same as a mapping, where ``reward`` may be a reward model.

    Raises:
        DataError: for a file that is malformed, or an unknown reward model or wrong arguments of one: the message names the file and
            the line, or the key.
    """

    def __init__(self, source: str | Path | Mapping[str, Any]) -> None:
        table = Table(source, "rubric") if isinstance(source, Mapping) else Table(read(source), Path(source).name)
        table.only(("name", "components", "gates"), ("components",))
        self.name = table.get("name", text(200), "rubric")
        self.parts = {name: _component(part) for name, part in table.tables("components").items()}
        if not self.parts:
            raise DataError(f"{table.where}.components: a rubric needs at least one")
        self.gates = [_gate(row, self.parts) for row in table.rows("gates")]
        names = self.component_names
        if not names:
            raise DataError(f"{table.where}: every weight and every 'otherwise' is 0, so there is no reward")
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"{table.where}: several components or gates named {', '.join(map(shown, repeated))}; a gate takes a 'name'")

    @property
    def component_names(self) -> tuple[str, ...]:
        """The weighted components, and the gates that add something."""
        return (*(name for name, part in self.parts.items() if part.weight), *(gate.name for gate in self.gates if gate.otherwise))

    def components(self, exchanges: Sequence[Exchange], /) -> dict[str, list[float]]:
        """The weighted scores of what passed, and the rewards of what didn't, each ``(len(exchanges),)``."""
        passed = list(range(len(exchanges)))
        scores: dict[str, dict[int, float]] = {}
        columns = {name: [0.0] * len(exchanges) for name in self.component_names}
        for gate in self.gates:
            values = self._scores(gate.component, exchanges, passed, scores)
            shut = [row for row in passed if not gate.passes(values[row])]
            if gate.otherwise:
                for row in shut:
                    columns[gate.name][row] = gate.otherwise
            passed = [row for row in passed if row not in set(shut)]
        for name, part in self.parts.items():
            if part.weight:
                values = self._scores(name, exchanges, passed, scores)
                for row in passed:
                    columns[name][row] = part.weight * values[row]
        return columns

    def _scores(
        self, name: str, exchanges: Sequence[Exchange], rows: Sequence[int], known: dict[str, dict[int, float]]
    ) -> dict[int, float]:
        """A component's scores by row, asked for once: rows only ever get fewer."""
        if name not in known:
            judged = score(self.parts[name].model, [exchanges[row] for row in rows])
            known[name] = {row: one.total for row, one in zip(rows, judged, strict=True)}
        return known[name]


def _component(table: Table) -> Component:
    table.only(("reward", "reward_kwargs", "weight"), ("reward",))
    arguments = table.get("reward_kwargs", _arguments, {})
    return Component(table.get("reward", lambda spec: resolve(spec, arguments)), table.get("weight", _number, 1.0))


def _gate(table: Table, parts: Mapping[str, Component]) -> Bounds:
    table.only(("component", "at_least", "at_most", "otherwise", "name"), ("component",))

    def known(name: Any) -> str:
        if name not in parts:
            raise ValueError(f"no component {shown(name)}; components: {', '.join(map(shown, parts))}")
        return str(name)

    component = table.get("component", known)
    low, high = table.get("at_least", _number), table.get("at_most", _number)
    if low is None and high is None:
        raise DataError(f"{table.where}: a gate needs 'at_least' or 'at_most'")
    if low is not None and high is not None and low > high:
        raise DataError(f"{table.where}: at_least must not be above at_most; got {low:g} and {high:g}")
    return Bounds(component, low, high, table.get("otherwise", _number, 0.0), table.get("name", text(200), f"gate_{component}"))


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError(f"expected a finite number, got {value!r}")
    try:
        return finite("number", value)
    except ValueError:
        raise ValueError(f"expected a finite number, got {shown(value)}") from None


def _arguments(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a table of arguments, got {shown(value)}")
    return dict(value)
