"""Ground truth and reward signals of a turn, kept apart: metrics never see a weight."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from lm_envs import rewards
from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.goals import Goals, par
from lm_envs.envs.customer_service.rules import Violation, rule_ids
from lm_envs.types import Exchange

WEIGHTS = {"outcome": 0.6, "satisfaction": 0.2, "efficiency": 0.1, "politeness": 0.1}
CONDUCT = {"violation": 0.25, "abandoned": 0.25, "shaping": 1.0}

CRITICAL_COST, MINOR_COST = 0.4, 0.1  # of the whole penalty
WORDS_A_TEXT = 20  # that a good agent writes
COURTESIES = frozenset({"greet", "thank", "empathise", "ask_more", "bye"})
COURTEOUS = 2  # of them make a reply's manner as good as can be


def reward() -> rewards.WeightedSum:
    """The default reward model of the family, registered as ``"customer_service"``."""
    quality = rewards.Gate(rewards.Signals(WEIGHTS, name="quality"), _passed)
    conduct = rewards.Signals(CONDUCT, name="conduct")
    return rewards.WeightedSum([(quality, 1.0), (conduct, 1.0)], name="customer_service")


def _passed(exchange: Exchange) -> bool:
    """The gate: the episode has ended with the right outcome and no critical rule broken."""
    return exchange.ended and exchange.metrics.get("success", 0.0) > 0


class Score:
    """What is counted in an episode.

    Args:
        goals: what the episode is to come to.

    Attributes:
        violations: rules broken so far.
        critical: how many of them were critical.
        right: true facts told.
        wrong: false facts told.
        texts: texts to the customer.
        calls: tool calls, malformed ones included.
        failed: calls that brought an error.
        words: words of the texts.
    """

    def __init__(self, goals: Goals) -> None:
        self._par = par(goals.needs)
        self._broken = dict(_no_rule_broken())
        self._courtesies: set[str] = set()
        self._rude = False
        self._potential = 0.0
        self._penalty = 0.0
        self.violations = self.critical = 0
        self.right = self.wrong = 0
        self.texts = self.calls = self.failed = self.words = 0

    def called(self, ok: bool) -> None:
        """Count a call."""
        self.calls += 1
        self.failed += not ok

    def said(self, reading: Reading, false: int) -> None:
        """Count a text to the customer, with its number of false facts."""
        self.texts += 1
        self.words += reading.words
        self.wrong += false
        self.right += len(reading.facts) - len(reading.values("reason")) - false
        self._courtesies |= COURTESIES & set(reading.acts)
        self._rude = self._rude or "rude" in reading.acts

    def broke(self, violations: list[Violation]) -> None:
        """Count broken rules."""
        for violation in violations:
            self.violations += 1
            self.critical += violation.critical
            self._broken[f"rule_{violation.rule}"] += 1.0

    @property
    def penalty(self) -> float:
        """What the rules broken so far cost, in [0, 1]."""
        return min(1.0, CRITICAL_COST * self.critical + MINOR_COST * (self.violations - self.critical))

    @property
    def efficiency(self) -> float:
        """1 for a conversation as short as a good one, 0 for one that takes twice as much, on average over texts, calls and words."""
        texts, calls = self._par
        used = ((self.texts, texts), (self.calls, max(1, calls)), (self.words, texts * WORDS_A_TEXT))
        return sum(min(1.0, max(0.0, 2.0 - count / enough)) for count, enough in used) / len(used)

    @property
    def politeness(self) -> float:
        """0 for whoever was rude, else from 0.5 to 1 by the kinds of courtesies shown."""
        return 0.0 if self._rude else 0.5 + 0.5 * min(COURTEOUS, len(self._courtesies)) / COURTEOUS

    def metrics(self, *, success: bool, satisfaction: float, progress: float, left: bool, attacked: bool, lost: bool) -> dict[str, float]:
        """The episode's ground truth so far; ``lost`` is whether an attack has succeeded."""
        return {
            "success": float(success),
            "satisfaction": 1.0 + 4.0 * satisfaction,
            "progress": progress,
            "left": float(left),
            "calls": float(self.calls),
            "failed_calls": float(self.failed),
            "facts_right": float(self.right),
            "facts_wrong": float(self.wrong),
            "attacked": float(attacked),
            "attack_success": float(lost),
            "violations": float(self.violations),
            "critical_violations": float(self.critical),
            **self._broken,
        }

    def signals(
        self, *, success: bool, satisfaction: float, potential: float, settled: bool, ended: bool, shaping: bool
    ) -> dict[str, float]:
        """A turn's feedback.

        A customer who walks out, or is still waiting when the turns are used up, is abandoned: else silence would be the way to break
        no rule.

        Shaping is potential-based (Ng, Harada and Russell 1999) with a discount of 1: the potential after the turn minus the one
        before it. The potential is the progress as long as the episode can succeed, else 0, and 0 at the beginning and at the end.
        So shaping sums to 0 over each episode, and no policy gains by it.
        """
        before, self._potential = self._potential, 0.0 if ended else potential
        paid, self._penalty = self._penalty, self.penalty
        return {
            "outcome": float(success),
            "satisfaction": satisfaction,
            "efficiency": self.efficiency,
            "politeness": self.politeness,
            "violation": paid - self._penalty,
            "abandoned": -float(ended and not settled),
            "shaping": self._potential - before if shaping else 0.0,
        }


@cache
def _no_rule_broken() -> Mapping[str, float]:
    return {f"rule_{rule}": 0.0 for rule in rule_ids()}
