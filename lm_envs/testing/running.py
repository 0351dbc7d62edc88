"""Which checks apply to an environment, and what came of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium.vector import VectorEnv

from lm_envs.core import TextEnv
from lm_envs.testing import text, tokens, vector
from lm_envs.testing.expecting import Make
from lm_envs.tokens import TokenEnv
from lm_envs.validation import text_env
from lm_envs.vector import TextVectorEnv, TokenVectorEnv


class EnvCheckError(AssertionError):
    """An environment failed checks; the message lists them and what each expected."""


class Finding(NamedTuple):
    """What came of one check.

    Attributes:
        name: the check.
        expects: what holds when it passes.
        problem: what was expected and not found; ``None`` when it passed.
    """

    name: str
    expects: str
    problem: str | None


def check_text_env(env: str | Make) -> None:
    """Run the checks of a text environment, single.

    Args:
        env: an id, or a :class:`~lm_envs.core.TextEnv` class or another function that makes one and takes its keyword arguments.

    Raises:
        EnvCheckError: when a check fails.
        TypeError: when it makes something else.
    """
    _raise(_text_findings(_maker(env, TextEnv)))


def check_token_env(env: str | Make) -> None:
    """Run the checks of a token environment, single; otherwise as :func:`check_text_env`, for a :class:`~lm_envs.tokens.TokenEnv`."""
    _raise(_token_findings(_maker(env, TokenEnv)))


def check_vector(env: str | Make, make_vec: Callable[..., VectorEnv[Any, Any, Any]] | None = None) -> None:
    """Check that a batched environment gives what single ones give.

    Args:
        env: what makes a single one, text or token, as for the other checks.
        make_vec: makes a batch from a number of rows and ``autoreset_mode=``; by default ``gymnasium.make_vec`` of an id,
            else this package's batched environment.

    Raises:
        EnvCheckError: when a check fails.
    """
    _raise(_vector_findings(_maker(env, (TextEnv, TokenEnv)), make_vec or _batcher(env)))


def run(env: str | Make) -> Iterator[Finding]:
    """All checks that apply to an environment, one after another, the batched ones included."""
    make = _maker(env, (TextEnv, TokenEnv))
    yield from _token_findings(make) if isinstance(make(), TokenEnv) else _text_findings(make)
    yield from _vector_findings(make, _batcher(env))


def _text_findings(make: Make) -> Iterator[Finding]:
    yield from (_finding(check, make) for check in text.CHECKS)


def _token_findings(make: Make) -> Iterator[Finding]:
    yield from (_finding(check, make) for check in tokens.CHECKS)


def _vector_findings(make: Make, make_vec: Callable[..., VectorEnv[Any, Any, Any]]) -> Iterator[Finding]:
    yield from (_finding(check, make, make_vec) for check in vector.CHECKS)


def _finding(check: Callable[..., None], *arguments: Any) -> Finding:
    problem = None
    try:
        check(*arguments)
    except AssertionError as error:
        problem = str(error) or "an assertion inside the environment failed"
    except Exception as error:  # whatever an environment raises is a finding about it
        problem = f"it raised {type(error).__name__}: {error}"
    return Finding(check.__name__, " ".join((check.__doc__ or "").split()), problem)


def _raise(findings: Iterable[Finding]) -> None:
    failed = [finding for finding in findings if finding.problem is not None]
    if failed:
        raise EnvCheckError("\n".join([f"{len(failed)} checks failed", *(f"- {finding.name}: {finding.problem}" for finding in failed)]))


def _maker(env: str | Make, kinds: type | tuple[type, ...]) -> Make:
    """A function that makes a new environment without wrappers; it is tried once."""

    def make(**kwargs: Any) -> Any:
        made = gym.make(env, disable_env_checker=True, **kwargs) if isinstance(env, str) else env(**kwargs)
        return made.unwrapped

    first = make()
    if not isinstance(first, kinds):
        names = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise TypeError(f"expected a {names}, got {type(first).__name__}")
    if isinstance(first, TokenEnv):
        text_env(first)
    return make


def _batcher(env: str | Make) -> Callable[..., VectorEnv[Any, Any, Any]]:
    if isinstance(env, str):
        return functools.partial(gym.make_vec, env)

    def make_vec(num_envs: int, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
        singles = [env().unwrapped for _ in range(num_envs)]
        rows = [text_env(single) for single in singles]
        for row in rows:
            row.reward_model = rows[0].reward_model  # rows share one
        if not isinstance(singles[0], TokenEnv):
            return TextVectorEnv(rows, **kwargs)
        first = singles[0]
        limits: dict[str, Any] = {"max_length": first.max_length, "max_reply_tokens": first.max_reply_tokens, "plain": first.chat.plain}
        return TokenVectorEnv(rows, first.tokenizer, **limits, **kwargs)

    return make_vec
