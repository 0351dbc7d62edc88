"""Say what sentiment a text carries."""

from lm_envs.envs.sentiment_classification.env import SentimentClassificationEnv

__all__ = ["SentimentClassificationEnv"]
