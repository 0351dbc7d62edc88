"""Entry points of the registered ids; ``text_env`` is ``"module:class"`` and further keyword arguments are that class's."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gymnasium.vector import AutoresetMode

from lm_envs.core import TextEnv, at_least
from lm_envs.tokens import TokenEnv
from lm_envs.types import RewardModel
from lm_envs.vector import TextVectorEnv, TokenVectorEnv

if TYPE_CHECKING:
    from transformers import TokenizersBackend


def text(text_env: str, **kwargs: Any) -> TextEnv:
    """One text environment."""
    module, name = text_env.split(":")
    return cast("type[TextEnv]", getattr(importlib.import_module(module), name))(**kwargs)


def text_vector(
    text_env: str, num_envs: int = 1, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP, **kwargs: Any
) -> TextVectorEnv:
    """A batch of text environments."""
    return TextVectorEnv(_rows(text_env, num_envs, kwargs), autoreset_mode=autoreset_mode)


def tokens(
    text_env: str,
    tokenizer: TokenizersBackend | str | Path | None = None,
    max_length: int = 1024,
    max_reply_tokens: int = 64,
    plain: bool = False,
    potential: str | RewardModel | None = None,
    **kwargs: Any,
) -> TokenEnv:
    """One token environment."""
    env = text(text_env, **kwargs)
    return TokenEnv(env, tokenizer, max_length=max_length, max_reply_tokens=max_reply_tokens, plain=plain, potential=potential)


def token_vector(
    text_env: str,
    num_envs: int = 1,
    tokenizer: TokenizersBackend | str | Path | None = None,
    max_length: int = 1024,
    max_reply_tokens: int = 64,
    plain: bool = False,
    potential: str | RewardModel | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
    **kwargs: Any,
) -> TokenVectorEnv:
    """A batch of token environments."""
    return TokenVectorEnv(
        _rows(text_env, num_envs, kwargs),
        tokenizer,
        max_length=max_length,
        max_reply_tokens=max_reply_tokens,
        plain=plain,
        potential=potential,
        autoreset_mode=autoreset_mode,
    )


def _rows(text_env: str, num_envs: int, kwargs: dict[str, Any]) -> list[TextEnv]:
    count = at_least("num_envs", num_envs, 1)
    first = text(text_env, **kwargs)
    # What is large is loaded once. With one reward model for all rows, one call judges every reply that ends in a step.
    return [first, *(text(text_env, **{**kwargs, **first.shared}) for _ in range(count - 1))]
