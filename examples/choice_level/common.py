"""What the examples of the choice level share: arguments from the command line, and how an agent is judged."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np

import lm_envs  # noqa: F401  (registers the environments)

ENV = "lm_envs/CustomerServiceActs-v0"

A = TypeVar("A", bound="Judging")
Agent = Callable[[Any, dict[str, Any]], Any]  # from an observation and its info to an action


@dataclass
class Judging:
    """How an agent is judged."""

    evaluation_episodes: int = 200
    """episodes, on seeds that training never sees"""
    first_evaluation_seed: int = 1_000_000
    """the first of those seeds"""


class Watch:
    """The time since it was made, by the clock and of this process: on a machine that others use, the second is the one to compare."""

    def __init__(self) -> None:
        self._clock, self._process = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        return f"{time.perf_counter() - self._clock:.0f} s ({time.process_time() - self._process:.0f} s of a core)"


def parse(arguments: type[A], description: str | None) -> A:
    """Arguments from the command line, an option for each field."""
    parser = argparse.ArgumentParser(description=description)
    for field in fields(arguments):
        option, choices = f"--{field.name.replace('_', '-')}", field.metadata.get("choices")
        parser.add_argument(option, type=type(field.default), default=field.default, choices=choices)
    return arguments(**vars(parser.parse_args()))


def played(env: gym.Env[Any, Any], agent: Agent, args: Judging) -> tuple[list[float], list[float]]:
    """Return and success of an agent in each episode."""
    returns, successes = [], []
    for episode in range(args.evaluation_episodes):
        observation, info = env.reset(seed=args.first_evaluation_seed + episode)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, info = env.step(agent(observation, info))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
        successes.append(info["metrics"]["success"])
    return returns, successes


def evaluate(env: gym.Env[Any, Any], agent: Agent, args: Judging) -> tuple[float, float]:
    """Mean return and success of an agent."""
    returns, successes = played(env, agent, args)
    return float(np.mean(returns)), float(np.mean(successes))


def report(trained: str, env: gym.Env[Any, Any], agent: Agent, args: Judging) -> None:
    """Judge an agent beside the scripted expert, which has all acts, without shaping, and print one line."""
    whole = env.unwrapped
    expert, _ = evaluate(whole, lambda observation, info: whole.expert_action(), args)  # type: ignore[attr-defined]
    reached, success = evaluate(env, agent, args)
    print(f"{trained}, return {reached:.3f} ({reached / expert:.2f} of the expert's {expert:.3f}), success {success:.2f}")
