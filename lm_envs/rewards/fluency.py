"""How fluent a reply is, by the perplexity that a causal LM gives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from lm_envs.rewards.hugging_face import HuggingFaceModel, causal_lm
from lm_envs.rewards.numbers import finite
from lm_envs.types import Exchange

Context = Literal["message", "none"] | Callable[[Exchange], str]

_CONTEXTS: dict[str, Callable[[Exchange], str]] = {
    "message": lambda exchange: exchange.messages[-2]["content"] if len(exchange.messages) > 1 else "",
    "none": lambda exchange: "",
}
_CLINGING = tuple(" \n\t.,;:!?'’)")  # what a reply may begin with that needs no space before it


class Fluency(HuggingFaceModel):
    """The mean log-probability of the reply's tokens under a causal LM, in running text after what it continues.

    ``reward = max(floor, 1/n · Σ log p(token_i | context, token_1 … token_{i-1}))``, in ``[floor, 0]``: minus the logarithm of the reply's
    perplexity. An empty reply gets ``floor``. The model reads plain text, without its chat template, and tokens of the context aren't
    scored. A score depends on its exchange alone, up to the rounding that padding causes. Text that spells a control token is read as
    ordinary text.

        fluency = Fluency("smollm2-135m")
        reward = WeightedSum([(VaderSentiment(), 1.0), (fluency, 0.1)])     # sentiment that stays English
        fluency.perplexities(exchanges)                                     # a metric of replies that were written

    A model finds its own favourites, bland or repeated words, most fluent of all. So take another model than the one that is trained, a
    small weight, and `Repetition` beside it.

    Args:
        model: ``"smollm2-135m"`` or another causal LM of ``lm_envs.assets``, a local folder, or a name on the model hub.
        context: what the reply continues: ``"message"`` (the one before it), ``"none"``, or a function from an exchange to text.
        floor: the lowest score; less than 0.
        max_length: tokens that are read: the context's last ones and the reply's first ones.
        batch_size: replies in one forward pass.
        device: a device of torch; by default CUDA where there is some, else the CPU.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        name: the name it is reported under.

    Raises:
        ImportError: without torch.
        ValueError: for a wrong argument.
        AssetError: when an asset can't be had.
        OSError: when there is no such model.

    A pickled one holds these arguments, not the weights: the model is loaded again where it is unpickled.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        context: Context = "message",
        floor: float = -10.0,
        max_length: int = 512,
        batch_size: int = 8,
        device: str | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        name: str = "fluency",
    ) -> None:
        super().__init__(locals())
        if not callable(context) and context not in _CONTEXTS:
            raise ValueError(f"context must be one of {', '.join(map(repr, _CONTEXTS))} or a function; got {context!r}")
        if finite("floor", floor) >= 0:
            raise ValueError(f"floor must be less than 0; got {floor!r}")
        if max_length < 2:
            raise ValueError(f"max_length must be at least 2; got {max_length!r}")
        self.floor = float(floor)
        self._context = context if callable(context) else _CONTEXTS[context]
        self._tokenizer, self._model = causal_lm(model, self._dtype, self.device)
        self.max_length = min(max_length, getattr(self._model.config, "max_position_embeddings", None) or max_length)
        start = self._tokenizer.bos_token_id if self._tokenizer.bos_token_id is not None else self._tokenizer.eos_token_id
        self._start = [] if start is None else [start]

    def __call__(self, exchanges: Sequence[Exchange], /) -> list[float]:
        """Scores, ``(len(exchanges),)``, each in ``[floor, 0]``."""
        return [max(self.floor, value) for value in self._means(exchanges)]

    def perplexities(self, exchanges: Sequence[Exchange]) -> np.ndarray:
        """The replies' perplexities, ``(len(exchanges),)``, each at least 1; ``inf`` for an empty reply."""
        return np.exp(-np.array(self._means(exchanges), dtype=np.float64))

    def _means(self, exchanges: Sequence[Exchange]) -> list[float]:
        """Mean log-probabilities, -inf for replies without tokens."""
        import torch

        rows = [self._ids(exchange) for exchange in exchanges]
        order = sorted((row for row in range(len(rows)) if rows[row][1]), key=lambda row: sum(map(len, rows[row])))
        means = [-np.inf] * len(rows)
        with torch.inference_mode():
            for start in range(0, len(order), self.batch_size):
                chosen = order[start : start + self.batch_size]
                for row, mean in zip(chosen, self._scores([rows[row] for row in chosen]), strict=True):
                    means[row] = mean
        return means

    def _ids(self, exchange: Exchange) -> tuple[list[int], list[int]]:
        """Token ids of the context, at least one where the tokenizer has a token to begin with, and of the reply."""
        before, reply = self._context(exchange).rstrip(), exchange.reply.rstrip()
        if before and reply and not reply.startswith(_CLINGING):
            reply = f" {reply}"
        if not before:
            reply = reply.lstrip()
        encoded = [self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] for text in (before, reply)]
        scored = encoded[1][: self.max_length - 1]
        room = self.max_length - len(scored)
        return (encoded[0] or self._start)[-room:], scored

    def _scores(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        """The replies' mean log-probabilities in one padded pass; a first token with nothing before it isn't scored."""
        import torch

        width = max(len(before) + len(reply) for before, reply in rows)
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for row, (before, reply) in enumerate(rows):
            length = len(before) + len(reply)
            ids[row, :length] = torch.tensor(before + reply)
            mask[row, :length] = 1
        ids, mask = ids.to(self.device), mask.to(self.device)
        logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
        means = []
        for row, (before, reply) in enumerate(rows):
            first, last = max(len(before), 1), len(before) + len(reply)  # positions of the scored tokens
            some = logits[row, first - 1 : last - 1].float()
            picked = some.gather(1, ids[row, first:last, None])[:, 0] - some.logsumexp(1)
            means.append(float(picked.mean()) if last > first else -np.inf)
        return means
