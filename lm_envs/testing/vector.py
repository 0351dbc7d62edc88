"""Checks of batched environments against single ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from lm_envs.core import TextEnv
from lm_envs.testing.expecting import Make, expect, expect_equal
from lm_envs.tokens import TokenEnv
from lm_envs.validation import PLAYERS, next_reply, text_env

MakeVec = Callable[..., VectorEnv[Any, Any, Any]]

_ROWS = 3
_REPLIES = 12  # a row, in each check


def same_step(make: Make, make_vec: MakeVec) -> None:
    """In SAME_STEP mode a batch gives the transcripts, rewards and infos of single environments, resets included."""
    _compare(make, make_vec, AutoresetMode.SAME_STEP)


def next_step(make: Make, make_vec: MakeVec) -> None:
    """In NEXT_STEP mode a batch gives the transcripts, rewards and infos of single environments, resets included."""
    _compare(make, make_vec, AutoresetMode.NEXT_STEP)


def rows_of_any_number(make: Make, make_vec: MakeVec) -> None:
    """A batch of one row works, and ``num_envs`` says how many there are."""
    for rows in (1, 2):
        batch = make_vec(rows)
        expect(batch.num_envs == rows, f"expected {rows} rows, got {batch.num_envs}")
        observations, _ = batch.reset(seed=0)
        expect(batch.observation_space.contains(observations), "expected observations in the space")
        batch.close()


CHECKS = (same_step, next_step, rows_of_any_number)


def _compare(make: Make, make_vec: MakeVec, mode: AutoresetMode) -> None:
    batch = make_vec(_ROWS, autoreset_mode=mode)
    rows = [_Row(make(), number) for number in range(_ROWS)]
    observations, infos = batch.reset(seed=21)
    for row in rows:
        row.reset(21 + row.number)
        row.compare(observations, infos, "after reset")
    while min(row.replies for row in rows) < _REPLIES:
        actions = [row.action() for row in rows]
        taken = actions if isinstance(rows[0].env, TextEnv) else np.asarray(actions, dtype=np.int64)
        observations, rewards, terminations, truncations, infos = batch.step(taken)
        for row in rows:
            reward, terminated, truncated = row.step(actions[row.number], mode)
            found = (float(rewards[row.number]), bool(terminations[row.number]), bool(truncations[row.number]))
            expect_equal(found, (reward, terminated, truncated), f"expected reward and ends of the single environment in row {row.number}")
            row.compare(observations, infos, "after a step")
    batch.close()


class _Row:
    """A single environment with a player, as one row of a batch."""

    def __init__(self, env: TextEnv | TokenEnv, number: int) -> None:
        self.env = env
        self.number = number
        self.player = PLAYERS[number % len(PLAYERS)]
        self.replies = 0
        self._rng = np.random.default_rng(number)
        self._over = False
        self._rest: list[int] = []

    def reset(self, seed: int | None) -> None:
        self.observation: Any
        self.info: dict[str, Any]
        self.observation, self.info = self.env.reset(seed=seed)
        self.final: tuple[Any, Any] | None = None
        self._over = False
        self._rest = []

    def action(self) -> Any:
        if isinstance(self.env, TextEnv):
            return "ignored" if self._over else next_reply(self.env, self.player, self._rng)
        if self._over:
            return 0
        if not self._rest:
            self._rest = self.env.chat.encode_reply(next_reply(text_env(self.env), self.player, self._rng))
        return self._rest.pop(0)

    def step(self, action: Any, mode: AutoresetMode) -> tuple[float, bool, bool]:
        if self._over:
            self.reset(None)
            return 0.0, False, False
        self.final = None
        self.observation, reward, terminated, truncated, self.info = self.env.step(action)
        if self.info:
            self.replies += 1
            self._rest = []
        self._over = terminated or truncated
        if self._over and mode is AutoresetMode.SAME_STEP:
            final = self.observation, self.info
            self.reset(None)
            self.final = final
        return float(reward), terminated, truncated

    def compare(self, observations: Any, infos: dict[str, Any], when: str) -> None:
        found = _row(observations, self.number)
        expect_equal(found, self.observation, f"expected the observation of the single environment in row {self.number} {when}")
        info = _row_info(infos, self.number)
        final = (info.pop("final_obs"), info.pop("final_info")) if "final_obs" in info else None
        expect_equal(info, self.info, f"expected the info of the single environment in row {self.number} {when}")
        expect_equal(final, self.final, f"expected final_obs and final_info of an ended episode in row {self.number} {when}")


def _row(batched: Any, row: int) -> Any:
    return {name: column[row] for name, column in batched.items()} if isinstance(batched, dict) else batched[row]


def _row_info(infos: dict[str, Any], row: int) -> dict[str, Any]:
    """One row's info from those of a batch: arrays, with masks of the same name behind an underscore."""
    info = {}
    for name, column in infos.items():
        if f"_{name}" in infos and infos[f"_{name}"][row]:
            info[name] = _row_info(column, row) if isinstance(column, dict) else column[row]
    return info
