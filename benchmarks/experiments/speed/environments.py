"""Token environments alone, without a model: steps a second on one core.

Two streams of tokens: half of the rows give the scripted expert's replies and half random words of such replies, all ending with a stop
token; and uniformly random tokens, whose replies run to their limit. Tokens are recorded first, on a copy with the same seeds, so that
the clock sees the environment alone: ends of replies, the world's answers, rewards, infos, resets. Each round has seeds of its own, so
that no text is known from the round before.
"""

from __future__ import annotations

import functools
import gc
import time
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

import lm_envs  # noqa: F401  registers the environments
from benchmarks.experiments.speed.figures import Figure, figure
from lm_envs.vector import TokenVectorEnv

Actions = npt.NDArray[np.int64]  # (steps, rows)

TARGETS = {"Sentiment": 50_000, "Dialogue": None, "CustomerService": 50_000}
STREAMS = ("experts and random words", "random tokens")


@dataclass(frozen=True)
class Setting:
    """How an environment is played.

    Attributes:
        rows: environments in the batch.
        warm_up: steps before the clock starts.
        steps: steps on the clock.
        words: least and most words of a random reply.
        rounds: how often it is played.
    """

    rows: int = 64
    warm_up: int = 500
    steps: int = 1000
    words: tuple[int, int] = (4, 16)
    rounds: int = 5


class Player:
    """Writes the tokens of one stream, reply by reply."""

    def __init__(self, envs: TokenVectorEnv, stream: str, setting: Setting, seed: int) -> None:
        self._envs, self._stream, self._setting = envs, stream, setting
        self._rng = np.random.default_rng(seed)
        self._tokens = np.setdiff1d(np.arange(envs.chat.vocab_size), list(envs.chat.forbidden_ids))
        self._words = [word for env in envs.envs for word in env.expert_reply().split()]
        self._pending: list[list[int]] = [[] for _ in range(envs.num_envs)]

    def actions(self) -> Actions:
        """A token for each row."""
        if self._stream == "random tokens":
            return self._rng.choice(self._tokens, self._envs.num_envs)
        for row, pending in enumerate(self._pending):
            if not pending:
                pending += self._envs.chat.encode_reply(self._reply(row))
        return np.array([pending.pop(0) for pending in self._pending])

    def end(self, rows: npt.NDArray[np.bool_]) -> None:
        """Forget what is left of the replies of ``rows``, which have ended."""
        for row in np.flatnonzero(rows):
            self._pending[row] = []

    def _reply(self, row: int) -> str:
        if row % 2:
            return self._envs.envs[row].expert_reply()
        least, most = self._setting.words
        return " ".join(self._rng.choice(self._words, self._rng.integers(least, most + 1)))


def record(family: str, stream: str, setting: Setting, seed: int) -> tuple[Actions, int]:
    """The tokens of a stream, and how many replies end while they are on the clock."""
    envs = _make(family, setting)
    envs.reset(seed=seed)
    player = Player(envs, stream, setting, seed)
    actions, replies = [], 0
    for step in range(setting.warm_up + setting.steps):
        actions.append(player.actions())
        *_, infos = envs.step(actions[-1])
        ended = infos.get("_metrics", np.zeros(setting.rows, dtype=np.bool_))
        player.end(ended)
        replies += int(ended.sum()) if step >= setting.warm_up else 0
    envs.close()
    return np.stack(actions), replies


def play(family: str, actions: Actions, setting: Setting, seed: int) -> tuple[float, float]:
    """Seconds by the wall clock and of processor time that the recorded tokens take after the warm-up."""
    _forget()
    envs = _make(family, setting)
    envs.reset(seed=seed)
    for tokens in actions[: setting.warm_up]:
        envs.step(tokens)
    wall, processor = time.perf_counter(), time.process_time()
    for tokens in actions[setting.warm_up :]:
        envs.step(tokens)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    envs.close()
    return wall, processor


def _forget() -> None:
    """Empty the caches of the package's functions."""
    for cached in gc.get_objects():
        if type(cached) is functools._lru_cache_wrapper and cached.__module__.startswith("lm_envs"):
            cached.cache_clear()


def measure_family(family: str, stream: str, setting: Setting) -> Figure:
    """Token steps a second: steps of the batch times rows."""
    rates: list[float] = []
    cores: list[float] = []
    ends: list[float] = []
    for number in range(setting.rounds):
        seed = 10_000 * (number + 1)
        actions, replies = record(family, stream, setting, seed)
        wall, processor = play(family, actions, setting, seed)
        tokens = setting.steps * setting.rows
        rates.append(tokens / wall)
        cores.append(processor / wall)
        ends.append(tokens / max(1, replies))
    return figure(
        f"token steps/s alone, {family}, {stream}",
        rates,
        unit="steps/s",
        at_least=TARGETS[family],
        setting=asdict(setting),
        cores=max(cores),
        tokens_per_reply=ends,
        steps_per_second=rates,
    )


def measure(quick: bool = False) -> list[Figure]:
    """All families and streams."""
    setting = Setting(rows=4, warm_up=5, steps=60, rounds=1) if quick else Setting()
    return [measure_family(family, stream, setting) for family in TARGETS for stream in STREAMS]


def _make(family: str, setting: Setting) -> TokenVectorEnv:
    envs: Any = gym.make_vec(f"lm_envs/{family}Tokens-v0", num_envs=setting.rows)
    return envs  # type: ignore[no-any-return]
