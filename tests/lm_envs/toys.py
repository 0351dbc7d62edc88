"""A small text environment and tokenizers for tests of the layers: no families, no network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lm_envs.core import Opening, Response, TextEnv
from lm_envs.types import Exchange, Message

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def length_reward(exchanges: Sequence[Exchange]) -> list[float]:
    """A hundredth a character of the reply."""
    return [len(exchange.reply) / 100 for exchange in exchanges]


class CountingReward:
    """The toy reward; keeps the size of each batch it was called with."""

    name = "counting"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, exchanges: Sequence[Exchange]) -> list[float]:
        self.batches.append(len(exchanges))
        return length_reward(exchanges)


class EchoEnv(TextEnv):
    """Says a number; the agent repeats it, each time another, ``rounds`` times; then the task is done."""

    default_reward: ClassVar[Any] = staticmethod(length_reward)

    def __init__(self, *, rounds: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rounds = rounds

    def open(self, options: Mapping[str, Any]) -> Opening:
        self.right = 0
        self.number = self._draw()
        return Opening(
            ({"role": "system", "content": "Repeat the number."}, {"role": "user", "content": f"Say {self.number}."}),
            {"id": f"{self.split}/{self.number}"},
            {"success": 0, "right": 0},
        )

    def respond(self, reply: str) -> Response:
        right = reply.strip() == str(self.number)
        self.right += right
        self.number = self._draw()
        done = self.right == self.rounds
        messages: tuple[Message, ...] = ()
        if not done:
            messages = ({"role": "tool", "name": "judge", "content": str(right)}, {"role": "user", "content": f"Now {self.number}."})
        return Response(messages, done, {"success": done, "right": self.right}, {"right": float(right)})

    def expert_reply(self) -> str:
        return str(self.number)

    def random_reply(self, rng: np.random.Generator) -> str:
        return str(rng.integers(1000, 9999))

    def _draw(self) -> int:
        return int(self.np_random.integers(1000, 5000) * 2 + (self.split == "test"))


def byte_level(template: str | None = CHATML, eos: str | None = "<|im_end|>", extra: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of 256 bytes and a few merges; ``extra`` are added tokens that are not special."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("h", "e"), ("Ġ", "t"), ("Ġt", "he"), ("1", "2"), ("o", "w")]
    vocab = {piece: number for number, piece in enumerate([*alphabet, *("".join(merge) for merge in merges)])}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>", "<|pad|>"]})
    if eos:
        tokenizer.eos_token = eos
    tokenizer.add_tokens(list(extra))
    tokenizer.chat_template = template
    return tokenizer


def plain_data(value: Any) -> Any:
    """``value`` after a trip through JSON."""
    return json.loads(json.dumps(value))
