"""Spaces for language: a reply, a conversation, a token."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium import spaces

from lm_envs.types import ROLES, Messages

_SAMPLE_WORDS = ("hello", "please", "why", "thanks", "no", "yes", "order", "späť", "今日は", "🙂", "the", "it", "?", "\n")


def well_formed(text: str) -> str:
    """Text with lone surrogates replaced by U+FFFD, so that it can be encoded; surrogate pairs become one character."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Utterance(spaces.Space[str]):
    """Any Unicode text of at most ``max_chars`` characters, the empty one included.

    Unlike ``gymnasium.spaces.Text`` it needs no character set, so it takes no time to build or to pickle.
    """

    def __init__(self, max_chars: int = 4096, seed: int | np.random.Generator | None = None) -> None:
        if max_chars < 1:
            raise ValueError(f"max_chars must be at least 1, got {max_chars}")
        self.max_chars = int(max_chars)
        super().__init__(dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed-size array form."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A few random words; masks have no meaning for text."""
        if mask is not None or probability is not None:
            raise ValueError("Utterance.sample takes neither mask nor probability")
        words = self.np_random.choice(_SAMPLE_WORDS, size=int(self.np_random.integers(0, 9)))
        return " ".join(words)[: self.max_chars]

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a string within the length limit."""
        return isinstance(x, str) and len(x) <= self.max_chars

    def to_jsonable(self, sample_n: Iterable[str]) -> list[Any]:
        """Strings are JSON already."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """The inverse of :meth:`to_jsonable`."""
        return list(sample_n)

    def __repr__(self) -> str:
        return f"Utterance({self.max_chars})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Utterance) and self.max_chars == other.max_chars


class Conversation(spaces.Space[Messages]):
    """A tuple of messages whose contents have at most ``max_chars`` characters together."""

    def __init__(self, max_chars: int = 65_536, seed: int | np.random.Generator | None = None) -> None:
        if max_chars < 1:
            raise ValueError(f"max_chars must be at least 1, got {max_chars}")
        self.max_chars = int(max_chars)
        self._text = Utterance(min(self.max_chars, 64))
        super().__init__(dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """A conversation has no fixed-size array form."""
        return False

    def seed(self, seed: int | None = None) -> int | list[int] | dict[str, int]:
        """Seed this space and the one that writes its contents."""
        self._text.seed(seed)
        return super().seed(seed)

    def sample(self, mask: Any = None, probability: Any = None) -> Messages:
        """A short random conversation; masks have no meaning for text."""
        if mask is not None or probability is not None:
            raise ValueError("Conversation.sample takes neither mask nor probability")
        return ({"role": "user", "content": self._text.sample()},)

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a tuple of well-formed messages within the length limit."""
        return (
            isinstance(x, tuple)
            and all(_is_message(message) for message in x)
            and sum(len(message["content"]) for message in x) <= self.max_chars
        )

    def to_jsonable(self, sample_n: Iterable[Messages]) -> list[Any]:
        """Lists of messages."""
        return [list(sample) for sample in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[Messages]:
        """The inverse of :meth:`to_jsonable`."""
        return [tuple(sample) for sample in sample_n]

    def __repr__(self) -> str:
        return f"Conversation({self.max_chars})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Conversation) and self.max_chars == other.max_chars


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict) or not isinstance(message.get("content"), str):
        return False
    if message.get("role") not in ROLES:
        return False
    if message["role"] == "tool":
        return isinstance(message.get("name"), str) and message.keys() == {"role", "content", "name"}
    return bool(message.keys() == {"role", "content"})


class TokenSpace(spaces.Discrete):
    """``Discrete(n)`` over token ids, with the ids that a reply may not hold.

    Forbidden ids (control tokens that open or close turns, padding, holes of the vocabulary) are members of the space,
    because algorithms that know only ``Discrete`` will write them; ``sample`` leaves them out, and a policy that reads
    :attr:`forbidden` should too.

    Args:
        n: number of token ids, ``len(tokenizer)``.
        forbidden: ids in ``[0, n)`` that may not be written.
        seed: seeds :meth:`sample`.
    """

    def __init__(self, n: int, forbidden: Iterable[int] = (), seed: int | np.random.Generator | None = None) -> None:
        super().__init__(n, seed=seed)
        self.forbidden = np.unique(np.fromiter(forbidden, dtype=np.int64))  # (num_forbidden,), sorted
        if self.forbidden.size and not 0 <= self.forbidden[0] <= self.forbidden[-1] < n:
            raise ValueError(f"forbidden ids must lie in [0, {n}), got {self.forbidden.tolist()}")
        if self.forbidden.size >= n:
            raise ValueError("every token is forbidden")

    def sample(self, mask: Any = None, probability: Any = None) -> np.int64:
        """A random id; without ``mask`` and ``probability`` one that may be written."""
        if mask is None and probability is None:
            mask = np.ones(int(self.n), dtype=np.int8)
            mask[self.forbidden] = 0
        return super().sample(mask, probability)

    def __repr__(self) -> str:
        return f"TokenSpace({self.n}, {self.forbidden.size} forbidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenSpace) and self.n == other.n and np.array_equal(self.forbidden, other.forbidden)
