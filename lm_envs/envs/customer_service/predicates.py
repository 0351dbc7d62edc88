"""Where the rules' predicates are registered, by the kind of event that they judge."""

from __future__ import annotations

from collections.abc import Callable

from lm_envs.envs.customer_service.data import DataError
from lm_envs.envs.customer_service.record import Event, Record

Predicate = Callable[[Record, Event], bool]

ON_ORDERS = ("cancel", "return", "refund", "exchange", "address", "payment")
"""Operations that change an order."""

PREDICATES: dict[str, dict[str, Predicate]] = {"call": {}, "change": {}, "failed": {}, "text": {}, "end": {}}
"""By kind and rule: a lookup, a change that went through, one that a tool refused, a text to the customer, the end."""


def rule(kind: str, name: str) -> Callable[[Predicate], Predicate]:
    """Register a predicate that says whether an event of a kind breaks the rule ``name`` of ``rules.json``.

    Raises:
        DataError: when there is one already.
    """

    def register(predicate: Predicate) -> Predicate:
        if name in PREDICATES[kind]:
            raise DataError(f"rule {name!r} has two predicates for {kind!r}")
        PREDICATES[kind][name] = predicate
        return predicate

    return register
