"""Reward models: any callable from a batch of exchanges to a batch of scores.

    def reward(exchanges: Sequence[Exchange]) -> Sequence[float]: ...

Environments take one, or its registered name, as ``gym.make(..., reward=…)``.
"""

from lm_envs.rewards.base import Shared
from lm_envs.rewards.registry import names, register, resolve
from lm_envs.rewards.scoring import RewardModelError, Score, score
from lm_envs.rewards.signals import Signals
from lm_envs.rewards.vader import VaderSentiment

__all__ = ["RewardModelError", "Score", "Shared", "Signals", "VaderSentiment", "names", "register", "resolve", "score"]

register("vader", "lm_envs.rewards.vader:VaderSentiment")
register("customer_service", "lm_envs.envs.customer_service.scoring:reward")
