"""A token environment that a model of a few thousand parameters learns in seconds, and such models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lm_envs.core import Opening, Response, TextEnv
from lm_envs.types import Exchange
from lm_envs.vector import TokenVectorEnv
from tests.lm_envs.toys import byte_level

GOOD = "abcdefghijklm"


def early(exchanges: Sequence[Exchange]) -> list[float]:
    """The share of letters from a to m in the first eight characters of the reply; missing characters count as none."""
    return [sum(char in GOOD for char in exchange.reply[:8]) / 8 for exchange in exchanges]


class EarlyEnv(TextEnv):
    """Says a letter; wants letters from the alphabet's first half back."""

    default_reward = staticmethod(early)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"reward": early, "max_turns": 1, **kwargs})

    def open(self, options: Mapping[str, Any]) -> Opening:
        letter = chr(97 + int(self.np_random.integers(26)))
        return Opening(({"role": "user", "content": letter},), {"id": f"{self.split}/{letter}"}, {"early": 0.0})

    def respond(self, reply: str) -> Response:
        return Response(terminated=self.is_last_turn, metrics={"early": early([Exchange(({"role": "assistant", "content": reply},))])[0]})

    def expert_reply(self) -> str:
        return "abcdefgh"

    def random_reply(self, rng: np.random.Generator) -> str:
        return "".join(rng.choice(list("abcwxyz!"), 8))


def early_env(num_envs: int = 8, tokenizer: PreTrainedTokenizerFast | None = None, turns: int = 1, **limits: Any) -> TokenVectorEnv:
    limits = {"max_length": 64, "max_reply_tokens": 8, **limits}
    return TokenVectorEnv([EarlyEnv(max_turns=turns) for _ in range(num_envs)], tokenizer or byte_level(), **limits)


def save_small_model(folder: Path, seed: int = 0, **config: Any) -> Path:
    """A Llama of random weights with the toy tokenizer, as a Hugging Face folder."""
    torch.manual_seed(seed)
    tokenizer = byte_level()
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 256}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **{**sizes, **config}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def early_tokens(num_envs: int = 1, tokenizer: Any = None, max_turns: int = 1, split: str = "train", **limits: Any) -> TokenVectorEnv:
    """The entry point of ``tests/EarlyTokens-v0``."""
    limits = {"max_length": 64, "max_reply_tokens": 8, **limits}
    return TokenVectorEnv([EarlyEnv(max_turns=max_turns, split=split) for _ in range(num_envs)], tokenizer, **limits)


gym.register(id="tests/EarlyTokens-v0", vector_entry_point="tests.agents.tasks:early_tokens")
