"""Continue a text so that it carries a sentiment."""

from lm_envs.envs.sentiment.env import SentimentEnv

__all__ = ["SentimentEnv"]
