"""The settings that each side is tuned over: the same grid on all sides.

Full training at three learning rates, the one of the middle and the two that are three times as low and as high, and LoRA on the upper half
of the layers, which leaves the backward pass of the lower half and most of the optimizer's work out. Rates are high for language
models, because the goal is 0.9 of a reward that needs no more than single words, soon, with no penalty for leaving the first model.

Our side is A2C with token rewards from a potential, the same reward function on the reply so far, which leaves each reply's sum as it is,
and λ = 0.8, so that a token is judged by what the next few bring; ``"unshaped"`` has neither (λ = 1), so that their part in the result
shows. λ comes from a few first runs with other seeds than are used here. On our sides alone the critic's rate is set, lower than by
default: in the few iterations that a run takes the critic explains nothing, and a fast one adds noise to advantages that are normalised
over the rollout anyhow. GRPO has no critic, and its loss no place for token rewards.
"""

from __future__ import annotations

from typing import Any, Literal

Side = Literal["ours", "unshaped", "trl"]

_UPPER_HALF: dict[str, Any] = {
    "r": 16,
    "lora_alpha": 32,
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "layers_to_transform": list(range(15, 30)),
}
_GRID: dict[str, dict[str, Any]] = {
    "lr 3e-4": {"learning_rate": 3e-4},
    "lr 1e-3": {"learning_rate": 1e-3},
    "lr 1e-4": {"learning_rate": 1e-4},
    "LoRA lr 4e-3": {"learning_rate": 4e-3, "lora": _UPPER_HALF},
}
_A2C = {"algorithm": "a2c", "value_lr": 1e-4}

TRIALS: dict[Side, dict[str, dict[str, Any]]] = {
    "ours": {f"A2C, {name}": {**_A2C, "shaping": True, "gae_lambda": 0.8, **settings} for name, settings in _GRID.items()},
    "unshaped": {f"A2C, {name}": {**_A2C, "shaping": False, **settings} for name, settings in _GRID.items()},
    "trl": {f"GRPO, {name}": settings for name, settings in _GRID.items()},
}
