"""Language models as Stable-Baselines3 policies.

Names are imported when they are first used, so that ``import agents`` needs neither torch nor Stable-Baselines3.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lm_envs.extras import explained
from lm_envs.shadowing import check_agents

check_agents()

_HOME = {
    "CausalLMPolicy": "agents.policy",
    "EpisodeRolloutBuffer": "agents.buffer",
    "ModelSpec": "agents.models",
    "ReferenceKL": "agents.kl",
    "SB3VecEnv": "agents.vec_env",
    "TRPO": "agents.algorithms",
    "evaluate": "agents.evaluation",
    "kl_from": "agents.evaluation",
    "load": "agents.models",
    "make": "agents.algorithms",
}

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'agents' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    try:
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        raise ImportError(f"agents.{name}: {explained(error)}", name=error.name) from error


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
