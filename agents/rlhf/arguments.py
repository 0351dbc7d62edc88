"""Arguments of ``python -m agents rlhf``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from agents.arguments import arg, json_object

BETAS = (0.0, 0.02, 0.05, 0.1, 0.2)


def _beta(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of at least 0, got {text}")
    return value


@dataclass(frozen=True)
class RLHFArgs:
    """Supervised start, reward model, PPO with a KL penalty for each beta, a judge on held-out prompts, a model folder with its card."""

    model: str = arg("tiny", "to start from: tiny, smollm2-135m, a folder, or a hub's name")
    env: str = arg("lm_envs/SentimentTokens-v0", "id of a token environment")
    env_kwargs: dict[str, Any] = arg(None, "its keyword arguments, as JSON", type=json_object)
    start: str = arg("none", "what the supervised start learns from: expert, a .csv or .jsonl file of prompt and reply, or none")
    start_examples: int = arg(500, "conversations of the expert, or most rows that are read of a file")
    start_lr: float = arg(2e-5, "learning rate of the supervised start")
    start_epochs: int = arg(1, "passes of the supervised start")
    reward: str | None = arg(None, "a registered reward model, or a trained one's folder (default: one is trained)", type=str)
    reward_model: dict[str, Any] = arg(None, "arguments of python -m agents reward-model, as JSON", type=json_object)
    betas: tuple[float, ...] = arg(BETAS, "reward a token loses for each nat it moved away from the start", type=_beta, nargs="+")
    tokens: int = arg(10_240, "that PPO samples for each beta")
    ppo: dict[str, Any] = arg(None, "further arguments of python -m agents train, as JSON, such as '{\"lr\": 1e-4}'", type=json_object)
    gold: str = arg("success", "metric of the environment that nothing was trained on: the judge")
    max_perplexity: float = arg(1.5, "by which factor the perplexity under the start may rise at most")
    episodes: int = arg(64, "that each policy is judged by, on prompts for choosing and on held-out ones")
    device: str = arg("auto", "cpu, cuda, or auto")
    seed: int = arg(0, "of everything that is drawn")
    out: str = arg("runs/rlhf", "folder; what a killed run left there is gone on with")
