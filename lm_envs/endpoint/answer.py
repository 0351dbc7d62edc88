"""What a server answers, read with suspicion: it may hold anything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lm_envs.spaces import well_formed

Alternatives = tuple[tuple[str, float], ...]  # tokens that might have stood at a position, with their log-probabilities


@dataclass(frozen=True)
class Answer:
    """One completion.

    Attributes:
        content: the text; empty where the server gives none.
        alternatives: at each position of the text, the likeliest tokens and the one that was chosen; empty where the server gives no
            log-probabilities, or malformed ones.
        usage: tokens of the prompt and of the completion; ``None`` where the server doesn't say.
    """

    content: str
    alternatives: tuple[Alternatives, ...] = ()
    usage: tuple[int, int] | None = None

    @classmethod
    def read(cls, body: Any) -> Answer:
        """The first choice of a response's body.

        Raises:
            ValueError: when the body isn't the protocol's.
        """
        try:
            choice = body["choices"][0]
            content = choice["message"]["content"]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError("the answer has no choices[0].message.content") from error
        if content is not None and not isinstance(content, str):
            raise ValueError("the answer's content is not a text")
        return cls(well_formed(content or ""), _alternatives(choice), _usage(body))

    def to_json(self) -> dict[str, Any]:
        """Plain data, which :meth:`from_json` reads."""
        return {
            "content": self.content,
            "alternatives": [[list(one) for one in position] for position in self.alternatives],
            "usage": None if self.usage is None else list(self.usage),
        }

    @classmethod
    def from_json(cls, data: Any) -> Answer:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: for anything else.
        """
        try:
            alternatives = tuple(tuple((str(token), float(logprob)) for token, logprob in position) for position in data["alternatives"])
            usage = None if data["usage"] is None else (int(data["usage"][0]), int(data["usage"][1]))
            return cls(str(data["content"]), alternatives, usage)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError("not an answer") from error


def _alternatives(choice: Any) -> tuple[Alternatives, ...]:
    try:
        positions = choice["logprobs"]["content"]
        return tuple(_position(one) for one in positions)
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()


def _position(one: Any) -> Alternatives:
    found: dict[str, float] = {}
    for entry in (one, *(one.get("top_logprobs") or ())):
        token, logprob = entry["token"], entry["logprob"]
        if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, (int, float)) or math.isnan(logprob):
            raise ValueError("a token and its log-probability")
        found[well_formed(token)] = min(float(logprob), 0.0)
    return tuple(found.items())


def _usage(body: Any) -> tuple[int, int] | None:
    usage = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int) or isinstance(prompt, bool) or isinstance(completion, bool):
        return None
    return (prompt, completion) if min(prompt, completion) >= 0 else None
