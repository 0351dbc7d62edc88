"""How algorithms that see no masks train: with neutral acts alone, and with shaping that isn't taken back."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.spaces import Discrete
from gymnasium.wrappers import TransformAction

from lm_envs.envs.customer_service.choices import CHOICES

NEUTRAL = [number for number, (_, tone) in enumerate(CHOICES) if tone == "neutral"]
"""The acts that are left, 34 of 74: each is said in one tone."""


def neutrally(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Let actions be numbers of :data:`NEUTRAL`."""
    return TransformAction(env, NEUTRAL.__getitem__, Discrete(len(NEUTRAL)))


class KeptShaping(gym.Wrapper[Any, Any, Any, Any]):
    """In training, don't take back at the end what shaping has given: progress pays, also where the episode fails in the end.

    Shaping as it is sums to zero over an episode. The last act of a success would bring little more than it takes back, and an
    algorithm that discounts would rather put the end off. Paid out, it is no longer neutral, which is why nothing is judged by it; but
    it can't be had without the milestones, and only a success has all of them and the reward besides.

    Args:
        env: with ``shaping=True``, and a reward that has a component ``"shaping"``.
    """

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self._given = 0.0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Carry out an act; at the end, give back what shaping takes back."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        given = self._given
        self._given += info["rewards"]["shaping"]
        return observation, float(reward) + (given if terminated or truncated else 0.0), terminated, truncated, info
