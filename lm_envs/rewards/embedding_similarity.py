"""How near a reply is in meaning to texts that it should be like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lm_envs.embeddings import embed
from lm_envs.rewards.base import Shared
from lm_envs.types import Exchange

References = Literal["message"] | Sequence[str] | Callable[[Exchange], Sequence[str]]

_OVER: Mapping[str, Callable[..., Any]] = {"max": np.max, "mean": np.mean}


class EmbeddingSimilarity(Shared):
    """The cosine of the reply's embedding with that of what it should be like.

    ``reward = over_r cos(reply, r) - over_s cos(reply, s)``, where r runs over the references and s over what the reply should not be
    like, and ``over`` is the maximum or the mean. In [-1, 1], or in [-2, 2] with ``unlike``. A reply of white space alone gets 0, and
    so does one without references.

        EmbeddingSimilarity("message")                                             # keeps to what the user wrote
        EmbeddingSimilarity(["I loved it."], unlike=["I hated it."], over="mean")  # a direction of meaning
        EmbeddingSimilarity(lambda exchange: exchange.scenario["answers"])         # the scenario's own references

    All texts of a batch are embedded in one call, equal ones once, and references that don't depend on the exchange once and for all.
    Embeddings know what a text is about better than whether it is right: "It is open" is near "It isn't open".

    Args:
        references: texts; ``"message"`` for the one before the reply; or a function from an exchange to texts.
        unlike: texts that a reply should not be like.
        over: ``"max"`` or ``"mean"``, for several.
        model: ``"minilm"``, or the folder or hub's name of another encoder, see :func:`lm_envs.embeddings.embed`.
        device: a device of torch; by default CUDA where there is some, else the CPU.
        name: the name it is reported under.

    Raises:
        ValueError: when there is no reference, or an argument is something else. When called: ImportError without torch, AssetError
            when the asset can't be had.
    """

    def __init__(
        self,
        references: References = "message",
        *,
        unlike: Sequence[str] = (),
        over: Literal["max", "mean"] = "max",
        model: str | Path = "minilm",
        device: str | None = None,
        name: str = "similarity",
    ) -> None:
        if over not in _OVER:
            raise ValueError(f"over must be one of {', '.join(map(repr, _OVER))}; got {over!r}")
        if references != "message" and not callable(references) and not _texts(references):
            raise ValueError(f"references must be 'message', a function or a sequence of texts; got {references!r}")
        if len(unlike) and not _texts(unlike):
            raise ValueError(f"unlike must be a sequence of texts; got {unlike!r}")
        self._references = references
        self._unlike = tuple(unlike)
        self._over = over
        self._model = model
        self._device = device
        self._kept: dict[str, npt.NDArray[np.float32]] = {}  # of texts that don't depend on the exchange
        self.name = name

    def __call__(self, exchanges: Sequence[Exchange], /) -> list[float]:
        """Differences of cosines, ``(len(exchanges),)``."""
        references = [self._of(exchange) for exchange in exchanges]
        judged = [index for index, exchange in enumerate(exchanges) if exchange.reply.strip() and references[index]]
        vectors = self._embedded([exchanges[index].reply for index in judged], [references[index] for index in judged])
        scores = [0.0] * len(exchanges)
        for index in judged:
            reply = vectors[exchanges[index].reply]
            scores[index] = self._near(reply, references[index], vectors) - self._near(reply, self._unlike, vectors)
        return scores

    def _of(self, exchange: Exchange) -> Sequence[str]:
        if callable(self._references):
            return tuple(self._references(exchange))
        if self._references == "message":
            return [exchange.messages[-2]["content"]] if len(exchange.messages) > 1 else []
        return self._references

    def _near(self, reply: npt.NDArray[np.float32], texts: Sequence[str], vectors: dict[str, npt.NDArray[np.float32]]) -> float:
        return float(_OVER[self._over](np.stack([vectors[text] for text in texts]) @ reply)) if texts else 0.0

    def _embedded(self, replies: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, npt.NDArray[np.float32]]:
        """Vectors by text, each of length 1."""
        if not replies:
            return {}
        fixed = self._unlike if self._references == "message" or callable(self._references) else (*self._references, *self._unlike)
        wanted = list(dict.fromkeys([*replies, *(text for some in references for text in some), *fixed]))
        wanted = [text for text in wanted if text not in self._kept]
        vectors = {**self._kept, **dict(zip(wanted, embed(wanted, model=self._model, device=self._on()), strict=True))}
        self._kept = {text: vectors[text] for text in fixed}
        return vectors

    def _on(self) -> str:
        if self._device is None:
            import torch

            self._device = "cuda" if torch.cuda.is_available() else "cpu"
        return self._device


def _texts(value: object) -> bool:
    return (
        isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and bool(value) and all(isinstance(one, str) for one in value)
    )
