"""Checkpoints: a Hugging Face folder that is also all a training run needs to go on exactly where it was.

    run/checkpoint/
        config.json, model.safetensors, tokenizer files      AutoModelForCausalLM.from_pretrained loads these; LoRA weights are merged in
        value_head.safetensors
        adapter/                                             with LoRA: the adapter alone, for peft
        training/                                            optimizer, generators, environments, counters; with LoRA the unmerged weights;
                                                             with a KL penalty its coefficient, and the reference if nothing else keeps it

Everything is JSON or safetensors, nothing is pickled. A checkpoint is written beside its place and renamed into it, so that a full disk or
a kill leaves the one before it.
"""

from __future__ import annotations

import copy
import inspect
import json
import os
import random
import secrets
import shutil
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gymnasium as gym
import numpy as np
import stable_baselines3
import torch
from gymnasium.vector import VectorEnv
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor, VecNormalize
from transformers.utils import logging as transformers_logging

from agents.algorithms import TRPO, as_vec_env, monitored
from agents.buffer import EpisodeRolloutBuffer
from agents.kl import ReferenceKL
from agents.models import ModelSpec, causal_lm
from agents.policy import CausalLMPolicy
from agents.vec_env import SB3VecEnv
from lm_envs.assets import AssetError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FORMAT = 1
VALUE_HEAD, TRAINING, ADAPTER = "value_head.safetensors", "training", "adapter"
_STATE, _OPTIMIZER, _TENSORS, _WEIGHTS = "state.json", "optimizer.safetensors", "tensors.safetensors", "model.safetensors"
_KL = "kl.json"

# What a checkpoint may name. It is data from a file, so it never chooses what is imported.
_CLASSES: dict[str, type] = {
    "agents.TRPO": TRPO,
    "sb3_contrib.TRPO": TRPO.__bases__[0],
    "stable_baselines3.A2C": stable_baselines3.A2C,
    "stable_baselines3.PPO": stable_baselines3.PPO,
}
_BUFFERS: dict[str, type] = {"DictRolloutBuffer": DictRolloutBuffer, "EpisodeRolloutBuffer": EpisodeRolloutBuffer}
_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "RMSprop": torch.optim.RMSprop,
    "RMSpropTFLike": RMSpropTFLike,
    "SGD": torch.optim.SGD,
}
_COUNTERS = ("num_timesteps", "_total_timesteps", "_episode_num", "_n_updates", "_current_progress_remaining")


class CheckpointError(Exception):
    """A checkpoint that can't be written or read; the message is one line."""


