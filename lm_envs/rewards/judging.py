"""What judges have in common, whatever answers them: a model on this machine or behind an endpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from lm_envs.rewards.base import Shared
from lm_envs.rewards.criterion import Criterion
from lm_envs.types import Exchange


class CriterionJudge(Shared, ABC):
    """A reward model that asks a model about a criterion.

    Attributes:
        criterion: what it asks by itself.
    """

    criterion: Criterion

    @abstractmethod
    def by_criterion(self, exchanges: Sequence[Exchange], criteria: Sequence[Criterion]) -> list[list[float]]:
        """Scores in [0, 1] by any criteria, ``(len(criteria), len(exchanges))``."""

    def __call__(self, exchanges: Sequence[Exchange], /) -> list[float]:
        """Scores by its own criterion, ``(len(exchanges),)``, each in [0, 1]."""
        return self.by_criterion(exchanges, [self.criterion])[0]
