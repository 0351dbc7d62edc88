"""Our side: a stock Stable-Baselines3 algorithm from ``agents.make``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.algorithms import make
from benchmarks.experiments.versus_trl.task import Curve, Task, compound
from lm_envs.types import Exchange

_CONTEXT = 96  # tokens: the longest opening has 39 and a reply 24


class _Record(BaseCallback):
    """Keeps the replies of each rollout and ends training when the curve says so."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task
        self._scores: list[float] = []
        self._texts: list[str] = []
        self._tokens = 0
        self._over = False

    def reward(self, exchanges: Sequence[Exchange]) -> list[float]:
        """The environment's reward model; notes what it scores."""
        texts = [exchange.reply for exchange in exchanges]
        scores = compound(texts)
        self._texts += texts
        self._scores += scores
        return scores

    def _on_training_start(self) -> None:
        self.curve = Curve(self._task)

    def _on_step(self) -> bool:
        return not self._over

    def _on_rollout_end(self) -> None:
        self._over = self.curve.point(self._scores, self._texts, self.num_timesteps - self._tokens)
        self._scores, self._texts, self._tokens = [], [], self.num_timesteps


def _potential(exchanges: Sequence[Exchange]) -> list[float]:
    """The reward function on replies in progress: these are not recorded."""
    return compound([exchange.reply for exchange in exchanges])


def run(task: Task, settings: Mapping[str, Any], seed: int) -> Curve:
    """Train until the goal or the cap.

    An iteration is ``replies`` environments that each write ``reply_tokens`` tokens: as many replies as there are environments, or some
    more, because one that ends early makes room for the next at once. A reply that is cut by the end of a rollout goes on in the next.

    Args:
        task: what both sides share.
        settings: ``algorithm``, ``shaping`` (whether tokens are paid by a potential, see ``TokenEnv``) and arguments of
            :func:`agents.make`.
        seed: of weights' head, environments and sampling.
    """
    arguments = dict(settings)
    record = _Record(task)
    algorithm = make(
        arguments.pop("algorithm"),
        "lm_envs/SentimentTokens-v0",
        model=task.model,
        seed=seed,
        n_envs=task.replies,
        n_steps=task.reply_tokens,
        env_kwargs={
            "split": "train",
            "target": "positive",
            "reward": record.reward,
            "potential": _potential if arguments.pop("shaping", False) else None,
            "max_reply_tokens": task.reply_tokens,
            "max_length": _CONTEXT,
        },
        autocast=task.bf16,
        **arguments,
    )
    # The policy tries out on its first pass, once, whether its engine is exact for the model: that is loading, not training.
    algorithm.policy.predict({name: np.ones((1, _CONTEXT), dtype=np.int64) for name in ("input_ids", "attention_mask")}, deterministic=True)
    algorithm.learn(10**9, callback=record)
    return record.curve
