"""Language as Gymnasium environments: text level, token level, batched; rewards from pluggable reward models.

Importing this package registers its ids; ``gymnasium.make("lm_envs:lm_envs/Sentiment-v0")`` imports it by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lm_envs.core import Opening, Response, TextEnv
from lm_envs.registration import register_all
from lm_envs.types import Exchange, Message, RewardModel

if TYPE_CHECKING:
    import gymnasium as gym
    from transformers import TokenizersBackend

__version__ = "0.1.0"
__all__ = ["Exchange", "Message", "Opening", "Response", "RewardModel", "TextEnv", "tokenize"]


def tokenize(
    env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any], tokenizer: TokenizersBackend | str | None = None, **limits: Any
) -> Any:
    """The token-level version of a text environment, single or batched.

    Args:
        env: an environment with ``Conversation`` observations and ``Utterance`` actions, or a
            :class:`~lm_envs.vector.TextVectorEnv` (whose environments the new one then owns).
        tokenizer: a tokenizer, a local path, a hub name or an asset's name; by default the bundled model's.
        limits: ``max_length``, ``max_reply_tokens``, ``plain``, and ``autoreset_mode`` for a batch.

    Returns:
        A :class:`~lm_envs.tokens.TokenEnv` or :class:`~lm_envs.vector.TokenVectorEnv`.
    """
    from lm_envs.tokens import TokenEnv
    from lm_envs.vector import TextVectorEnv, TokenVectorEnv

    if isinstance(env, TextVectorEnv):
        return TokenVectorEnv(env.envs, tokenizer, **limits)
    return TokenEnv(env, tokenizer, **limits)  # type: ignore[arg-type]


register_all()
