"""What players with this or that knowledge gain, exactly, over all kinds of opponents.

python -m lm_envs.envs.negotiation.bounds
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from lm_envs.envs.negotiation.opponent import DEADLINES, KINDS, TACTICS, Kind, Opponent
from lm_envs.envs.negotiation.planner import informed, planner

HORIZON = max(DEADLINES)

Strategy = Callable[[Opponent, bool], float | None]
"""From the opponent's offers and demands so far, and whether its last offer is the last, to a demand; ``None`` accepts."""


def optimal(opponent: Opponent, last: bool) -> float | None:
    """What the planner demands, from the offers alone."""
    return planner(HORIZON).plan(opponent.offers, last, opponent.demands)[1]


def insistent(demand: float) -> Strategy:
    """Demands the same all along, and accepts what is as good or the last offer."""

    def demands(opponent: Opponent, last: bool) -> float | None:
        return None if last or opponent.offers[-1] >= demand else demand

    return demands


STRATEGIES: Mapping[str, Strategy] = {
    "optimal, kind unknown": optimal,
    "accept the first offer": lambda opponent, last: None,
    "accept the first offer that gains": lambda opponent, last: None if opponent.offers[-1] > 0 or last else 12,
    "ask for 12 steps, accept the last offer": insistent(12),
    "ask for 7 steps, accept the last offer": insistent(7),
    "ask for 4 steps, accept the last offer": insistent(4),
    "concede a step a reply from 8": lambda opponent, last: None if last else max(1, 8 - len(opponent.demands)),
}


def share(kind: Kind, strategy: Strategy, horizon: int = HORIZON) -> float:
    """The agent's share of the zone of agreement, in a game of so many replies."""
    opponent, last = Opponent(kind), False
    while len(opponent.demands) < horizon:
        demand = strategy(opponent, last)
        if demand is None:
            return opponent.offers[-1] / kind.gap
        move = opponent.hear(demand)
        if move.act != "offer":
            return move.offer / kind.gap if move.act == "accept" else 0.0
        last = move.last
    return 0.0


def report() -> Iterator[str]:
    """Mean shares over all kinds and by tactic, a line for each player."""
    yield f"{'share of the zone of agreement':<40}{'all':>8}" + "".join(f"{tactic:>13}" for tactic in TACTICS)
    yield _line("informed of the kind", partial(informed, HORIZON))
    for name, strategy in STRATEGIES.items():
        yield _line(name, partial(_mean_share, strategy))


def _mean_share(strategy: Strategy, kinds: Sequence[Kind]) -> float:
    return sum(share(kind, strategy) for kind in kinds) / len(kinds)


def _line(name: str, mean: Callable[[Sequence[Kind]], float]) -> str:
    parts = [[kind for kind in KINDS if kind.tactic == tactic] for tactic in TACTICS]
    return f"{name:<40}{mean(KINDS):>8.3f}" + "".join(f"{mean(part):>13.3f}" for part in parts)


if __name__ == "__main__":
    print(*report(), sep="\n")
