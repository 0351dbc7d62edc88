"""Batched environments: one reward-model call for all replies that end in a step.

Same seeds and actions give the same transcripts and rewards as single environments. All of Gymnasium's autoreset modes are supported.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from lm_envs import rewards
from lm_envs.core import TextEnv, at_least
from lm_envs.spaces import TokenSpace
from lm_envs.tokens import VIOLATIONS, Observation, TokenState, chat_format, load_tokenizer, opening_ids, reply_text, token_observations
from lm_envs.types import Messages, RewardModel

if TYPE_CHECKING:
    from transformers import TokenizersBackend

ObsType = TypeVar("ObsType")
ActType = TypeVar("ActType")
Rows = npt.NDArray[np.int64]  # (num_rows,) positions in the batch


class Outcome(NamedTuple):
    """What the end of a reply brought to one row."""

    row: int
    answers: Messages
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


class _BatchedEnv(VectorEnv[ObsType, ActType, npt.NDArray[Any]]):
    """Seeds, autoreset and infos; subclasses know observations and actions."""

    def __init__(self, envs: Iterable[TextEnv], autoreset_mode: AutoresetMode | str) -> None:
        self.envs = list(envs)
        if not self.envs:
            raise ValueError("a batched environment needs at least one environment")
        first = self.envs[0]
        for env in self.envs[1:]:
            if env.reward_model is not first.reward_model:
                raise ValueError("batched environments share one reward model; pass the same object to each")
            if (env.observation_space, env.action_space) != (first.observation_space, first.action_space):
                raise ValueError("batched environments have equal limits")
        self.num_envs = len(self.envs)
        self.reward_model = first.reward_model
        self.render_mode = first.render_mode
        self.metadata = {**first.metadata, "autoreset_mode": AutoresetMode(autoreset_mode)}
        self._done = np.zeros(self.num_envs, dtype=np.bool_)
        self._opened = False

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsType, dict[str, Any]]:
        """Begin new episodes.

        Args:
            seed: ``seed + i`` for row i; or one seed a row.
            options: given to each row; ``"reset_mask"``, a boolean array of shape ``(num_envs,)``, chooses the rows to reset.
        """
        options = dict(options or {})
        mask = np.asarray(options.pop("reset_mask", np.ones(self.num_envs, dtype=np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(f"reset_mask must be a boolean array of shape ({self.num_envs},) with a true entry")
        if not self._opened and not mask.all():
            raise gym.error.ResetNeeded("the first reset must include every row")
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, (int, np.integer)) else seed or [None] * self.num_envs
        if len(seeds) != self.num_envs:
            raise ValueError(f"{self.num_envs} rows need as many seeds; got {len(seeds)}")
        infos = [(row, self._open(row, seeds[row], options)) for row in np.flatnonzero(mask).tolist()]
        self._done[mask] = False
        self._opened = True
        return self._observe(), self._gather(infos)

    def step(
        self, actions: ActType
    ) -> tuple[ObsType, npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        """One action a row; rows whose episode ended are reset as the autoreset mode says."""
        if not self._opened:
            raise gym.error.ResetNeeded(f"{type(self).__name__}: call reset before step")
        mode = self.metadata["autoreset_mode"]
        if mode is AutoresetMode.DISABLED and self._done.any():
            raise gym.error.ResetNeeded(f"rows {np.flatnonzero(self._done).tolist()} have ended; reset them with options['reset_mask']")
        scores = np.zeros(self.num_envs)
        terminations = np.zeros(self.num_envs, dtype=np.bool_)
        truncations = np.zeros(self.num_envs, dtype=np.bool_)
        outcomes = self._write(actions, np.flatnonzero(~self._done), scores)
        ended = np.flatnonzero(self._done).tolist()  # in the step before: NEXT_STEP resets them now
        infos = [(row, self._open(row, None, {})) for row in ended]
        self._done[:] = False
        for row, _, reward, terminated, truncated, info in outcomes:
            scores[row] += reward
            terminations[row], truncations[row] = terminated, truncated
            if (terminated or truncated) and mode is AutoresetMode.SAME_STEP:
                info = {"final_obs": self._observe_row(row), "final_info": info, **self._open(row, None, {})}
            infos.append((row, info))
        if mode is not AutoresetMode.SAME_STEP:
            self._done = terminations | truncations
        return self._observe(), scores, terminations, truncations, self._gather(infos)

    def render(self) -> tuple[Any, ...] | None:
        """What each row renders."""
        return tuple(env.render() for env in self.envs) if self.render_mode == "ansi" else None

    def close_extras(self, **kwargs: Any) -> None:
        """Close every row."""
        for env in self.envs:
            env.close()

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of each row."""
        return tuple(int(env.np_random_seed or 0) for env in self.envs)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of each row's text environment."""
        return tuple(getattr(env, name) for env in self.envs)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of each row's text environment; a list or tuple gives one value a row."""
        values = values if isinstance(values, (list, tuple)) else [values] * self.num_envs
        if len(values) != self.num_envs:
            raise ValueError(f"{self.num_envs} rows need as many values; got {len(values)}")
        for env, value in zip(self.envs, values, strict=True):
            setattr(env, name, value)

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a method of each row's text environment, or read an attribute."""
        attributes = self.get_attr(name)
        return tuple(attribute(*args, **kwargs) if callable(attribute) else attribute for attribute in attributes)

    def _reply(self, replies: Sequence[tuple[int, str]]) -> list[Outcome]:
        """Let each world answer, then judge all replies in one call."""
        exchanges = [self.envs[row].advance(reply) for row, reply in replies]
        outcomes = []
        for (row, _), exchange, score in zip(replies, exchanges, rewards.score(self.reward_model, exchanges), strict=True):
            messages, reward, terminated, truncated, info = self.envs[row].settle(score)
            outcomes.append(Outcome(row, messages[len(exchange.messages) :], reward, terminated, truncated, info))
        return outcomes

    def _gather(self, infos: Sequence[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
        """The rows' infos as one, in Gymnasium's form, whose ``_add_info`` makes arrays for each value of each row."""
        gathered: dict[str, Any] = {}
        names = list(infos[0][1]) if infos else []
        if names and all(list(info) == names and {*map(type, info.values())} == {float} for _, info in infos):  # metrics and rewards
            rows = [row for row, _ in infos]
            columns, masks = np.zeros((len(names), self.num_envs)), np.zeros((len(names), self.num_envs), dtype=np.bool_)
            columns[:, rows] = np.array([list(info.values()) for _, info in infos]).T
            masks[:, rows] = True
            return dict(zip(_with_masks(tuple(names)), chain.from_iterable(zip(columns, masks, strict=True)), strict=True))
        nested: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        for row, info in infos:
            for key, value in info.items():
                kind, mask = object if key == "final_obs" else type(value), f"_{key}"
                if kind not in (float, dict, str, object):
                    self._add_info(gathered, {key: value}, row)
                    continue
                if mask not in gathered:
                    gathered[key] = np.zeros(self.num_envs) if kind is float else np.empty(self.num_envs, dtype=object)  # of None
                    gathered[mask] = np.zeros(self.num_envs, dtype=np.bool_)
                if kind is dict:
                    nested.setdefault(key, []).append((row, value))
                else:
                    gathered[key][row] = value
                gathered[mask][row] = True
        return gathered | {key: self._gather(rows) for key, rows in nested.items()}

    @abstractmethod
    def _open(self, row: int, seed: int | None, options: dict[str, Any]) -> dict[str, Any]:
        """Reset a row; its info."""

    @abstractmethod
    def _write(self, actions: Any, rows: Rows, scores: npt.NDArray[np.float64]) -> list[Outcome]:
        """Take the actions of ``rows``; the outcomes of those whose reply ended. What is paid beside their rewards goes into ``scores``."""

    @abstractmethod
    def _observe(self) -> ObsType:
        """A copy of all rows' observations."""

    @abstractmethod
    def _observe_row(self, row: int) -> Any:
        """A copy of one row's observation."""


@lru_cache(maxsize=256)
def _with_masks(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of values in an info, each followed by that of the mask of the rows that have it."""
    return tuple(key for name in names for key in (name, f"_{name}"))


class TextVectorEnv(_BatchedEnv[tuple[Messages, ...], Sequence[str]]):
    """Text environments side by side: observations and actions are tuples, one entry a row.

    Args:
        envs: environments that share one reward model and have equal limits.
        autoreset_mode: one of Gymnasium's.
    """

    def __init__(self, envs: Iterable[TextEnv], *, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP) -> None:
        super().__init__(envs, autoreset_mode)
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def _open(self, row: int, seed: int | None, options: dict[str, Any]) -> dict[str, Any]:
        return self.envs[row].reset(seed=seed, options=options)[1]

    def _write(self, actions: Sequence[str], rows: Rows, scores: npt.NDArray[np.float64]) -> list[Outcome]:
        if isinstance(actions, str) or len(actions) != self.num_envs:
            raise gym.error.InvalidAction(f"actions are a sequence of {self.num_envs} replies, one a row")
        return self._reply([(int(row), actions[row]) for row in rows])

    def _observe(self) -> tuple[Messages, ...]:
        return tuple(env.messages for env in self.envs)

    def _observe_row(self, row: int) -> Messages:
        return self.envs[row].messages


class TokenVectorEnv(_BatchedEnv[Observation, npt.NDArray[np.int64]]):
    """Token environments side by side; inside replies a step costs a few array operations for the whole batch.

    Observation: ``{"input_ids", "attention_mask"}``, int64 and int8 arrays of shape ``(num_envs, max_length)``. Action: int64 ids of
    shape ``(num_envs,)``. Otherwise as :class:`~lm_envs.tokens.TokenEnv`.

    Args:
        envs: text environments that share one reward model and have equal limits.
        tokenizer: as for ``TokenEnv``.
        max_length: length of the context in tokens.
        max_reply_tokens: tokens a reply may have.
        plain: write conversations as plain lines, not by the tokenizer's chat template.
        potential: as for ``TokenEnv``; called once a step for all rows whose replies go on.
        autoreset_mode: one of Gymnasium's.
    """

    def __init__(
        self,
        envs: Iterable[TextEnv],
        tokenizer: TokenizersBackend | str | Path | None = None,
        *,
        max_length: int = 1024,
        max_reply_tokens: int = 64,
        plain: bool = False,
        potential: str | RewardModel | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
    ) -> None:
        super().__init__(envs, autoreset_mode)
        self.tokenizer = load_tokenizer(tokenizer)
        self.chat = chat_format(self.tokenizer, plain, self.envs[0].tools)
        self.max_length = at_least("max_length", max_length, 2)
        self.max_reply_tokens = at_least("max_reply_tokens", max_reply_tokens, 1)
        self.single_observation_space = token_observations(self.chat, self.max_length)
        self.single_action_space = TokenSpace(self.chat.vocab_size, self.chat.forbidden_ids)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._reply_chars = self.envs[0].action_space.max_chars
        self._stops = np.zeros(self.chat.vocab_size, dtype=np.bool_)
        self._stops[list(self.chat.stop_ids)] = True
        self._forbidden = np.zeros(self.chat.vocab_size, dtype=np.bool_)
        self._forbidden[self.single_action_space.forbidden] = True
        self._ids = np.full((self.num_envs, self.max_length), self.chat.pad_id, dtype=np.int64)
        self._mask = np.zeros((self.num_envs, self.max_length), dtype=np.int8)
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)
        self._reply_starts = np.zeros(self.num_envs, dtype=np.int64)
        self._violations = np.zeros(self.num_envs, dtype=np.int64)
        self.potential = None if potential is None else rewards.resolve(potential)
        self._potentials = np.zeros(self.num_envs)

    def get_state(self) -> list[TokenState]:
        """Each row's state as plain data (JSON)."""
        return [
            TokenState(
                text=env.get_state(),
                ids=self._ids[row, : self._lengths[row]].tolist(),
                reply_start=int(self._reply_starts[row]),
                violations=int(self._violations[row]),
                over=bool(self._done[row]) or not self._opened,
            )
            for row, env in enumerate(self.envs)
        ]

    def set_state(self, state: Sequence[TokenState]) -> Observation:
        """Come back to a state of :meth:`get_state`; returns the observations there."""
        if len(state) != self.num_envs:
            raise ValueError(f"the state has {len(state)} rows, the environment {self.num_envs}")
        for row, (env, saved) in enumerate(zip(self.envs, state, strict=True)):
            if saved["text"] is not None:
                env.set_state(saved["text"])
            self._lengths[row] = self._reply_starts[row] = 0
            self._append(row, saved["ids"])
            self._reply_starts[row], self._violations[row] = saved["reply_start"], saved["violations"]
        self._done[:] = [saved["over"] for saved in state]
        self._opened = True
        self._raise_potentials(np.flatnonzero(~self._done))
        return self._observe()

    def _open(self, row: int, seed: int | None, options: dict[str, Any]) -> dict[str, Any]:
        messages, info = self.envs[row].reset(seed=seed, options=options)
        self._lengths[row] = self._violations[row] = 0
        self._potentials[row] = 0.0
        self._append(row, opening_ids(self.chat, messages, self.max_length))
        info["metrics"][VIOLATIONS] = 0.0
        return info

    def _append(self, row: int, ids: Sequence[int]) -> None:
        start = self._lengths[row]
        end = start + len(ids)
        self._ids[row, start:end] = ids
        self._ids[row, end:] = self.chat.pad_id
        self._mask[row, :end] = 1
        self._mask[row, end:] = 0
        self._lengths[row] = self._reply_starts[row] = end

    def _write(self, actions: npt.NDArray[np.int64], rows: Rows, scores: npt.NDArray[np.float64]) -> list[Outcome]:
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise gym.error.InvalidAction(
                f"actions are integer ids of shape ({self.num_envs},); got {actions.dtype} of shape {actions.shape}"
            )
        tokens = actions[rows]
        if tokens.size and not (0 <= tokens.min() and tokens.max() < self.chat.vocab_size):
            raise gym.error.InvalidAction(f"a token id lies in [0, {self.chat.vocab_size}); got {tokens.tolist()}")
        forbidden = self._forbidden[tokens]
        written = rows[~forbidden]
        self._ids[written, self._lengths[written]] = tokens[~forbidden]
        self._mask[written, self._lengths[written]] = 1
        self._lengths[written] += 1
        self._violations[rows[forbidden]] += 1
        stopped = self._stops[tokens]
        lengths = self._lengths[rows]
        ended = forbidden | stopped | (lengths - self._reply_starts[rows] >= self.max_reply_tokens) | (lengths >= self.max_length)
        if self.potential is not None:
            scores[rows] = -self._potentials[rows]
            self._raise_potentials(rows[~ended])
            scores[rows] += self._potentials[rows]
        if not ended.any():
            return []
        stops = {
            int(row): int(token) if stop else None for row, token, stop in zip(rows[ended], tokens[ended], stopped[ended], strict=True)
        }
        outcomes = self._reply([(row, self._reply_text(row, stop is not None)) for row, stop in stops.items()])
        return [self._answer(outcome, stops[outcome.row]) for outcome in outcomes]

    def _raise_potentials(self, rows: Rows) -> None:
        """Φ of the replies in progress in ``rows``; 0 in all others."""
        self._potentials[:] = 0
        rows = rows[self._lengths[rows] > self._reply_starts[rows]]
        if self.potential is not None and rows.size:
            exchanges = [self.envs[row].so_far(self._reply_text(row, False)) for row in rows.tolist()]
            self._potentials[rows] = [score.total for score in rewards.score(self.potential, exchanges)]

    def _reply_text(self, row: int, stopped: bool) -> str:
        reply = self._ids[row, self._reply_starts[row] : self._lengths[row] - stopped]
        return reply_text(self.chat, reply.tolist(), self._reply_chars)

    def _answer(self, outcome: Outcome, stop: int | None) -> Outcome:
        """Append what the world answered as ids, if the episode goes on and they fit."""
        row = outcome.row
        outcome.info["metrics"][VIOLATIONS] = float(self._violations[row])
        if outcome.terminated or outcome.truncated:
            return outcome
        following = self.chat.close(stop, outcome.answers, prompt=True)
        if self._lengths[row] + len(following) >= self.max_length:
            return outcome._replace(truncated=True)
        self._append(row, following)
        return outcome

    def _observe(self) -> Observation:
        return {"input_ids": self._ids.copy(), "attention_mask": self._mask.copy()}

    def _observe_row(self, row: int) -> Observation:
        return {"input_ids": self._ids[row].copy(), "attention_mask": self._mask[row].copy()}
