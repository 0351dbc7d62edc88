"""Tabular Q-learning or SARSA at the service desk, choosing dialogue acts.

python examples/choice_level/tabular.py --algorithm sarsa --seed 1

The belief is cut down to a few of its components (`KEPT`), which together name a row of the table; the task is cut down to the intents
of `INTENTS`. Exploration is epsilon-greedy among the admissible acts, with an epsilon that falls linearly.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from common import ENV, Judging, Watch, parse, report

from lm_envs.envs.customer_service.acts_env import OBSERVED

INTENTS = ("status", "cancel", "address", "howto", "loyalty", "out_of_scope")

KEPT = [
    number
    for number, name in enumerate(OBSERVED)
    if name.startswith(("topic_", "did_", "order_"))
    or name
    in ("account", "verified", "account_read", "lacks_order", "knows_order", "knows_name", "knows_postcode", "knows_item", "mismatches")
    or name
    in ("knows_address", "untried_postcode", "searched_name", "searched_order", "articles_found", "article_read", "informed", "apologised")
]
"""Components of the observation that name a row."""


@dataclass
class Args(Judging):
    """What can be set on the command line."""

    algorithm: str = field(default="q_learning", metadata={"choices": ("q_learning", "sarsa")})
    """off policy or on policy"""
    seed: int = 1
    """seed of the learner and of its training episodes"""
    total_timesteps: int = 500_000
    """environment steps to train for"""
    learning_rate: float = 0.2
    """how far a value moves to its target"""
    gamma: float = 0.95
    """discount"""
    start_epsilon: float = 1.0
    """share of random acts at first"""
    end_epsilon: float = 0.02
    """share of random acts in the end"""
    exploration_fraction: float = 0.5
    """share of training over which epsilon falls"""


def epsilon_at(step: int, args: Args) -> float:
    """The share of random acts at a step: linear from start to end, then constant."""
    done = min(1.0, step / (args.exploration_fraction * args.total_timesteps))
    return args.start_epsilon + done * (args.end_epsilon - args.start_epsilon)


class Table:
    """A value for each row and action; all are 0 at first."""

    def __init__(self, actions: int) -> None:
        self._rows: dict[bytes, npt.NDArray[np.float64]] = defaultdict(lambda: np.zeros(actions))

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The values of all actions, as a view."""
        return self._rows[(observation[KEPT] * 2).astype(np.int8).tobytes()]

    @staticmethod
    def best(row: npt.NDArray[np.float64], mask: npt.NDArray[np.int8]) -> int:
        """The admissible action of the highest value."""
        return int(np.where(mask, row, -np.inf).argmax())


def choose(table: Table, observation: npt.NDArray[np.float32], mask: npt.NDArray[np.int8], epsilon: float, rng: np.random.Generator) -> int:
    """Epsilon-greedy: a random admissible act with probability ``epsilon``, else the best."""
    if rng.random() < epsilon:
        return int(rng.choice(np.flatnonzero(mask)))
    return table.best(table.row(observation), mask)


def train(args: Args) -> Table:
    """Learn from episodes with potential-based shaping, which sums to zero over each."""
    rng = np.random.default_rng(args.seed)
    env = gym.make(ENV, intents=INTENTS, shaping=True)
    table = Table(int(env.action_space.n))  # type: ignore[attr-defined]
    observation, info = env.reset(seed=args.seed)
    following: int | None = None  # the act that SARSA has chosen already, for the value of its row
    for step in range(args.total_timesteps):
        epsilon = epsilon_at(step, args)
        row = table.row(observation)
        action = choose(table, observation, info["action_mask"], epsilon, rng) if following is None else following
        observation, reward, terminated, truncated, info = env.step(action)
        target, following = float(reward), None
        if not terminated:
            after, mask = table.row(observation), info["action_mask"]
            if args.algorithm == "sarsa":
                following = choose(table, observation, mask, epsilon, rng)
            # off policy: the value of the best act that could follow; on policy: of the one that does
            target += args.gamma * after[table.best(after, mask) if following is None else following]
        row[action] += args.learning_rate * (target - row[action])
        if terminated or truncated:
            observation, info = env.reset()
            following = None
    return table


def main(args: Args) -> None:
    """Train, judge, and print one line."""
    watch = Watch()
    table = train(args)
    trained = f"{args.algorithm} seed {args.seed}: {args.total_timesteps:,} steps in {watch}, {len(table):,} rows"
    env = gym.make(ENV, intents=INTENTS)
    report(trained, env, lambda observation, info: table.best(table.row(observation), info["action_mask"]), args)


if __name__ == "__main__":
    main(parse(Args, __doc__))
