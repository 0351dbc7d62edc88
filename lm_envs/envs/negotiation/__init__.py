"""Bargain over a price with someone whose limit is hidden."""

from lm_envs.envs.negotiation.env import NegotiationEnv

__all__ = ["NegotiationEnv"]
