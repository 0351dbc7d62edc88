"""The other side: what it asks for in each round, when it accepts, and when it leaves.

Tactics after P. Faratin, C. Sierra and N. Jennings, "Negotiation decision functions for autonomous agents" (Robotics and Autonomous
Systems 24, 1998): three that depend on time, with ``alpha(t) = (t / deadline) ** (1 / beta)``, and one that depends on behaviour,
absolute tit-for-tat.

Everything is counted in units of the good's price step, from the agent's own limit: an offer or a demand of 3 is a price 3 steps better
for the agent than its limit, so the agent's surplus. A buyer and a seller so meet the same game.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import floor
from typing import Literal, NamedTuple

Tactic = Literal["boulware", "linear", "conceder", "tit-for-tat"]

TACTICS: tuple[Tactic, ...] = ("boulware", "linear", "conceder", "tit-for-tat")
GAPS = (4, 5, 6, 7, 8, 9, 10)
OPENINGS = (0, 1, 2, 3)
DEADLINES = (4, 5, 6, 7, 8)
GREEDIEST = 12
_BETAS = {"boulware": 0.25, "linear": 1.0, "conceder": 2.5}


class Kind(NamedTuple):
    """One kind of opponent.

    Attributes:
        tactic: how it concedes.
        gap: steps from the agent's limit to its own: the size of the zone of agreement, all of which the agent may gain.
        opening: steps by which its first offer is worse than the agent's limit.
        deadline: replies that it bears; it leaves at this one unless it accepts it.
    """

    tactic: Tactic
    gap: int
    opening: int
    deadline: int


KINDS: tuple[Kind, ...] = tuple(Kind(*values) for values in product(TACTICS, GAPS, OPENINGS, DEADLINES))
"""All of them: the prior is uniform."""


def next_offer(kind: Kind, number: int, standing: int, best: float | None, demand: float | None) -> int:
    """What it is ready to offer after the agent's reply of this number, from 1.

    Args:
        kind: whose offer.
        number: of the reply; at most the deadline.
        standing: its last offer.
        best: the least that the agent demanded in earlier replies, ``None`` while it demanded nothing.
        demand: what the agent demands in this reply, ``None`` for nothing.
    """
    if kind.tactic != "tit-for-tat":
        share = (number / kind.deadline) ** (1 / _BETAS[kind.tactic])
        return floor(share * (kind.gap + kind.opening) + 1e-9) - kind.opening
    conceded = 0 if best is None or demand is None else max(0, floor(min(best, GREEDIEST) - min(demand, GREEDIEST) + 1e-9))
    return min(kind.gap, standing + conceded)


@dataclass(frozen=True)
class Move:
    """What it does after a reply.

    Attributes:
        act: accepts, leaves, or makes an offer.
        offer: the price of the deal or of its offer, or its last offer.
        last: whether it leaves after the next reply unless it accepts that.
    """

    act: Literal["accept", "leave", "offer"]
    offer: float
    last: bool = False


class Opponent:
    """One opponent in one negotiation.

    Args:
        kind: which.

    Attributes:
        offers: its offers so far; the last one stands.
        demands: what the agent demanded in each reply, ``None`` for nothing.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.offers = [-kind.opening]
        self.demands: list[float | None] = []

    def hear(self, demand: float | None) -> Move:
        """Answer a demand, or a reply without one.

        It accepts what is at least as good for it as what it would offer next; what is better for it than its own offer closes at its
        offer, as over a counter.
        """
        number, standing = len(self.demands) + 1, self.offers[-1]
        following = next_offer(self.kind, number, standing, least(self.demands), demand)
        self.demands.append(demand)
        if demand is not None and demand <= following:
            return Move("accept", max(demand, standing))
        if number >= self.kind.deadline:
            return Move("leave", standing)
        self.offers.append(following)
        return Move("offer", following, last=number == self.kind.deadline - 1)


def least(demands: Sequence[float | None]) -> float | None:
    """The least demand, ``None`` where there is none."""
    return min((demand for demand in demands if demand is not None), default=None)
