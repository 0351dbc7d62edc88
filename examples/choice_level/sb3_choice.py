"""Train a stock Stable-Baselines3 algorithm at the service desk, choosing dialogue acts.

python examples/choice_level/sb3_choice.py --algorithm ppo --seed 1
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, fields
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env

import lm_envs  # noqa: F401  (registers the environments)

ENV = "lm_envs/CustomerServiceActs-v0"


@dataclass
class Args:
    """What can be set on the command line."""

    algorithm: str = "maskable_ppo"
    """dqn, ppo, a2c or maskable_ppo"""
    seed: int = 1
    """seed of the learner and of its training episodes"""
    total_timesteps: int = 0
    """environment steps to train for; 0 takes the algorithm's default"""
    n_envs: int = 16
    """environments that are stepped together"""
    evaluation_episodes: int = 200
    """episodes, on seeds that training never sees"""
    first_evaluation_seed: int = 1_000_000
    """the first of those seeds"""


STEPS = {"dqn": 400_000, "ppo": 600_000, "a2c": 400_000, "maskable_ppo": 200_000}


def build(args: Args) -> BaseAlgorithm:
    """The algorithm with its environments. Shaping, which sums to zero over an episode, is on in training alone."""
    network: dict[str, Any] = {"net_arch": [128, 128], "activation_fn": torch.nn.ReLU}
    options = _options(args) | {"shaping": True}
    env = make_vec_env(lambda: gym.make(ENV, **options), args.n_envs, seed=args.seed)
    common: dict[str, Any] = {"policy": "MlpPolicy", "env": env, "seed": args.seed, "policy_kwargs": network, "device": "cpu"}
    if args.algorithm == "dqn":
        return DQN(
            **common,
            learning_rate=5e-4,
            buffer_size=200_000,
            learning_starts=2_000,
            batch_size=128,
            gamma=0.95,
            n_steps=3,
            train_freq=1,  # after each step of all environments
            gradient_steps=4,
            target_update_interval=2_000,
            exploration_initial_eps=1.0,  # epsilon-greedy: from 1 to 0.02 over the first fifth of training
            exploration_final_eps=0.02,
            exploration_fraction=0.2,
        )
    if args.algorithm == "a2c":
        return A2C(**common, learning_rate=1e-3, n_steps=8, gamma=0.95, gae_lambda=0.95, ent_coef=0.01, use_rms_prop=False)
    on_policy = {"ppo": PPO, "maskable_ppo": MaskablePPO}[args.algorithm]
    return on_policy(
        **common,
        learning_rate=lambda left: 1e-3 * left,
        n_steps=32,
        batch_size=128,
        n_epochs=4,
        gamma=0.95,
        gae_lambda=0.95,
        ent_coef=0.01,
    )


def _options(args: Args) -> dict[str, Any]:
    """Who sees no mask has inadmissible acts replaced by admissible ones, rather than losing a turn."""
    return {} if args.algorithm == "maskable_ppo" else {"inadmissible": "spread"}


def evaluate(model: BaseAlgorithm | None, args: Args) -> tuple[float, float]:
    """Mean return and success of a model, or of the scripted expert, without shaping."""
    env = gym.make(ENV, **_options(args))
    returns, successes = [], []
    for episode in range(args.evaluation_episodes):
        observation, info = env.reset(seed=args.first_evaluation_seed + episode)
        total, over = 0.0, False
        while not over:
            if model is None:
                action = env.unwrapped.expert_action()  # type: ignore[attr-defined]
            else:
                masks = {"action_masks": info["action_mask"]} if isinstance(model, MaskablePPO) else {}
                action = model.predict(observation, deterministic=True, **masks)[0]
            observation, reward, terminated, truncated, info = env.step(action)
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
        successes.append(info["metrics"]["success"])
    return float(np.mean(returns)), float(np.mean(successes))


def main(args: Args) -> None:
    """Train, evaluate, and print one line."""
    torch.set_num_threads(1)
    model = build(args)
    begun = time.perf_counter()
    model.learn(args.total_timesteps or STEPS[args.algorithm])
    seconds = time.perf_counter() - begun
    expert, _ = evaluate(None, args)
    reached, success = evaluate(model, args)
    print(
        f"{args.algorithm} seed {args.seed}: {model.num_timesteps:,} steps in {seconds:.0f} s, return {reached:.3f} "
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
