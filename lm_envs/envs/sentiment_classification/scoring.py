"""The reward that ``"sentiment_classification"`` names."""

from lm_envs.rewards.signals import Signals

reward = Signals({"answer": 1.0, "reading": 1.0}, name="sentiment_classification")
