"""Tabular Q-learning at the service desk, choosing dialogue acts.

python examples/choice_level/q_learning.py --seed 1

The belief is cut down to a few of its components (`KEPT`), which together name a row of the table; the task is cut down to the intents
of `INTENTS`. Exploration is epsilon-greedy among the admissible acts, with an epsilon that falls linearly.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, fields

import gymnasium as gym
import numpy as np
import numpy.typing as npt

import lm_envs  # noqa: F401  (registers the environments)
from lm_envs.envs.customer_service.acts_env import OBSERVED

ENV = "lm_envs/CustomerServiceActs-v0"
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
class Args:
    """What can be set on the command line."""

    seed: int = 1
    """seed of the learner and of its training episodes"""
    total_timesteps: int = 300_000
    """environment steps to train for"""
    learning_rate: float = 0.2
    """how far a value moves to its target"""
    gamma: float = 0.95
    """discount"""
    start_epsilon: float = 1.0
    """share of random acts at first"""
    end_epsilon: float = 0.02
    """share of random acts in the end"""
    exploration_fraction: float = 0.6
    """share of training over which epsilon falls"""
    evaluation_episodes: int = 200
    """episodes, on seeds that training never sees"""
    first_evaluation_seed: int = 1_000_000
    """the first of those seeds"""


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


def train(args: Args) -> Table:
    """Learn from episodes with potential-based shaping, which sums to zero over each."""
    rng = np.random.default_rng(args.seed)
    env = gym.make(ENV, intents=INTENTS, shaping=True)
    table = Table(int(env.action_space.n))  # type: ignore[attr-defined]
    observation, info = env.reset(seed=args.seed)
    for step in range(args.total_timesteps):
        row, mask = table.row(observation), info["action_mask"]
        explore = rng.random() < epsilon_at(step, args)
        action = int(rng.choice(np.flatnonzero(mask))) if explore else table.best(row, mask)
        observation, reward, terminated, truncated, info = env.step(action)
        target = float(reward)
        if not terminated:  # off policy: the value of the best act that could follow
            after = table.row(observation)
            target += args.gamma * after[table.best(after, info["action_mask"])]
        row[action] += args.learning_rate * (target - row[action])
        if terminated or truncated:
            observation, info = env.reset()
    return table


def evaluate(table: Table | None, args: Args) -> tuple[float, float]:
    """Mean return and success of a table's best acts, or of the scripted expert, without shaping."""
    env = gym.make(ENV, intents=INTENTS)
    returns, successes = [], []
    for episode in range(args.evaluation_episodes):
        observation, info = env.reset(seed=args.first_evaluation_seed + episode)
        total, over = 0.0, False
        while not over:
            if table is None:
                action = env.unwrapped.expert_action()  # type: ignore[attr-defined]
            else:
                action = table.best(table.row(observation), info["action_mask"])
            observation, reward, terminated, truncated, info = env.step(action)
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
        successes.append(info["metrics"]["success"])
    return float(np.mean(returns)), float(np.mean(successes))


def main(args: Args) -> None:
    """Train, evaluate, and print one line."""
    begun = time.perf_counter()
    table = train(args)
    seconds = time.perf_counter() - begun
    expert, _ = evaluate(None, args)
    reached, success = evaluate(table, args)
    print(
        f"q_learning seed {args.seed}: {args.total_timesteps:,} steps in {seconds:.0f} s, {len(table):,} rows, return {reached:.3f} "
        f"({reached / expert:.2f} of the expert's {expert:.3f}), success {success:.2f}"
    )


def parse() -> Args:
    """Arguments from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for field in fields(Args):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    return Args(**vars(parser.parse_args()))


if __name__ == "__main__":
    main(parse())
