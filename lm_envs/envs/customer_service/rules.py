"""The company's rules as predicates over the record of an episode.

    rulebook = Rulebook()
    for violation in rulebook.check(record, record.call(toolbox, call)): ...

The rules' texts are in `rules.json`, their predicates in :mod:`rules_for_calls` and :mod:`rules_for_texts`. Each predicate judges one
kind of event, right after it; a rule that several events break is broken several times. A call that a tool refused changed nothing, so
most predicates look only at calls that went through.
"""

from __future__ import annotations

from dataclasses import dataclass

from lm_envs.envs.customer_service import rules_for_calls, rules_for_texts  # noqa: F401  (they register their predicates)
from lm_envs.envs.customer_service.data import load, require
from lm_envs.envs.customer_service.predicates import PREDICATES
from lm_envs.envs.customer_service.record import Event, Record
from lm_envs.envs.customer_service.tools import OPERATION_OF


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: its id, ``"critical"`` or ``"minor"``, and the index of the event that broke it."""

    rule: str
    severity: str
    index: int

    @property
    def critical(self) -> bool:
        """Whether the episode has failed by it."""
        return self.severity == "critical"


class Rulebook:
    """Judges events by all rules, or by some.

    Args:
        rules: ids; by default all.

    Raises:
        ValueError: for an unknown id.
    """

    def __init__(self, rules: tuple[str, ...] | None = None) -> None:
        known = rule_ids()
        if unknown := [rule for rule in rules or () if rule not in known]:
            raise ValueError(f"unknown rule {unknown[0]!r}; known: {', '.join(known)}")
        predicates = {rule for by_rule in PREDICATES.values() for rule in by_rule}
        require(predicates == set(known), "rules.json", f"rules and predicates differ: {sorted(predicates ^ set(known))}")
        chosen = known if rules is None else rules
        self.severities = {rule["id"]: rule["severity"] for rule in load("rules")["rules"] if rule["id"] in chosen}
        self._by_kind = {
            kind: [(rule, predicate) for rule, predicate in by_rule.items() if rule in self.severities]
            for kind, by_rule in PREDICATES.items()
        }

    def check(self, record: Record, event: Event) -> list[Violation]:
        """The rules that an event breaks. Call it once for each event, right after it was recorded."""
        kind: str = event.kind
        if kind == "call" and event.result is not None and event.result.name in OPERATION_OF:
            kind = "change" if event.result.ok else "failed"
        violations = [
            Violation(rule, self.severities[rule], event.index)
            for rule, predicate in self._by_kind.get(kind, ())
            if predicate(record, event)
        ]
        if kind == "text":
            record.told(event)
        return violations


def rule_ids() -> tuple[str, ...]:
    """All rules, in the order of their file."""
    return tuple(rule["id"] for rule in load("rules")["rules"])
