"""Principles, each judged by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_envs.rewards.base import Composite
from lm_envs.rewards.criterion import Criterion
from lm_envs.rewards.judging import CriterionJudge
from lm_envs.rewards.numbers import finite
from lm_envs.rewards.registry import resolve
from lm_envs.types import Exchange

PRINCIPLES = ("truthfulness", "harmlessness", "fairness")

Principle = str | Path | Mapping[str, Any] | Criterion


class Constitution(Composite):
    """A judge that is asked about each of several principles; ``reward = Σ weight · score``, in [0, 1] with the weights by default.

    Each principle is a criterion of its own, so that no principle is traded for another inside the judge, and a component of its own name.

        Constitution()                                                               # truthfulness, harmlessness, fairness; SmolLM2
        Constitution([*PRINCIPLES, "my_principle.toml"], judge=EndpointJudge(url=..., model=...))
        gym.make(id, reward="constitution", reward_kwargs={"judge": "endpoint_judge", "judge_kwargs": {"url": ..., "model": ...}})

    Args:
        principles: names of criteria that come with this package, files, mappings or :class:`Criterion` objects, see there.
        judge: a :class:`Judge`, an :class:`EndpointJudge` or another :class:`~lm_envs.rewards.judging.CriterionJudge`, or the
            registered name of one.
        judge_kwargs: what the judge of that name is made with.
        weights: a finite weight for each principle, by name; by default equal ones that sum to 1.
        name: the name of the constitution in errors.

    Raises:
        DataError: for an unknown or malformed principle.
        ValueError: when there is none, two have the same name, or the weights don't fit.
        TypeError: for a judge that can't be asked about any criterion.
    """

    def __init__(
        self,
        principles: Sequence[Principle] = PRINCIPLES,
        *,
        judge: str | CriterionJudge = "judge",
        judge_kwargs: Mapping[str, Any] | None = None,
        weights: Mapping[str, float] | None = None,
        name: str = "constitution",
    ) -> None:
        if isinstance(principles, (str, Path)):
            raise ValueError(f"principles must be a sequence of them; got {principles!r}")
        self.principles = [Criterion.load(principle) for principle in principles]
        names = [criterion.name for criterion in self.principles]
        if not names:
            raise ValueError("a constitution needs at least one principle")
        if repeated := sorted({each for each in names if names.count(each) > 1}):
            raise ValueError(f"a constitution has several principles named {', '.join(map(repr, repeated))}")
        if weights is not None and weights.keys() != set(names):
            raise ValueError(f"weights must be for {', '.join(names)}; got {', '.join(weights) or 'none'}")
        self.weights = {each: 1 / len(names) if weights is None else finite(f"the weight of {each}", weights[each]) for each in names}
        resolved = resolve(judge, judge_kwargs)
        if not isinstance(resolved, CriterionJudge):
            raise TypeError(f"a constitution's judge must be a CriterionJudge, got a {type(resolved).__name__}")
        self.judge = resolved
        self.name = name

    @property
    def component_names(self) -> tuple[str, ...]:
        """The principles' names."""
        return tuple(self.weights)

    def components(self, exchanges: Sequence[Exchange], /) -> dict[str, list[float]]:
        """The weighted scores by principle, each ``(len(exchanges),)``."""
        columns = self.judge.by_criterion(exchanges, self.principles)
        return {name: [weight * score for score in column] for (name, weight), column in zip(self.weights.items(), columns, strict=True)}
