"""Small tools that the checks share."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

Make = Callable[..., Any]  # makes a new environment, with the keyword arguments given


def expect(condition: Any, problem: str) -> None:
    """Raise an ``AssertionError`` that says what was expected, unless ``condition`` holds."""
    if not condition:
        raise AssertionError(problem)


def expect_equal(first: Any, second: Any, what: str) -> None:
    """Raise an ``AssertionError`` unless two nested structures, arrays included, are equal."""
    try:
        np.testing.assert_equal(first, second)
    except AssertionError as error:
        raise AssertionError(f"{what}: {_short(str(error))}") from error


def expect_raises(
    errors: type[Exception] | tuple[type[Exception], ...], mentions: tuple[str, ...], action: Callable[[], Any], what: str
) -> None:
    """Raise an ``AssertionError`` unless ``action`` raises one of ``errors`` with a message that has all of ``mentions``."""
    kinds = errors if isinstance(errors, tuple) else (errors,)
    names = " or ".join(kind.__name__ for kind in kinds)
    try:
        action()
    except kinds as error:
        missing = [mention for mention in mentions if mention not in str(error)]
        expect(
            not missing,
            f"{what}: expected the {type(error).__name__} to name {', '.join(map(repr, missing))}, it says: {_short(str(error))}",
        )
        return
    except Exception as error:
        raise AssertionError(f"{what}: expected {names}, got {type(error).__name__}: {_short(str(error))}") from error
    raise AssertionError(f"{what}: expected {names}, nothing was raised")


def through_json(value: Any) -> Any:
    """``value`` as JSON and back."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"expected get_state to return plain data, JSON can't hold it: {error}") from error


def from_specs(env: gym.Env[Any, Any]) -> Iterator[Any]:
    """Environments made anew from ``env``'s spec, where it has one, and from its JSON form, where JSON can hold its arguments."""
    if env.spec is None:
        return
    yield gym.make(copy.deepcopy(env.spec), disable_env_checker=True).unwrapped
    try:
        json.dumps(env.spec.kwargs)
    except TypeError:
        return
    yield gym.make(EnvSpec.from_json(env.spec.to_json()), disable_env_checker=True).unwrapped


def check_with_gymnasium(env: gym.Env[Any, Any]) -> None:
    """Run Gymnasium's own checker; its warnings count as failures."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=True, skip_close_check=True)
    problems = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    expect(not problems, f"expected no warning of gymnasium's checker, got: {'; '.join(problems)}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 400 else text[:400] + "…"
