"""`SB3VecEnv`: a Gymnasium vector environment as Stable-Baselines3 wants it.

Gymnasium gives one info dictionary of arrays with masks, a final observation and info apart; Stable-Baselines3 wants one dictionary a row,
with the final observation inside. Episodes that end are begun anew in the same step, which is Gymnasium's SAME_STEP mode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn


class SB3VecEnv(VecEnv):
    """A Gymnasium ``VectorEnv`` behind Stable-Baselines3's interface; it gives what ``DummyVecEnv`` gives of single environments.

    Each row's info has ``"TimeLimit.truncated"`` and, when its episode ended, ``"terminal_observation"``; infos of the new episode are in
    :attr:`reset_infos`. Rewards are float32.

    Attributes and methods of rows (``get_attr``, ``set_attr``, ``env_method``, ``env_is_wrapped``) are those of
    ``env.unwrapped.envs``. Where rows live in other processes, only what Gymnasium can do for all rows at once is possible.

    Args:
        env: a vector environment in SAME_STEP mode.

    Raises:
        ValueError: for another autoreset mode.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.SAME_STEP.value):
            raise ValueError(
                f"Stable-Baselines3 expects episodes to begin anew in the step that ended them; {env} has autoreset mode "
                f"{getattr(mode, 'value', mode)!r}: make it with autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP"
            )
        self.env = env
        self._rows: Sequence[gym.Env[Any, Any]] | None = getattr(env.unwrapped, "envs", None)
        self._shared_buffer = getattr(env.unwrapped, "copy", True) is False
        self._actions: npt.NDArray[Any] | None = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> VecEnvObs:
        """Begin new episodes with the seeds and options given before, which are used once."""
        if any(options != self._options[0] for options in self._options[1:]):
            raise ValueError("a Gymnasium vector environment takes one options dictionary for all rows")
        seeds = None if all(seed is None for seed in self._seeds) else list(self._seeds)
        observations, infos = self.env.reset(seed=seeds, options=self._options[0] or None)  # type: ignore[arg-type]
        self.reset_infos = [_row(infos, row) for row in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return self._own(observations)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keep the actions for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """One step of all rows: observations, rewards (float32), dones, and a list of infos, one a row."""
        observations, rewards, terminations, truncations, infos = self.env.step(self._actions)
        dones = terminations | truncations
        finals, final_infos = infos.pop("final_obs", None), infos.pop("final_info", {})
        infos.pop("_final_obs", None)
        infos.pop("_final_info", None)
        rows = []
        for row in range(self.num_envs):
            info = _row(infos, row) if infos else {}
            if dones[row]:
                self.reset_infos[row] = info
                info = _row(final_infos, row)
                info["terminal_observation"] = finals[row]
            info["TimeLimit.truncated"] = bool(truncations[row] and not terminations[row])
            rows.append(info)
        return self._own(observations), np.asarray(rewards, dtype=np.float32), np.array(dones, dtype=bool), rows

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of each row; one that rows lack and the vector environment has is shared by all."""
        chosen = list(self._get_indices(indices))
        if self._rows is None and hasattr(self.env.unwrapped, "get_attr"):
            values = self.env.unwrapped.get_attr(attr_name)
            return [values[row] for row in chosen]
        return [self._attribute(row, attr_name) for row in chosen]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of each row to the same value, which may be a list."""
        if self._rows is not None:
            for row in self._get_indices(indices):
                self._rows[row].set_wrapper_attr(attr_name, value)
            return
        self._all_rows(indices, "set_attr")
        self.env.unwrapped.set_attr(attr_name, [value] * self.num_envs)  # type: ignore[attr-defined]

    def env_method(self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any) -> list[Any]:
        """Call a method of each row."""
        if self._rows is not None:
            return [self._attribute(row, method_name)(*method_args, **method_kwargs) for row in self._get_indices(indices)]
        self._all_rows(indices, "call")
        return list(self.env.unwrapped.call(method_name, *method_args, **method_kwargs))  # type: ignore[attr-defined]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None) -> list[bool]:
        """Whether each row is wrapped so; rows in other processes count as not wrapped."""
        return [self._rows is not None and is_wrapped(self._rows[row], wrapper_class) for row in self._get_indices(indices)]

    def get_images(self) -> list[npt.NDArray[np.uint8] | None]:
        """A picture of each row, with ``render_mode="rgb_array"``."""
        return list(self.env.render() or [None] * self.num_envs)  # type: ignore[arg-type]

    def render(self, mode: str | None = None) -> Any:
        """A tuple of transcripts with ``render_mode="ansi"``; otherwise as Stable-Baselines3 does it."""
        if self.render_mode == "ansi" and mode in (None, "ansi"):
            return self.env.render()
        return super().render(mode)

    def _attribute(self, row: int, name: str) -> Any:
        if self._rows is not None:
            env = self._rows[row]
            try:
                return env.get_wrapper_attr(name)
            except AttributeError:
                if not hasattr(self.env.unwrapped, name):
                    raise
        return getattr(self.env.unwrapped, name)

    def _all_rows(self, indices: VecEnvIndices, needed: str) -> None:
        kind = type(self.env.unwrapped).__name__
        if not hasattr(self.env.unwrapped, needed):
            raise AttributeError(f"{kind} keeps its rows to itself: it has neither 'envs' nor {needed!r}")
        if list(self._get_indices(indices)) != list(range(self.num_envs)):
            raise NotImplementedError(f"{kind} can only address all rows at once; leave indices out")

    def _own(self, observations: VecEnvObs) -> VecEnvObs:
        """A copy, where the environment writes the next observations over these."""
        if not self._shared_buffer:
            return observations
        if isinstance(observations, dict):
            return {key: value.copy() for key, value in observations.items()}
        return observations.copy()  # type: ignore[union-attr]


def _row(infos: Mapping[str, Any], row: int) -> dict[str, Any]:
    """One row of Gymnasium's infos: ``{"x": (num_envs,) values, "_x": (num_envs,) booleans}``, nested dictionaries likewise."""
    info: dict[str, Any] = {}
    for key, values in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue
        given = infos.get(f"_{key}")
        if given is not None and not given[row]:
            continue
        value = _row(values, row) if isinstance(values, Mapping) else values[row]
        info[key] = value.item() if isinstance(value, np.generic) else value
    return info
