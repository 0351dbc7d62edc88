"""Any callable as a reward model with a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lm_envs.rewards.base import Shared, name_of
from lm_envs.types import Exchange


class Function(Shared):
    """A callable under a name of its own, shared instead of copied.

    ``reward = fn(exchanges)``; the range is that of ``fn``.

    Args:
        fn: from a batch of exchanges to as many scores, in a list, an array or a tensor. A plain function can be passed to an
            environment as it is; wrap it to rename it, or wrap a neural model to keep ``gym.make`` from copying it.
        name: the name it is reported under; by default that of ``fn``.
    """

    def __init__(self, fn: Callable[[Sequence[Exchange]], Any], name: str | None = None) -> None:
        if not callable(fn):
            raise TypeError(f"fn must be a callable from exchanges to scores, got a {type(fn).__name__}")
        self.fn = fn
        self.name = name or name_of(fn)

    def __call__(self, exchanges: Sequence[Exchange], /) -> Any:
        """What ``fn`` returns."""
        return self.fn(exchanges)
