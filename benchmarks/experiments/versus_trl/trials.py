"""The settings that each side is tuned over: the same grid on both sides.

Full training at three learning rates, and LoRA on the upper half of the layers, which leaves the backward pass of the lower half and
most of the optimizer's work out. Rates are high for language models, because the goal is 0.9 of a reward that needs no more than single
words, soon, with no penalty for leaving the first model; that holds for both sides.

On our side the critic learns slowly: in the few iterations that a run takes it explains nothing, and a fast one only adds noise to
advantages that are normalised over the rollout anyhow.
"""

from __future__ import annotations

from typing import Any, Literal

Side = Literal["ours", "trl"]

_UPPER_HALF: dict[str, Any] = {
    "r": 16,
    "lora_alpha": 32,
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "layers_to_transform": list(range(15, 30)),
}
_GRID: dict[str, dict[str, Any]] = {
    "lr 5e-4": {"learning_rate": 5e-4},
    "lr 8e-4": {"learning_rate": 8e-4},
    "lr 1.2e-3": {"learning_rate": 1.2e-3},
    "LoRA lr 1.2e-2": {"learning_rate": 1.2e-2, "lora": _UPPER_HALF},
}

TRIALS: dict[Side, dict[str, dict[str, Any]]] = {
    "ours": {f"A2C, {name}": {"algorithm": "a2c", "value_lr": 1e-4, **settings} for name, settings in _GRID.items()},
    "trl": {f"GRPO, {name}": settings for name, settings in _GRID.items()},
}
