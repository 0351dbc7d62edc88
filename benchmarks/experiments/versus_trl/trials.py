"""The settings that each side is tuned over: the same grid on both sides.

Full training at three learning rates, and LoRA on the upper half of the layers, which leaves the backward pass of the lower half and
most of the optimizer's work out. PPO with one pass of one minibatch is what A2C does; two minibatches did no better in a first look.
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
    "lr 3e-4": {"learning_rate": 3e-4},
    "lr 5e-4": {"learning_rate": 5e-4},
    "lr 8e-4": {"learning_rate": 8e-4},
    "LoRA lr 6e-3": {"learning_rate": 6e-3, "lora": _UPPER_HALF},
}

TRIALS: dict[Side, dict[str, dict[str, Any]]] = {
    "ours": {f"A2C, {name}": {"algorithm": "a2c", **settings} for name, settings in _GRID.items()},
    "trl": {f"GRPO, {name}": settings for name, settings in _GRID.items()},
}
