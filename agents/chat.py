"""A conversation with a model in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO, cast

import torch
from transformers import DynamicCache, PreTrainedModel

from agents import models
from agents.evaluation import Sampling
from lm_envs.chat import ChatFormat
from lm_envs.rendering import printable
from lm_envs.types import Message


class Conversation:
    """A model's side of a conversation. Tokens it wrote are never encoded again, as in training.

    Args:
        model: a name, a folder, a checkpoint, or a hub's name.
        system: a system message, or none.
        sampling: how tokens are chosen.
        max_tokens: that a reply may have.
        seed: of sampling.
    """

    def __init__(
        self, model: str | Path, *, system: str = "", sampling: Sampling | None = None, max_tokens: int = 128, seed: int | None = None
    ) -> None:
        loaded, tokenizer = models.load(model)
        self.model: PreTrainedModel = loaded
        self.chat = ChatFormat(cast(Any, tokenizer))
        self.system, self.sampling, self.max_tokens = system, sampling or Sampling(), max_tokens
        self.context = int(getattr(loaded.config.get_text_config(), "max_position_embeddings", 0) or sys.maxsize)
        self._generator = torch.Generator(loaded.device)
        self._generator.manual_seed(seed) if seed is not None else self._generator.seed()
        self._forbidden = torch.tensor(sorted(self.chat.forbidden_ids), dtype=torch.long, device=loaded.device)
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._cache = DynamicCache(config=self.model.config)
        self._pending: list[int] = []  # ids that the model has not read yet
        self._read = 0
        self._stop: int | None = None
        self._begun = False

    def reply(self, text: str) -> Iterator[str]:
        """Answer a message, piece by piece.

        Raises:
            ValueError: when the context is full; nothing was added.
        """
        message = Message(role="user", content=text)
        if self._begun:
            ids = self._pending + self.chat.close(self._stop, (message,))
        else:
            opening = (Message(role="system", content=self.system), message) if self.system else (message,)
            ids = self.chat.open(opening)
        if self._read + len(ids) >= self.context:
            raise ValueError(
                f"the conversation has {self._read + len(ids):,} tokens and the model's context {self.context:,}; /reset begins anew"
            )
        self._begun, self._pending, self._stop = True, ids, None
        written: list[int] = []
        shown = ""
        while len(written) < self.max_tokens and self._read + len(self._pending) < self.context:
            token = self._next()
            self._pending = [token]
            if token in self.chat.stop_ids:
                self._stop = token
                break
            written.append(token)
            decoded = self.chat.decode(written)
            if not decoded.endswith("\ufffd"):  # half a character: wait for the rest
                yield decoded[len(shown) :]
                shown = decoded
        yield self.chat.decode(written)[len(shown) :]

    @torch.no_grad()
    def _next(self) -> int:
        ids = torch.tensor([self._pending], device=self.model.device)
        logits = self.model(input_ids=ids, past_key_values=self._cache, use_cache=True).logits[:, -1, : self.chat.vocab_size].float()
        self._read += len(self._pending)
        logits[:, self._forbidden] = -torch.inf
        return int(self.sampling.choose(logits, self._generator))


def talk(conversation: Conversation, read: Callable[[str], str] = input, out: TextIO | None = None) -> None:
    """Read messages until the end of the input; ``/reset`` begins anew. What the model writes is shown escaped."""
    out = out or sys.stdout
    while True:
        try:
            text = read("you> ")
        except (EOFError, KeyboardInterrupt):
            print(file=out)
            return
        if text.strip() == "/reset":
            conversation.reset()
            continue
        try:
            print("model> ", end="", file=out)
            for piece in conversation.reply(text):
                print(printable(piece), end="", flush=True, file=out)
            print(file=out)
        except KeyboardInterrupt:
            print(file=out)
        except ValueError as error:
            print(error, file=out)
