"""Models that speak for a partner: a local causal LM, or one behind an endpoint.

    gym.make("lm_envs/Dialogue-v0", partner=LocalSpeaker("smollm2-135m"))
    gym.make("lm_envs/Dialogue-v0", partner=EndpointSpeaker("http://localhost:8000/v1", "my-model"))
    gym.make("lm_envs/Dialogue-v0", partner={"model": "smollm2-135m"})                                # the same as data
    gym.make("lm_envs/Dialogue-v0", partner={"url": "http://localhost:8000/v1", "model": "my-model"})

Replies of an endpoint differ from run to run; those of a local model don't on one machine, since it is greedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lm_envs.chat import ChatFormat
from lm_envs.envs.customer_service.llm_customer import EndpointVoice, LocalVoice
from lm_envs.types import Message, Messages

_NEW_TOKENS = 60


def described(arguments: Mapping[str, Any]) -> EndpointSpeaker | LocalSpeaker:
    """A speaker by its arguments: with a ``"url"`` an endpoint, else a local model.

    Raises:
        TypeError: for arguments that it doesn't take.
        ValueError: for a URL that isn't http or https.
    """
    return EndpointSpeaker(**arguments) if "url" in arguments else LocalSpeaker(**arguments)


class EndpointSpeaker(EndpointVoice):
    """A model behind an endpoint that speaks the chat-completions protocol; arguments and errors as for ``EndpointVoice``."""

    def __call__(self, messages: Messages) -> str:
        """Ask the endpoint."""
        body = {"messages": list(messages), "temperature": self._temperature, "max_tokens": _NEW_TOKENS}
        return self._endpoint.complete(body).content


class LocalSpeaker(LocalVoice):
    """A causal LM on this machine, greedy; arguments as for ``LocalVoice``.

    Text of the agent that spells a control token is ordinary text to it.
    """

    def __call__(self, messages: Messages) -> str:
        """Let the model write."""
        import torch

        tokenizer, model = self._load()
        chat = ChatFormat(tokenizer)
        room = int(getattr(model.config, "max_position_embeddings", 0) or 2048) - self._max_new_tokens
        ids = _opened(chat, messages, room)
        with torch.inference_mode():
            prompt = torch.tensor([ids], device=self._device)
            written = model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                max_new_tokens=self._max_new_tokens,
                eos_token_id=sorted(chat.stop_ids),
                pad_token_id=chat.pad_id,
            )
        ids = [token for token in written[0, len(ids) :].tolist() if token not in chat.stop_ids]
        return chat.decode(ids).strip().partition("\n")[0]


def _opened(chat: ChatFormat, messages: Sequence[Mapping[str, Any]], room: int) -> list[int]:
    """The conversation as tokens; where it is longer than the model can read, without the oldest messages after the first."""
    kept = [Message(role=message["role"], content=message["content"]) for message in messages]
    while len(ids := chat.open(kept)) > room and len(kept) > 2:
        del kept[1 : 1 + max(1, len(kept) // 8)]
    return ids[-room:]
