"""The best play against an opponent of unknown kind, exactly: dynamic programming over what is known after each of its offers.

The planner knows the kinds, each as probable as any other, and what was said; not the opponent's limit, tactic or deadline. An offer
tells which kinds are possible still. A state is the number of replies given, the possible kinds, the standing offer and, while
tit-for-tat is possible, the least demand so far: what is to come depends on nothing else. Values are sums over the possible kinds of the
agent's share of the zone of agreement, so that they add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from math import ceil

from lm_envs.envs.negotiation.opponent import GREEDIEST, KINDS, Kind, least, next_offer

Plan = tuple[float, int | None]
"""The value, and the demand to make: ``None`` accepts the standing offer."""


class Planner:
    """The best demands in negotiations of at most ``horizon`` replies.

    Args:
        horizon: replies that the agent has.
        kinds: the kinds that are possible, each as probable as any other.
    """

    def __init__(self, horizon: int, kinds: Sequence[Kind] = KINDS) -> None:
        self._horizon = horizon
        self._kinds = kinds
        self._plans: dict[tuple[int, tuple[int, ...], int, int | None], Plan] = {}

    def possible(self, offers: Sequence[int], last: bool, demands: Sequence[float | None]) -> tuple[int, ...]:
        """The positions of the kinds that would have made these offers after these demands.

        Args:
            offers: all offers; the first came before any demand.
            last: whether the opponent said of the last one that it is the last.
            demands: what the agent demanded in each reply, one fewer than offers; ``None`` for nothing.
        """
        found = []
        for at, kind in enumerate(self._kinds):
            if -kind.opening != offers[0] or (kind.deadline == len(offers)) != last or kind.deadline < len(offers):
                continue
            if all(
                next_offer(kind, number, offers[number - 1], least(demands[: number - 1]), demands[number - 1]) == offers[number]
                for number in range(1, len(offers))
            ):
                found.append(at)
        return tuple(found)

    def plan(self, offers: Sequence[int], last: bool, demands: Sequence[float | None]) -> Plan:
        """The expected share and the best demand, ``None`` to accept the standing offer; arguments as in :meth:`possible`."""
        kinds = self.possible(offers, last, demands)
        lowest = least(demands)
        value, demand = self._plan(len(demands), kinds, offers[-1], None if lowest is None else ceil(min(lowest, GREEDIEST)))
        return value / len(kinds), demand

    def value(self) -> float:
        """The expected share before the opponent has said anything."""
        openings: dict[tuple[int, bool], list[int]] = {}
        for at, kind in enumerate(self._kinds):
            openings.setdefault((-kind.opening, kind.deadline == 1), []).append(at)
        return sum(self._plan(0, tuple(group), offer, None)[0] for (offer, _), group in openings.items()) / len(self._kinds)

    def _plan(self, replies: int, kinds: tuple[int, ...], standing: int, lowest: int | None) -> Plan:
        if not any(self._kinds[at].tactic == "tit-for-tat" for at in kinds):
            lowest = None
        key = (replies, kinds, standing, lowest)
        if key not in self._plans:
            best: Plan = (sum(standing / self._kinds[at].gap for at in kinds), None)
            for demand in range(GREEDIEST, standing, -1):
                value = self._value_of(demand, replies + 1, kinds, standing, lowest)
                if value > best[0] + 1e-9:
                    best = value, demand
            self._plans[key] = best
        return self._plans[key]

    def _value_of(self, demand: int, number: int, kinds: tuple[int, ...], standing: int, lowest: int | None) -> float:
        """The value of making a demand in the reply of this number."""
        value = 0.0
        going_on: dict[tuple[int, bool], list[int]] = {}
        for at in kinds:
            kind = self._kinds[at]
            following = next_offer(kind, number, standing, lowest, demand)
            if demand <= following:
                value += demand / kind.gap
            elif number < min(kind.deadline, self._horizon):
                going_on.setdefault((following, number == kind.deadline - 1), []).append(at)
        lowest = demand if lowest is None else min(lowest, demand)
        return value + sum(self._plan(number, tuple(group), offer, lowest)[0] for (offer, _), group in going_on.items())


@cache
def planner(horizon: int) -> Planner:
    """The planner for so many replies; what it has worked out is kept."""
    return Planner(horizon)


def informed(horizon: int, kinds: Iterable[Kind] = KINDS) -> float:
    """The mean share of one who knows the opponent's kind: an upper bound for everyone."""
    values = [Planner(horizon, (kind,)).value() for kind in kinds]
    return sum(values) / len(values)
