"""How algorithms that see no masks can train: with neutral acts alone, and with a discount that rises."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.spaces import Discrete
from gymnasium.wrappers import TransformAction
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from lm_envs.envs.customer_service.choices import CHOICES

NEUTRAL = [number for number, (_, tone) in enumerate(CHOICES) if tone == "neutral"]
"""The acts that are left, 34 of 74: each is said in one tone."""


def neutrally(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Let actions be numbers of :data:`NEUTRAL`."""
    return TransformAction(env, NEUTRAL.__getitem__, Discrete(len(NEUTRAL)))


class RisingDiscount(BaseCallback):
    """Raises an on-policy algorithm's discount linearly over a part of training.

    With a low one, being far on counts a little beside shaping, so that the first steps are learnt; with a high one from the beginning,
    what is learnt first is to end conversations.

    Args:
        start: the discount at first.
        end: the discount at last.
        first: the share of training after which it begins to rise.
        last: the share after which it has risen.
    """

    def __init__(self, start: float, end: float, first: float = 0.125, last: float = 0.5) -> None:
        super().__init__()
        self.start, self.end, self.first, self.last = start, end, first, last

    def _on_rollout_start(self) -> None:
        assert isinstance(self.model, OnPolicyAlgorithm)
        done = 1 - self.model._current_progress_remaining
        risen = min(1.0, max(0.0, (done - self.first) / (self.last - self.first)))
        self.model.gamma = self.model.rollout_buffer.gamma = self.start + (self.end - self.start) * risen

    def _on_step(self) -> bool:
        return True
