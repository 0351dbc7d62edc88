"""Reward models trained on what people said: ``python -m agents reward-model``."""
