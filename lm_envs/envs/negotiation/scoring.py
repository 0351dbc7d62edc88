"""The reward that ``"negotiation"`` names."""

from lm_envs.rewards.signals import Signals

reward = Signals({"surplus": 1.0}, name="negotiation")
