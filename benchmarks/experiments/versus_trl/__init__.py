"""How soon SmolLM2-135M writes positively: stock PPO and A2C of this package beside TRL's GRPO.

    python -m benchmarks versus-trl

Same prompts, reward function, weights, type, threads and replies an iteration; the same number of tuning trials a side; then runs with
several seeds, a process each, the sides in turn. A run is over when the mean VADER compound of the last 32 replies reaches 0.9.
"""
