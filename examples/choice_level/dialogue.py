"""Learn to talk by choosing among candidates: DQN and PPO over a sequence of turns, or a linear bandit over single ones.

python examples/choice_level/dialogue.py --algorithm ppo
python examples/choice_level/dialogue.py --algorithm bandit --partner human-data --candidates retrieved --total-timesteps 3000

The bandit is LinUCB with one weight vector for all candidates (L. Li et al., "A contextual-bandit approach to personalized news article
recommendation", WWW 2010): it sees each candidate's numbers, and maximises the reward of the turn alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from common import Agent, Judging, Watch, parse, played
from stable_baselines3 import DQN, PPO

import lm_envs  # noqa: F401  (registers the environments)
from lm_envs.envs.dialogue.acts import OF_CANDIDATE, STATE
from lm_envs.validation import estimate


@dataclass
class Args(Judging):
    """What can be set on the command line."""

    algorithm: str = field(default="ppo", metadata={"choices": ("ppo", "dqn", "bandit")})
    partner: str = field(default="authored", metadata={"choices": ("authored", "human-data")})
    candidates: str = field(default="acts", metadata={"choices": ("acts", "retrieved")})
    """what is chosen among; the bandit needs retrieved ones"""
    seed: int = 1
    """seed of the learner and of its training episodes"""
    total_timesteps: int = 30_000
    """turns to train for"""


SETTINGS: dict[str, dict[str, Any]] = {
    "ppo": dict(n_steps=512, batch_size=128, n_epochs=6, gamma=0.9, gae_lambda=0.9, learning_rate=1e-3, ent_coef=0.01),
    "dqn": dict(
        learning_rate=1e-3,
        learning_starts=1_000,
        batch_size=64,
        gamma=0.9,
        train_freq=4,
        target_update_interval=500,
        exploration_fraction=0.4,
        exploration_final_eps=0.02,
    ),
}


class Bandit:
    """LinUCB: ridge regression of a turn's reward on a candidate's numbers, and a bonus for those of which little is known.

    Args:
        size: numbers that describe a candidate.
        curiosity: what a standard deviation of the estimate is worth.
    """

    def __init__(self, size: int, curiosity: float = 0.1) -> None:
        self._inverse = np.eye(size)  # of the features' regularised second moments, kept up to date by Sherman and Morrison's formula
        self._sums = np.zeros(size)
        self._curiosity = curiosity

    def choose(self, candidates: npt.NDArray[np.float64], mask: npt.NDArray[np.int8], *, explore: bool) -> int:
        """The candidate of the highest estimate; ``candidates`` has the shape ``(count, size)``."""
        values = candidates @ (self._inverse @ self._sums)
        if explore:
            values = values + self._curiosity * np.sqrt(np.einsum("ij,jk,ik->i", candidates, self._inverse, candidates))
        return int(np.where(mask, values, -np.inf).argmax())

    def learn(self, features: npt.NDArray[np.float64], reward: float) -> None:
        """Book the reward of a chosen candidate."""
        along = self._inverse @ features
        self._inverse -= np.outer(along, along) / (1 + features @ along)
        self._sums += reward * features


def candidates_of(observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The numbers of each candidate, and a one; shape ``(count, len(OF_CANDIDATE) + 1)``."""
    table = observation[len(STATE) :].reshape(-1, len(OF_CANDIDATE)).astype(np.float64)
    return np.hstack([table, np.ones((len(table), 1))])


def train_bandit(env: gym.Env[Any, Any], args: Args) -> Agent:
    """Play and learn, turn by turn."""
    bandit = Bandit(len(OF_CANDIDATE) + 1)
    observation, info = env.reset(seed=args.seed)
    for _ in range(args.total_timesteps):
        table = candidates_of(observation)
        action = bandit.choose(table, info["action_mask"], explore=True)
        observation, reward, terminated, truncated, info = env.step(action)
        bandit.learn(table[action], float(reward))
        if terminated or truncated:
            observation, info = env.reset()
    return lambda observation, info: bandit.choose(candidates_of(observation), info["action_mask"], explore=False)


def train_network(env: gym.Env[Any, Any], args: Args) -> Agent:
    """Stock Stable-Baselines3 with an `MlpPolicy`."""
    algorithm: type[DQN] | type[PPO] = DQN if args.algorithm == "dqn" else PPO
    model = algorithm("MlpPolicy", env, seed=args.seed, policy_kwargs={"net_arch": [128, 128]}, device="cpu", **SETTINGS[args.algorithm])
    model.learn(args.total_timesteps)
    return lambda observation, info: int(model.predict(observation, deterministic=True)[0])


def main(args: Args) -> None:
    """Train on one split, judge on the other beside random choice and the expert, and print a line for each."""
    torch.set_num_threads(1)
    if args.algorithm == "bandit" and args.candidates != "retrieved":
        raise SystemExit("the bandit chooses among retrieved candidates: --candidates retrieved")
    how = {"partner": args.partner, "candidates": args.candidates}
    watch = Watch()
    agent = (train_bandit if args.algorithm == "bandit" else train_network)(gym.make("lm_envs/DialogueActs-v0", **how), args)
    print(f"{args.algorithm} seed {args.seed}: {args.total_timesteps:,} steps in {watch}", flush=True)
    env = gym.make("lm_envs/DialogueActs-v0", split="test", **how)
    rng = np.random.default_rng(args.seed)
    players: dict[str, Agent] = {
        "random": lambda observation, info: int(rng.choice(np.flatnonzero(info["action_mask"]))),
        args.algorithm: agent,
        "expert": lambda observation, info: env.unwrapped.expert_action(),  # type: ignore[attr-defined]
    }
    for name, player in players.items():
        returns, successes = played(env, player, args)
        (mean, low, high), (success, least, most) = estimate(returns), estimate(successes, proportion=True)
        print(f"{name}: return {mean:.3f} [{low:.3f}, {high:.3f}], success {success:.2f} [{least:.2f}, {most:.2f}]", flush=True)


if __name__ == "__main__":
    main(parse(Args, __doc__))
