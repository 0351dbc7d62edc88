"""The reward that ``"dialogue"`` names."""

from lm_envs.rewards.signals import Signals

reward = Signals({"learnt": 0.6, "listening": 0.2, "reaction": 0.2, "repetition": -0.4, "irrelevance": -0.2}, name="dialogue")
