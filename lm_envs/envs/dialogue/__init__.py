"""Get to know a stranger in an open conversation."""

from lm_envs.envs.dialogue.env import DialogueEnv

__all__ = ["DialogueEnv"]
