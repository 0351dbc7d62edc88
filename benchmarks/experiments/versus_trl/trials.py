"""The settings that each side is tuned over: the same grid on both sides.

Full training at three learning rates, and LoRA on the upper half of the layers, which leaves the backward pass of the lower half and
most of the optimizer's work out. Rates are high for language models, because the goal is 0.9 of a reward that needs no more than single
words, soon, with no penalty for leaving the first model; that holds for both sides. The grid comes from first runs of both sides, more of
ours than of TRL's, with other seeds than are used here for tuning; what was found on one side was offered to the other.

On our side alone the critic's rate is set, lower than by default: in the few iterations that a run takes the critic explains nothing, and a
fast one adds noise to advantages that are normalised over the rollout anyhow. GRPO has no critic.
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
    "lr 8e-4": {"learning_rate": 8e-4},
    "lr 1.2e-3": {"learning_rate": 1.2e-3},
    "lr 1.8e-3": {"learning_rate": 1.8e-3},
    "LoRA lr 1.2e-2": {"learning_rate": 1.2e-2, "lora": _UPPER_HALF},
}

TRIALS: dict[Side, dict[str, dict[str, Any]]] = {
    "ours": {f"A2C, {name}": {"algorithm": "a2c", "value_lr": 1e-4, **settings} for name, settings in _GRID.items()},
    "trl": {f"GRPO, {name}": settings for name, settings in _GRID.items()},
}