def save(
    algo: OnPolicyAlgorithm, folder: str | Path, *, tokenizer: PreTrainedTokenizerBase | None = None, kl: ReferenceKL | None = None
) -> Path:
    """Write a checkpoint of an algorithm with a :class:`~agents.policy.CausalLMPolicy`, in place of the one at ``folder``.

    Call it between iterations (:class:`Checkpoints` does); a run resumed from a checkpoint taken inside a rollout loses that rollout.

    Args:
        algo: the algorithm.
        folder: a new or empty folder, or that of an earlier checkpoint.
        tokenizer: by default the environment's.
        kl: the run's KL penalty, for :func:`load_kl` (:class:`Checkpoints` sees it by itself).

    Raises:
        CheckpointError: when it cannot be written, or ``folder`` holds something else; the checkpoint before is intact.
    """
    folder = Path(folder).absolute()
    if folder.exists() and not _is_checkpoint(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise CheckpointError(f"{folder} exists and is not a checkpoint; it is left as it is")
    new = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.new"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for remains in folder.parent.glob(f".{folder.name}.*.new"):  # of saves that were killed
            shutil.rmtree(remains, ignore_errors=True)
        new.mkdir()
        with _no_bars():
            _write(algo, new, tokenizer)
            if kl is not None:
                _write_kl(kl, new / TRAINING, find(folder))
        _sync(new)
        _put_in_place(new, folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(new, ignore_errors=True)
        kept = " (the checkpoint before it is intact)" if find(folder) else ""
        raise CheckpointError(f"could not save to {folder}: {_one_line(error)}{kept}") from error
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return folder


def find(folder: str | Path) -> Path | None:
    """The checkpoint at ``folder``, or the one that a killed ``save`` had just moved aside; ``None`` where there is neither."""
    folder = Path(folder).absolute()
    return next((place for place in (folder, _aside(folder)) if _is_checkpoint(place)), None)


def load(
    folder: str | Path,
    env: str | VectorEnv[Any, Any, Any] | VecEnv | None = None,
    *,
    algorithm: type[OnPolicyAlgorithm] | None = None,
    **overrides: Any,
) -> OnPolicyAlgorithm:
    """An algorithm as it was when saved; the folder or hub its model first came from is not needed.

    To go on with training::

        algo = load(folder)
        algo.learn(total - algo.num_timesteps, reset_num_timesteps=False)

    With equal versions, hardware and number of threads this gives the parameters of an uninterrupted run, bit for bit. The callback of a
    run with a KL penalty comes from :func:`load_kl`.

    Args:
        folder: the checkpoint.
        env: an environment like the one of the run; by default one is made from the id and the arguments that were saved.
        algorithm: the class, where it is one of yours.
        overrides: arguments of the algorithm to change, such as ``device``; with a schedule of your own, that schedule again.

    Raises:
        CheckpointError: when there is no checkpoint, it can't be read, or ``env`` is not like the one of the run.
    """
    place, state = _read(folder)
    cls = algorithm or _known(_CLASSES, state["algorithm"], "algorithm", "pass algorithm=")
    venv = monitored(as_vec_env(env if env is not None else _make_env(place, state)))
    if venv.num_envs != state["num_envs"]:
        raise CheckpointError(f"the run had {state['num_envs']} environments side by side; env has {venv.num_envs}")
    arguments = {name: _schedule(name, value, overrides) for name, value in state["arguments"].items()}
    arguments["rollout_buffer_class"] = _known(_BUFFERS, state["rollout_buffer_class"], "rollout buffer", "pass rollout_buffer_class=")
    algo = cls(CausalLMPolicy, venv, policy_kwargs=_policy_arguments(place, state), **{**arguments, **overrides})
    algo.seed = state["seed"]
    _restore(algo, place, state)
    return algo


def load_policy(folder: str | Path, observation_space: Any, action_space: Any, **overrides: Any) -> CausalLMPolicy:
    """The policy of a checkpoint alone, on the CPU, for evaluation; ``overrides`` are arguments of the policy, such as ``temperature``."""
    place, state = _read(folder)
    policy = CausalLMPolicy(observation_space, action_space, lambda _: 0.0, **{**_policy_arguments(place, state), **overrides})
    _restore_policy(policy, place, state)
    return policy


def load_kl(folder: str | Path) -> ReferenceKL:
    """The KL penalty of a run as it was when saved: its coefficient, and the reference that the run began with.

    To go on with training::

        algo = load(folder)
        algo.learn(total - algo.num_timesteps, callback=load_kl(folder), reset_num_timesteps=False)

    Raises:
        CheckpointError: when there is no checkpoint or no KL penalty in it, or the reference cannot be had again: the asset or the hub's
            model that it was is gone, or another one now.
    """
    place, _ = _read(folder)
    training = place / TRAINING
    if not (training / _KL).is_file():
        raise CheckpointError(f"the checkpoint at {place} is of a run without a KL penalty")
    try:
        state = json.loads((training / _KL).read_text(encoding="utf-8"))
        return ReferenceKL.resumed(state["settings"], state["recipe"], _reference_weights(training, state["recipe"]))
    except (OSError, ValueError, RuntimeError, SafetensorError, AssetError) as error:  # torch's, for weights of other shapes
        raise CheckpointError(f"cannot bring back the KL penalty's reference: {_one_line(error)}") from error


class Checkpoints(BaseCallback):
    """Saves between iterations. A save that fails is a warning, since training can go on; at the end of training it is an error.

    Args:
        folder: where the latest checkpoint stands.
        every: iterations between checkpoints.
        tokenizer: by default the environment's.
    """

    def __init__(self, folder: str | Path, *, every: int = 10, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.every = every
        self.tokenizer = tokenizer
        self._iterations = 0

    def _on_rollout_start(self) -> None:
        if self._iterations and self._iterations % self.every == 0:
            try:
                self._save()
            except CheckpointError as error:
                warnings.warn(str(error), stacklevel=2)
        self._iterations += 1

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._save()

    def _save(self) -> None:
        penalties = [callback for callback in _flat(self.locals["callback"]) if isinstance(callback, ReferenceKL)]
        if len(penalties) > 1:
            raise ValueError("a checkpoint holds one ReferenceKL; this run has several")
        save(cast(OnPolicyAlgorithm, self.model), self.folder, tokenizer=self.tokenizer, kl=penalties[0] if penalties else None)


def _flat(callback: BaseCallback) -> list[BaseCallback]:
    return [inner for child in callback.callbacks for inner in _flat(child)] if isinstance(callback, CallbackList) else [callback]


# Writing.


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without the bars that transformers draws for files, which would cut through that of the run."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _write(algo: OnPolicyAlgorithm, folder: Path, tokenizer: PreTrainedTokenizerBase | None) -> None:
    policy, venv = cast(CausalLMPolicy, algo.policy), cast(VecEnv, algo.env)
    if not isinstance(policy, CausalLMPolicy):
        raise TypeError(f"checkpoints are for CausalLMPolicy, not {type(policy).__name__}; for others use {type(algo).__name__}.save")
    training = folder / TRAINING
    training.mkdir()
    if policy.spec.lora is None:
        causal_lm(policy.model).save_pretrained(folder)
    else:
        # Merging rounds, so it is done on a copy, and what is trained is kept unmerged.
        copy.deepcopy(policy.model).merge_and_unload().save_pretrained(folder)  # type: ignore[operator]
        policy.model.save_pretrained(folder / ADAPTER)  # type: ignore[operator]
        save_model(policy.model, str(training / _WEIGHTS))
    if tokenizer is None and venv.has_attr("tokenizer"):
        tokenizer = venv.get_attr("tokenizer")[0]
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    save_file({name: tensor.contiguous() for name, tensor in policy.value_head.state_dict().items()}, folder / VALUE_HEAD)
    tensors, optimizer = _optimizer_state(policy.optimizer)
    save_file(tensors, training / _OPTIMIZER)
    save_file({**_generator_tensors(), **_last_step(algo)}, training / _TENSORS)
    state = {
        "format": FORMAT,
        "algorithm": next((name for name, cls in _CLASSES.items() if cls is type(algo)), type(algo).__qualname__),
        "arguments": _arguments(algo),
        "rollout_buffer_class": type(algo.rollout_buffer).__name__,
        "policy": _policy_state(policy),
        "seed": algo.seed,
        "counters": {name: getattr(algo, name) for name in _COUNTERS if hasattr(algo, name)},
        "episodes": [{key: float(value) for key, value in episode.items()} for episode in algo.ep_info_buffer or ()],
        "optimizer": optimizer,
        "generators": {"python": random.getstate(), "numpy": _plain(np.random.get_state())},
        "num_envs": venv.num_envs,
        "env": _env_recipe(venv),
        "env_state": _env_state(venv),
        "wrappers": _wrapper_state(venv),
    }
    (training / _STATE).write_text(json.dumps(state), encoding="utf-8")


def _write_kl(kl: ReferenceKL, training: Path, before: Path | None) -> None:
    recipe = _plain(kl.recipe)
    (training / _KL).write_text(json.dumps({"settings": kl.settings, "recipe": recipe}), encoding="utf-8")
    if recipe is not None and recipe["source"] is None:
        weights = _reference_weights(training, recipe)
        if before is not None:
            with suppress(OSError):  # it never changes, so it takes its room once, where the file system has hard links
                os.link(before / TRAINING / weights.name, weights)
                return
        save_model(cast(CausalLMPolicy, kl.reference).model, str(weights))


def _reference_weights(training: Path, recipe: Mapping[str, Any] | None) -> Path:
    return training / f"reference-{recipe['fingerprint'] if recipe else ''}.safetensors"


def _arguments(algo: OnPolicyAlgorithm) -> dict[str, Any]:
    """The constructor's arguments that can be read off the algorithm, as plain data."""
    elsewhere = {
        "policy",
        "env",
        "policy_kwargs",
        "rollout_buffer_class",
        "seed",
        "device",
        "tensorboard_log",
        "verbose",
        "_init_setup_model",
    }
    values: dict[str, Any] = {}
    for name in inspect.signature(type(algo)).parameters:
        if name in elsewhere or not hasattr(algo, name):
            continue
        value = getattr(algo, name)
        schedule = value.value_schedule if isinstance(value, FloatSchedule) else value
        if isinstance(schedule, ConstantSchedule):
            value = schedule.val
        elif isinstance(schedule, LinearSchedule):
            value = {"linear": [schedule.start, schedule.end, schedule.end_fraction]}
        elif callable(schedule):
            value = {"yours": repr(schedule)}
        values[name] = _plain(value)
    if isinstance(algo, stable_baselines3.A2C):
        values["use_rms_prop"] = False  # the optimizer is among the policy's arguments
    return values


def _policy_state(policy: CausalLMPolicy) -> dict[str, Any]:
    spec = policy.spec
    arguments = policy._get_constructor_parameters()
    for name in ("observation_space", "action_space", "lr_schedule", "model"):
        del arguments[name]
    arguments["optimizer_class"] = arguments["optimizer_class"].__name__
    return {
        "arguments": _plain(arguments),
        "spec": _plain({"dtype": spec.dtype, "attention": spec.attention, "lora": spec.lora, "config": spec.config}),
    }


def _optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors by ``"parameter.name"``, and the rest as plain data."""
    state = optimizer.state_dict()
    tensors, numbers = {}, {}
    for parameter, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{parameter}.{name}"] = value.detach().contiguous()
            else:
                numbers[f"{parameter}.{name}"] = value
    return tensors, {"numbers": numbers, "groups": _plain(state["param_groups"])}


def _generator_tensors() -> dict[str, torch.Tensor]:
    states = {"torch.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"torch.cuda.{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def _last_step(algo: OnPolicyAlgorithm) -> dict[str, torch.Tensor]:
    """The observation that the next rollout begins with."""
    if algo._last_obs is None:
        return {}
    observation = cast("dict[str, np.ndarray[Any, Any]]", algo._last_obs)
    tensors = {f"observation.{key}": torch.from_numpy(np.ascontiguousarray(value)) for key, value in observation.items()}
    return {**tensors, "episode_starts": torch.from_numpy(np.asarray(algo._last_episode_starts, dtype=np.bool_).copy())}


def _env_recipe(venv: VecEnv) -> dict[str, Any] | None:
    """Id and arguments, where the environment was made from these and they are plain data."""
    base = venv.unwrapped
    spec = base.env.unwrapped.spec if isinstance(base, SB3VecEnv) else None
    if spec is None:
        return None
    kwargs = {key: value for key, value in spec.kwargs.items() if key not in ("num_envs", "vectorization_mode", "text_env")}
    try:
        json.dumps(kwargs)
    except TypeError:
        return None
    return {"id": spec.id, "kwargs": kwargs}


def _env_state(venv: VecEnv) -> Any:
    """The environments' states as plain data, or ``None`` where they can't tell."""
    env = _stateful(venv)
    if env is None:
        return None
    return _plain(env.env_method("get_state") if isinstance(env, VecEnv) else env.get_state())


def _stateful(venv: VecEnv) -> Any:
    """What has ``get_state`` and ``set_state``: the batched environment, or the Stable-Baselines3 one for its rows; else ``None``."""
    base = venv.unwrapped
    if isinstance(base, SB3VecEnv):
        env = base.env.unwrapped
        if hasattr(env, "get_state"):
            return env
        if not isinstance(env, gym.vector.SyncVectorEnv):  # rows may be something else than the environments that are seen
            return None
    return base if base.has_attr("get_state") else None


def _layers(venv: VecEnv) -> list[VecEnv]:
    layers = [venv]
    while isinstance(layers[-1], VecEnvWrapper):
        layers.append(layers[-1].venv)
    return layers


def _wrapper_state(venv: VecEnv) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for layer in _layers(venv):
        if isinstance(layer, VecMonitor):
            state["monitor"] = {"returns": layer.episode_returns.tolist(), "lengths": layer.episode_lengths.tolist()}
        elif isinstance(layer, VecNormalize):
            if layer.norm_obs:
                raise TypeError("observations are token ids: VecNormalize needs norm_obs=False")
            scale = layer.ret_rms
            state["normalize"] = {
                "mean": float(scale.mean),
                "var": float(scale.var),
                "count": float(scale.count),
                "returns": layer.returns.tolist(),
            }
    return state


def _sync(folder: Path) -> None:
    """Have everything under ``folder`` on the disk."""
    for path in [*folder.rglob("*"), folder]:
        _sync_one(path)


def _sync_one(path: Path) -> None:
    windows = os.name == "nt"
    if windows and path.is_dir():
        return  # Windows gives no handle on a folder
    handle = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put_in_place(new: Path, folder: Path) -> None:
    """Swap folders so that at each moment ``folder`` or the one moved aside is a whole checkpoint."""
    aside = _aside(folder)
    if _is_checkpoint(folder):
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(folder, aside)
    elif folder.exists():
        folder.rmdir()
    try:
        os.rename(new, folder)
    except OSError:
        if not folder.exists() and aside.exists():
            os.rename(aside, folder)
        raise
    with suppress(OSError):  # then the one moved aside stays until the next save: nobody knows whether the renaming will last
        _sync_one(folder.parent)
        shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.previous"


def _is_checkpoint(folder: Path) -> bool:
    return (folder / TRAINING / _STATE).is_file()


def _plain(value: Any) -> Any:
    """Plain data that survives JSON: tuples, arrays and NumPy scalars become lists and numbers."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# Reading.


def _read(folder: str | Path) -> tuple[Path, dict[str, Any]]:
    place = find(folder)
    if place is None:
        raise CheckpointError(f"no checkpoint at {folder}")
    try:
        state = json.loads((place / TRAINING / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read the checkpoint at {place}: {_one_line(error)}") from error
    if state.get("format") != FORMAT:
        raise CheckpointError(f"the checkpoint at {place} has format {state.get('format')!r}; this version reads {FORMAT}")
    return place, cast("dict[str, Any]", state)


def _known(table: Mapping[str, Any], name: str, what: str, remedy: str) -> Any:
    if name not in table:
        raise CheckpointError(f"the checkpoint's {what} is {name!r}, which is none of {', '.join(table)}: {remedy} with the class")
    return table[name]


def _schedule(name: str, value: Any, overrides: Mapping[str, Any]) -> Any:
    if isinstance(value, dict) and "linear" in value:
        return LinearSchedule(*value["linear"])
    if isinstance(value, dict) and "yours" in value and name not in overrides:
        raise CheckpointError(f"{name} was a function of yours, {value['yours']}, which a checkpoint can't hold: pass it to load again")
    return value


def _make_env(place: Path, state: Mapping[str, Any]) -> VectorEnv[Any, Any, Any]:
    recipe = state["env"]
    if recipe is None:
        raise CheckpointError("the run's environment was not made from an id and plain arguments: pass env")
    kwargs = dict(recipe["kwargs"])
    if "tokenizer" in kwargs:
        kwargs["tokenizer"] = str(place)  # the same one; where it first came from may be gone
    return gym.make_vec(recipe["id"], num_envs=state["num_envs"], **kwargs)


def _policy_arguments(place: Path, state: Mapping[str, Any]) -> dict[str, Any]:
    arguments = dict(state["policy"]["arguments"])
    arguments["optimizer_class"] = _known(_OPTIMIZERS, arguments["optimizer_class"], "optimizer", "pass policy_kwargs=")
    spec = state["policy"]["spec"]
    model = ModelSpec(
        spec["config"], spec["dtype"], spec["attention"], spec["lora"], source=None if spec["lora"] is not None else str(place)
    )
    return {**arguments, "model": model}


def _restore_policy(policy: CausalLMPolicy, place: Path, state: Mapping[str, Any]) -> None:
    if state["policy"]["spec"]["lora"] is not None:
        load_model(policy.model, str(place / TRAINING / _WEIGHTS))
    policy.value_head.load_state_dict(load_file(place / VALUE_HEAD))
    policy.forget()


def _restore(algo: OnPolicyAlgorithm, place: Path, state: Mapping[str, Any]) -> None:
    policy, venv = cast(CausalLMPolicy, algo.policy), cast(VecEnv, algo.env)
    _restore_policy(policy, place, state)
    _restore_optimizer(policy.optimizer, place, state["optimizer"])
    for name, value in state["counters"].items():
        setattr(algo, name, value)
    algo.ep_info_buffer = deque(state["episodes"], maxlen=algo._stats_window_size)
    algo.ep_success_buffer = deque(maxlen=algo._stats_window_size)

    tensors = load_file(place / TRAINING / _TENSORS)
    observation = {key.removeprefix("observation."): tensor.numpy() for key, tensor in tensors.items() if key.startswith("observation.")}
    if state["env_state"] is None:
        if observation:
            warnings.warn("the environment cannot be brought back to where it was; training goes on with new episodes", stacklevel=3)
    elif observation:
        env = _stateful(venv)
        if isinstance(env, VecEnv):
            for row, row_state in enumerate(state["env_state"]):
                env.env_method("set_state", row_state, indices=[row])
        elif env is not None:
            env.set_state(state["env_state"])
        else:
            raise CheckpointError("the run's environment could be brought back to where it was; env has no set_state")
        _restore_wrappers(venv, state["wrappers"])
        algo._last_obs = observation
        algo._last_episode_starts = tensors["episode_starts"].numpy()

    version, internal, gauss = state["generators"]["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["generators"]["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(tensors["torch.cpu"])
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            if (generator := tensors.get(f"torch.cuda.{i}")) is not None:
                torch.cuda.set_rng_state(generator, i)


def _restore_optimizer(optimizer: torch.optim.Optimizer, place: Path, rest: Mapping[str, Any]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**load_file(place / TRAINING / _OPTIMIZER), **rest["numbers"]}.items():
        parameter, name = key.split(".", 1)
        state.setdefault(int(parameter), {})[name] = value
    groups = [{**group, **({"betas": tuple(group["betas"])} if "betas" in group else {})} for group in rest["groups"]]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _restore_wrappers(venv: VecEnv, state: Mapping[str, Any]) -> None:
    for layer in _layers(venv):
        if isinstance(layer, VecMonitor) and "monitor" in state:
            layer.episode_returns = np.array(state["monitor"]["returns"], dtype=np.float32)
            layer.episode_lengths = np.array(state["monitor"]["lengths"], dtype=np.int32)
        elif isinstance(layer, VecNormalize) and "normalize" in state:
            saved = state["normalize"]
            layer.ret_rms.mean, layer.ret_rms.var, layer.ret_rms.count = np.float64(saved["mean"]), np.float64(saved["var"]), saved["count"]
            layer.returns = np.array(saved["returns"])
