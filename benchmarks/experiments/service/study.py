"""The settings, and the environments that they describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym

from benchmarks.experiments.service.view import TokenViews, View
from lm_envs.core import TextEnv

ENV = "lm_envs/CustomerService-v0"


class Arm(NamedTuple):
    """What is compared."""

    adversarial: float = 0.0
    """share of adversaries among the customers that are learnt from, in the transcripts and in PPO"""
    memory: bool = True
    """whether the agent sees the whole conversation, or the last message alone"""


ARMS = {"ordinary": Arm(), "adversaries": Arm(adversarial=0.5), "last message": Arm(memory=False)}


class Customers(NamedTuple):
    """Whom an agent is judged by; none of them is met in training."""

    split: str
    """``"train"``: new customers with personas and phrases that others of training have too; ``"test"``: with personas and phrases that
    training never shows"""
    adversarial: float
    """share of adversaries"""


CUSTOMERS = {
    "ordinary": Customers("train", 0.0),
    "adversarial": Customers("train", 1.0),
    "ordinary, new phrases": Customers("test", 0.0),
    "adversarial, new phrases": Customers("test", 1.0),
}
"""Who judges, by the name of the kind. Two million parameters know few words beside those of the transcripts, hence both splits."""


@dataclass(frozen=True)
class Study:
    """The settings that all arms share."""

    model: str = "tiny"
    intents: tuple[str, ...] = ("status", "loyalty", "out_of_scope")
    """what ordinary customers come for: few enough for two million parameters; adversaries have aims of their own besides"""
    max_needs: int = 1
    max_turns: int = 14
    """the expert needs up to 11"""
    rules: bool = False
    """whether the agent reads the system message: two million parameters learn the rules from transcripts rather than from 400 tokens of
    small print, and without it conversations are a third as long"""
    max_length: int = 768
    max_reply_tokens: int = 64
    transcripts: int = 1500
    """conversations of the expert that an arm's start is trained on: a weak start, which leaves something to learn"""
    epochs: int = 2
    """passes over them"""
    start_rate: float = 1e-3
    """peak learning rate of the supervised training"""
    start_batch: int = 4096
    """tokens of a batch there, padding included"""
    start_seed: int = 1_000_000
    """transcript k opens with this seed plus k; also seeds the order of batches"""
    tokens: int = 200_000
    """that an agent writes in PPO, about"""
    n_envs: int = 64
    ppo: dict[str, Any] = field(
        default_factory=lambda: {"n_steps": 256, "gae_lambda": 0.98, "learning_rate": 1e-4, "detach_value": True, "target_kl": None}
    )
    """arguments of PPO that differ from ``agents.make``'s. The critic leaves the language model alone: its loss is the larger one, and with
    Adam, whose steps are as large for a noisy gradient, it wore the replies down"""
    shaping: bool = True
    """whether the environment's potential-based shaping is on in PPO; judging is done without"""
    kl: float = 0.0
    """coefficient of a penalty for leaving the start"""
    episodes: int = 64
    """of each kind of customers, before PPO and after"""
    threads: int = 1
    """of a run"""

    def kwargs(self, **more: Any) -> dict[str, Any]:
        """Keyword arguments of the text environment."""
        return {"intents": self.intents, "max_needs": self.max_needs, "max_turns": self.max_turns, **more}


QUICK: dict[str, Any] = {
    "transcripts": 8,
    "tokens": 1,
    "n_envs": 2,
    "ppo": {"n_steps": 48, "n_epochs": 1},
    "episodes": 2,
    "max_turns": 2,
    "max_reply_tokens": 24,
}
"""Settings that show within a minute whether it works."""


def text_env(study: Study, memory: bool, **kwargs: Any) -> View:
    """One text environment as an agent sees it."""
    return View(gym.make(ENV, disable_env_checker=True, **study.kwargs(**kwargs)), study.rules, memory)


def token_envs(study: Study, memory: bool, tokenizer: str | Path, rows: int, **kwargs: Any) -> TokenViews:
    """Token environments side by side, as agents see them."""
    return TokenViews(
        _rows(study, rows, kwargs),
        tokenizer,
        rules=study.rules,
        memory=memory,
        max_length=study.max_length,
        max_reply_tokens=study.max_reply_tokens,
    )


def _rows(study: Study, rows: int, kwargs: dict[str, Any]) -> Sequence[TextEnv]:
    envs: list[TextEnv] = []
    for _ in range(rows):
        shared = {"reward": envs[0].reward_model} if envs else {}
        env = text_env(study, True, **kwargs, **shared).unwrapped
        assert isinstance(env, TextEnv)
        envs.append(env)
    return envs
