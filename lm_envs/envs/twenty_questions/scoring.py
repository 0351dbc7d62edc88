"""The reward that ``"twenty_questions"`` names."""

from lm_envs.rewards.signals import Signals

reward = Signals({"found": 0.9, "information": 0.1}, name="twenty_questions")
