"""Which optional dependencies bring a package that is missing."""

from __future__ import annotations

_EXTRAS = {
    "agents": ("torch", "stable_baselines3", "sb3_contrib", "safetensors", "tensorboard"),
    "annotate": ("flask", "waitress"),
    "benchmarks": ("matplotlib", "scipy"),
    "lora": ("peft",),
    "trackers": ("wandb", "mlflow"),
    "trl": ("trl", "datasets", "accelerate"),
}


def explained(error: ImportError) -> str:
    """One line that says what to install; for a package that none of the extras brings, the error's own words."""
    missing = (error.name or "").partition(".")[0]
    extra = next((extra for extra, packages in _EXTRAS.items() if missing in packages), None)
    return f'{missing} is not installed: pip install "lm-envs[{extra}]"' if extra else str(error)
