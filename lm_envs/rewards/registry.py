"""Reward models by name. Registering does no I/O; a name is looked up when an environment first asks for it."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from lm_envs.rewards.trained import is_trained, shared
from lm_envs.types import RewardModel

ENTRY_POINTS = "lm_envs.rewards"

_lock = threading.RLock()
_targets: dict[str, Any] = {}
_made: dict[tuple[str, str], RewardModel] = {}  # by name and arguments


def register(name: str, target: Any) -> None:
    """Give a reward model a name that ``gym.make(..., reward=name)`` takes.

    A package can do the same without being imported, by an entry point of the group ``lm_envs.rewards``.

    Args:
        name: the name.
        target: a class or a function that makes the reward model when called without arguments, or with those of
            ``gym.make(..., reward_kwargs=...)``, or the reward model itself, or the place of either as
            ``"package.module:attribute"``, which is imported on first use. The model is made once and shared by all environments
            that ask for the name with equal arguments.

    Raises:
        ValueError: when the name is empty or taken, or ``target`` is a string of another form.
    """
    if not name:
        raise ValueError("a reward model's name must not be empty")
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        if not module or not attribute:
            raise ValueError(f"reward model {name!r}: expected 'package.module:attribute', got {target!r}")
    elif not callable(target):
        raise ValueError(f"reward model {name!r}: expected a callable or 'package.module:attribute', got a {type(target).__name__}")
    with _lock:
        if name in _targets:
            raise ValueError(f"a reward model {name!r} is registered already")
        _targets[name] = target


def names() -> list[str]:
    """All registered names, those of entry points included, sorted."""
    return sorted({*_targets, *_entry_points()})


def resolve(spec: str | RewardModel, arguments: Mapping[str, Any] | None = None) -> RewardModel:
    """A reward model from its registered name, or from the folder of a trained one; a reward model as it is.

    Args:
        spec: the name or the reward model.
        arguments: what a registered class or function is called with.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
        TypeError: when ``spec`` is neither a name nor callable, a registered target makes something else, or the arguments don't suit it.
    """
    given: Any = spec
    if not isinstance(given, str):
        if not callable(given) or inspect.isclass(given):
            kind = f"the class {given.__name__}; make an instance of it" if inspect.isclass(given) else f"a {type(given).__name__}"
            raise TypeError(f"reward must be a registered name or a callable from exchanges to scores, got {kind}")
        if arguments:
            raise TypeError("reward_kwargs are for a reward model's registered name; one that is made already takes none")
        return given
    try:
        key = given, json.dumps(dict(arguments or {}), sort_keys=True)
    except (TypeError, ValueError):
        return _make(given, arguments or {})  # what can't be written down can't be compared either
    with _lock:
        if not arguments and given not in _targets and is_trained(given) and given not in _entry_points():
            return shared(given)  # not kept by its name: another may be saved there
        if key not in _made:
            _made[key] = _make(given, arguments or {})
        return _made[key]


def _make(name: str, arguments: Mapping[str, Any]) -> RewardModel:
    target = _targets.get(name)
    if target is None:
        found = _entry_points().get(name)
        if found is None:
            raise ValueError(f"unknown reward model {name!r}; known: {', '.join(names())}")
        target = found.load()
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        target = getattr(import_module(module), attribute)
    if arguments or inspect.isclass(target):
        try:
            inspect.signature(target).bind(**arguments)
        except TypeError as error:
            taken = ", ".join(inspect.signature(target).parameters) or "none"
            raise TypeError(f"reward model {name!r}: {error}; reward_kwargs it takes: {taken}") from None
        model = target(**arguments)
    else:
        model = target() if _called_without_arguments(target) else target
    if not callable(model):
        raise TypeError(f"reward model {name!r}: expected a callable from exchanges to scores, got a {type(model).__name__}")
    return model


def _called_without_arguments(target: Any) -> bool:
    try:
        inspect.signature(target).bind()
    except (TypeError, ValueError):
        return False
    return True


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}
