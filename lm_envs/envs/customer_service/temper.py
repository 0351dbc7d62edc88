"""How a customer feels: satisfaction and patience, latent and moved by what the agent does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOOD = {
    "wait": -0.01,  # each tool call, and each "one moment, please"
    "turn": -0.01,  # each reply
    "detail": 0.02,  # a question that makes sense, each
    "first_empathy": 0.08,
    "second_empathy": 0.03,
    "hollow_empathy": -0.03,  # from the third time on
    "progress": 0.03,  # a plan that suits, news that was asked for
    "repeated_question": -0.08,  # each
    "needless": -0.06,  # a reply that leads nowhere
    "not_understood": -0.05,
    "too_many_questions": -0.04,
    "long": -0.05,
    "parrot": -0.08,  # the same words as in an earlier reply
    "rude": -0.30,
    "wrong_fact": -0.08,  # what the customer knows better
    "not_helped": -0.10,  # an article that is about something else
    "refused": -0.06,
    "refused_kindly": 0.04,
    "no_reason": -0.08,
    "unwanted": -0.08,  # something else than they came for
    "wrong_done": -0.20,
    "passed_on": -0.05,
}
"""Changes of satisfaction, which lies in [0, 1]. Losses are multiplied by the persona's temper."""

RELIEF = 0.5  # share of what is missing to 1 that a solution brings
ACCEPTANCE = 0.15  # the same for a refusal that was explained
CALL = 1 / 3  # patience that a tool call, or being asked to wait, costs
WAITING_STOPS_AT = 1.0  # waiting alone never takes the last of a customer's patience
UNBEARABLE = 0.05  # satisfaction below which patience ends one turn earlier


class Temper:
    """Satisfaction and patience of one customer.

    Args:
        persona: its ``mood`` is the satisfaction at first, its ``patience`` the needless turns that it bears, its ``temper``
            multiplies losses.

    Attributes:
        satisfaction: from 0 to 1.
        patience: needless turns that are still borne; below 0 the customer leaves.
    """

    __slots__ = ("satisfaction", "patience", "_full", "_temper")

    def __init__(self, persona: Mapping[str, Any]) -> None:
        self.satisfaction: float = persona["mood"]
        self.patience: float = persona["patience"]
        self._full: float = persona["patience"]
        self._temper: float = persona["temper"]

    def feel(self, cause: str) -> None:
        """Let something from :data:`MOOD` happen."""
        change = MOOD[cause]
        if change < 0:
            change *= self._temper
        self.satisfaction = min(1.0, max(0.0, self.satisfaction + change))

    def wait(self) -> None:
        """Wait for a tool, or as told."""
        self.feel("wait")
        self.patience = min(self.patience, max(WAITING_STOPS_AT, self.patience - CALL))

    def waste(self, turns: float = 1.0) -> None:
        """Bear a reply that leads nowhere."""
        self.feel("needless")
        self.patience -= turns

    def advance(self) -> None:
        """See that something happens: patience comes back."""
        self.patience = min(self._full, self.patience + 1)

    def relieve(self, share: float) -> None:
        """See a matter settled."""
        self.satisfaction += share * (1 - self.satisfaction)
        self.patience = self._full

    @property
    def spent(self) -> bool:
        """Whether the customer has had enough."""
        return self.patience < (1 if self.satisfaction < UNBEARABLE else 0)
