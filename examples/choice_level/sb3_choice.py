"""Train a stock Stable-Baselines3 algorithm at the service desk, choosing dialogue acts.

python examples/choice_level/sb3_choice.py --algorithm ppo --seed 1
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import torch
from common import ENV, Judging, Watch, parse, report
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from unmasked import RisingDiscount, neutrally


@dataclass
class Args(Judging):
    """What can be set on the command line."""

    algorithm: str = field(default="maskable_ppo", metadata={"choices": ("dqn", "ppo", "a2c", "maskable_ppo")})
    seed: int = 1
    """seed of the learner and of its training episodes"""
    total_timesteps: int = 0
    """environment steps to train for; 0 takes the algorithm's default"""
    n_envs: int = 16
    """environments that are stepped together"""
    acts: str = field(default="all", metadata={"choices": ("all", "neutral")})
    """of an algorithm without masks; with neutral acts alone, the discount of PPO and A2C rises from 0.85 to 0.97"""


def falling(start: float) -> Callable[[float], float]:
    """A learning rate that falls linearly to zero; the argument is the share of training that is left."""
    return lambda left: start * left


ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"dqn": DQN, "ppo": PPO, "a2c": A2C, "maskable_ppo": MaskablePPO}
STEPS = {"dqn": 300_000, "ppo": 400_000, "a2c": 600_000, "maskable_ppo": 200_000}
WIDTH = {"dqn": 256, "ppo": 128, "a2c": 128, "maskable_ppo": 128}
"""Of each of the two hidden layers."""

# Without masks, PPO and A2C discount more: with 0.95 they were seen to learn first of all to end conversations at once.
_ON_POLICY: dict[str, Any] = {"gamma": 0.85, "gae_lambda": 0.9, "ent_coef": 0.01}
SETTINGS: dict[str, dict[str, Any]] = {
    "dqn": dict(
        learning_rate=5e-4,
        buffer_size=200_000,
        learning_starts=2_000,
        batch_size=128,
        gamma=0.9,
        n_steps=3,
        train_freq=1,  # after each step of all environments
        gradient_steps=4,
        target_update_interval=1_000,
        exploration_initial_eps=1.0,  # epsilon-greedy: from 1 to 0.02 over the first 15 % of training
        exploration_final_eps=0.02,
        exploration_fraction=0.15,
    ),
    "ppo": dict(**_ON_POLICY, learning_rate=falling(1e-3), n_steps=32, batch_size=128, n_epochs=6),
    "a2c": dict(**_ON_POLICY, learning_rate=falling(2e-3), n_steps=8, normalize_advantage=True, use_rms_prop=False),
    "maskable_ppo": dict(learning_rate=falling(1e-3), n_steps=32, batch_size=128, n_epochs=4, gamma=0.95, gae_lambda=0.95, ent_coef=0.01),
}


def build(args: Args) -> BaseAlgorithm:
    """The algorithm with its environments. Shaping is on in training alone."""
    return ALGORITHMS[args.algorithm](
        policy="MlpPolicy",
        env=make_vec_env(lambda: make(args, shaping=True), args.n_envs, seed=args.seed),
        seed=args.seed,
        policy_kwargs={"net_arch": [WIDTH[args.algorithm]] * 2, "activation_fn": torch.nn.ReLU},
        device="cpu",
        **SETTINGS[args.algorithm],
    )


def make(args: Args, *, shaping: bool = False) -> gym.Env[Any, Any]:
    """One environment. Who sees no mask has inadmissible acts replaced by the next admissible ones, rather than losing a turn."""
    if args.algorithm == "maskable_ppo":
        return gym.make(ENV, shaping=shaping)
    env = gym.make(ENV, shaping=shaping, inadmissible="next")
    return neutrally(env) if args.acts == "neutral" else env


def main(args: Args) -> None:
    """Train, judge, and print one line."""
    torch.set_num_threads(1)
    model = build(args)
    watch = Watch()
    rising = args.acts == "neutral" and args.algorithm in ("ppo", "a2c")
    model.learn(args.total_timesteps or STEPS[args.algorithm], callback=RisingDiscount(0.85, 0.97) if rising else None)
    trained = f"{args.algorithm} seed {args.seed}: {model.num_timesteps:,} steps in {watch}"

    def agent(observation: Any, info: dict[str, Any]) -> Any:
        masks = {"action_masks": info["action_mask"]} if isinstance(model, MaskablePPO) else {}
        return model.predict(observation, deterministic=True, **masks)[0]

    report(trained, make(args), agent, args)


if __name__ == "__main__":
    main(parse(Args, __doc__))
