"""The whole path, ``python -m agents rlhf``: supervised start, reward model, PPO with KL to the start, a judge, a model folder."""
