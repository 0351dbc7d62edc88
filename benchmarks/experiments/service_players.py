"""How reliable and how fair scripted players of the service desk are: ``python -m benchmarks service-players``.

Beside the expert, silence and chance there are two flawed experts, so that it shows that the measures find what is wrong: one that is
careless now and then, whoever writes, and one that is so with all but gold members.

    pass^k       solved k times out of k, in the same scenario with a customer whose words and moods differ from trial to trial
    fairness     success for the same customers with another name, dialect or tier, beside that for them as they are
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from rich.table import Table

from lm_envs.envs.customer_service import expert, metrics
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.env import CustomerServiceEnv
from lm_envs.envs.customer_service.expert import Move, Say
from lm_envs.envs.customer_service.shop import TIERS
from lm_envs.types import Messages, Split
from lm_envs.validation import Estimate, estimate

PLAYERS = ("expert", "careless expert", "unfair expert", "random", "no reply")
KS = (1, 2, 4, 8)
CARELESS = 0.15
"""The chance that the careless expert changes an account before it has verified who writes, once a conversation, and that it never tells
the outcome of a request, once a request."""
VALUES = {
    "name": ("Alice Thompson", "Siobhan Gallagher", "Fatima Hussain", "Ngozi Okafor", "Kenji Nakamura", "Omar Haddad"),
    "dialect": ("", "northern", "scots", "american", "indian", "learner"),
    "tier": TIERS,
}
"""What customers are changed to; the names are of six of the regions of `people.json`."""

_UNVERIFIED = ("open_ticket", "hand_over")  # what is allowed for whoever writes


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        split: which scenarios.
        tasks: scenarios for pass^k, of seeds 0 and up.
        trials: of each.
        customers: for fairness, of seeds 0 and up, each with every value.
        players: some of :data:`PLAYERS`.
    """

    split: Split = "test"
    tasks: int = 100
    trials: int = 8
    customers: int = 100
    players: tuple[str, ...] = PLAYERS


class Careless:
    """The expert, but it forgets now and then to verify somebody, or to tell an outcome.

    Args:
        env: in which it plays.
        chance: gives a generator at the beginning of each episode.
        spared: the tiers of customers with whom it is careful.
    """

    def __init__(self, env: CustomerServiceEnv, chance: Callable[[], np.random.Generator], spared: Sequence[str] = ()) -> None:
        self._env, self._chance, self._spared = env, chance, spared

    def __call__(self, messages: Messages) -> str:
        """Its next reply."""
        scenario = self._env.scenario
        if self._env.turn == 0:
            rng = self._chance()
            careful = scenario.shop.customers[scenario.customer].tier in self._spared
            drawn = rng.random(1 + len(scenario.needs) + 1) < (0 if careful else CARELESS)  # a need may be followed by another
            self._hasty, self._mute = bool(drawn[0]), drawn[1:]
        return expert.say(self._move(self._env.expert_move()), (scenario.wording, self._env.turn), self._env.split)

    def _move(self, move: Move) -> Move:
        if isinstance(move, Call):
            due = [
                Call(tool, arguments) for need in self._env.scenario.needs for tool, arguments in need.effects if tool not in _UNVERIFIED
            ]
            if move.name == "authenticate" and self._hasty and due:
                self._hasty = False
                return due[0]
            return move
        return Say(("thank",)) if move.need >= 0 and self._mute[min(move.need, len(self._mute) - 1)] else move


def player(name: str, env: CustomerServiceEnv, seed: int = 0, together: int = 1) -> metrics.Policy:
    """One of :data:`PLAYERS` as a policy.

    Args:
        name: which one.
        env: in which it plays.
        seed: of its chance.
        together: how many episodes in a row meet the same chance, so that pairs of episodes differ in nothing else.
    """
    begun = 0
    rng = np.random.default_rng(seed)

    def chance() -> np.random.Generator:
        nonlocal begun
        begun += 1
        return np.random.default_rng((seed, (begun - 1) // together))

    def random(messages: Messages) -> str:
        nonlocal rng
        if env.turn == 0:
            rng = chance()
        return env.random_reply(rng)

    if name == "expert":
        return lambda messages: env.expert_reply()
    if name in ("careless expert", "unfair expert"):
        return Careless(env, chance, ("gold",) if name == "unfair expert" else ())
    return random if name == "random" else lambda messages: env.noop_reply


@dataclass(frozen=True)
class Results:
    """What came of it.

    Attributes:
        reliability: by player and k, pass^k with an interval over tasks.
        fairness: by player, change and value.
    """

    reliability: dict[str, dict[int, Estimate]]
    fairness: dict[str, dict[str, dict[str, metrics.Pair]]]

    def plain(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "reliability": {name: {str(k): each._asdict() for k, each in by_k.items()} for name, by_k in self.reliability.items()},
            "fairness": {
                name: {change: {value: _plain(pair) for value, pair in pairs.items()} for change, pairs in by_change.items()}
                for name, by_change in self.fairness.items()
            },
        }


def measure(study: Study, on_player: Callable[[str], Any] = lambda name: None) -> Results:
    """Play all of it; ``on_player`` is called with each player that is done."""
    reliability: dict[str, dict[int, Estimate]] = {}
    fairness: dict[str, dict[str, dict[str, metrics.Pair]]] = {}
    env = CustomerServiceEnv(split=study.split)
    for name in study.players:
        successes = metrics.trials(player(name, env), seeds=range(study.tasks), times=study.trials, vary=True, env=env)
        reliability[name] = {k: estimate(metrics.pass_hat_k_by_task(successes, k).tolist()) for k in KS if k <= study.trials}
        fairness[name] = {
            change: {
                value: metrics.paired(
                    player(name, env, seed=number, together=2), change=change, values=[value], seeds=range(study.customers), env=env
                )
                for number, value in enumerate(values)
            }
            for change, values in VALUES.items()
        }
        on_player(name)
    return Results(reliability, fairness)


def tables(results: Results, form: Literal["rich", "markdown"] = "rich") -> list[Any]:
    """Tables for a terminal, or as lines of Markdown."""
    ks = list(next(iter(results.reliability.values())))
    reliable = [[name, *(_shown(by_k[k]) for k in ks)] for name, by_k in results.reliability.items()]
    names = list(results.fairness)
    fair = [
        [change, value or "none", *(_compared(results.fairness[name][change][value]) for name in names)]
        for change, pairs in results.fairness[names[0]].items()
        for value in pairs
    ]
    made = [
        ("Reliability", ["player", *(f"pass^{k}" for k in ks)], reliable),
        ("Fairness: success, and how it differs from that of the same customers as they are", ["changed", "to", *names], fair),
    ]
    return [_rich(*one) if form == "rich" else _markdown(*one[1:]) for one in made]


def _rich(title: str, head: list[str], rows: list[list[str]]) -> Table:
    table = Table(*head, title=title)
    for row in rows:
        table.add_row(*row)
    return table


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def _shown(value: Estimate, form: str = ".2f") -> str:
    return f"{value.mean:{form}} [{value.low:{form}}, {value.high:{form}}]"


def _compared(pair: metrics.Pair) -> str:
    return f"{pair.after.mean:.2f}, {_shown(pair.difference, '+.2f')}"


def _plain(pair: metrics.Pair) -> dict[str, Any]:
    return {name: value._asdict() if isinstance(value, Estimate) else value for name, value in pair._asdict().items()}
