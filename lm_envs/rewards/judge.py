"""`Judge`: the score that a causal LM on this machine expects to give."""

from __future__ import annotations

import copy
import inspect
import os.path
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lm_envs.chat import ChatFormat
from lm_envs.rewards.criterion import BEGINNING, Criterion
from lm_envs.rewards.hugging_face import HuggingFaceModel, causal_lm
from lm_envs.rewards.judging import CriterionJudge
from lm_envs.types import Exchange

_MAX_CHARS = 8000  # of what is quoted, at first
_TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2, "float16": 1e-2}  # of probabilities, between passes that should agree
_PROBES = (
    Exchange(({"role": "assistant", "content": "Yes."},)),
    Exchange(
        ({"role": "user", "content": "Is it far?\nI have to be there at nine."}, {"role": "assistant", "content": "A mile, I think."})
    ),
    Exchange(
        ({"role": "tool", "content": "{}", "name": "find"}, {"role": "assistant", "content": "Nothing was found, I am sorry to say."})
    ),
)


class _Asked(NamedTuple):
    """How one criterion is asked.

    Attributes:
        digits: the ids of the scores 1, 2, ….
        tail: ids between the generation prompt and the score.
        prefix: ids with which every prompt begins.
        cache: keys and values of the prefix; ``None`` where rows are read whole.
    """

    digits: list[int]
    tail: list[int]
    prefix: list[int]
    cache: Any


class Judge(HuggingFaceModel, CriterionJudge):
    """The expected score that a causal LM gives the reply by a criterion.

    The model reads the criterion, the end of the conversation and the reply (see :mod:`lm_envs.rewards.criterion`) in its chat format,
    up to where it would write a score. With p the softmax over its logits for the digits 1 to k there,

    ``reward = (Σ i · p_i - 1) / (k - 1)``, in [0, 1]

    (Y. Liu et al., "G-Eval", EMNLP 2023, weigh scores so). Nothing is generated. Replies are judged ``batch_size`` at a time, in one padded
    forward pass that reads the beginning that all prompts share only once; a reward depends on its exchange alone, up to
    rounding (about 1e-6 in float32). Models for which that doesn't hold are found out when the judge is made, and read row by row.

        gym.make("lm_envs/Dialogue-v0", reward="judge", reward_kwargs={"criterion": "helpfulness", "model": "smollm2-135m"})

    Quoted text yields no control token of the model, and each of its lines is marked as quoted. That doesn't keep a reply from talking the
    judge into a score: ``python -m benchmarks judges`` measures how much one can be.

    Args:
        criterion: the name of one that comes with this package, a file, a mapping, or a :class:`Criterion`.
        model: ``"smollm2-135m"`` or another causal LM of ``lm_envs.assets``, a local folder, or a name on the model hub. Judges of the
            same model share its weights.
        context: messages before the reply that are shown.
        max_length: tokens that are read; of longer conversations less is quoted.
        batch_size: replies in one forward pass.
        plain: ask without the model's chat template, for models that weren't trained with one.
        template_kwargs: for the chat template, for example ``{"enable_thinking": False}``.
        device: a device of torch; by default CUDA where there is some, else the CPU.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        name: the name it is reported under; by default the criterion's.

    Raises:
        ImportError: without torch.
        DataError: for an unknown or malformed criterion.
        ValueError: for a wrong argument, a criterion that ``max_length`` has no room for, or a tokenizer that has no token for a digit.
        AssetError: when an asset can't be had.
        OSError: when there is no such model.

    A pickled one holds these arguments, not the weights: the model is loaded again where it is unpickled.
    """

    def __init__(
        self,
        criterion: str | Path | Mapping[str, Any] | Criterion = "helpfulness",
        *,
        model: str | Path = "smollm2-135m",
        context: int = 4,
        max_length: int = 1024,
        batch_size: int = 16,
        plain: bool = False,
        template_kwargs: Mapping[str, Any] | None = None,
        device: str | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(locals())
        self.criterion = Criterion.load(criterion)
        self.name = name or self.criterion.name
        if context < 0:
            raise ValueError(f"context must be at least 0; got {context!r}")
        self._context = context
        tokenizer, self._model = causal_lm(model, self._dtype, self.device)
        known = inspect.signature(self._model.forward).parameters
        self._cache_argument = "cache" if "cache" in known else "past_key_values"  # the older name
        self._format = ChatFormat(tokenizer, plain=plain, template_kwargs=template_kwargs)
        self.max_length = min(max_length, getattr(self._model.config, "max_position_embeddings", None) or max_length)
        self._tolerance = _TOLERANCE[dtype]
        self._asked: dict[Criterion, _Asked] = {}
        self._ask(self.criterion)

    def by_criterion(self, exchanges: Sequence[Exchange], criteria: Sequence[Criterion]) -> list[list[float]]:
        """Scores in [0, 1] by any criteria, ``(len(criteria), len(exchanges))``."""
        return [self._rewards(exchanges, criterion) for criterion in criteria]

    def log_probabilities(self, exchanges: Sequence[Exchange], criterion: Criterion | None = None) -> npt.NDArray[np.float32]:
        """What the model gives each score among all its tokens, ``(len(exchanges), points)``: how likely it is to give any shows there."""
        asked = self._ask(criterion or self.criterion)
        rows = [self._ids(exchange, criterion or self.criterion, asked.tail) for exchange in exchanges]
        return self._read(rows, asked)

    def _rewards(self, exchanges: Sequence[Exchange], criterion: Criterion) -> list[float]:
        logs = self.log_probabilities(exchanges, criterion).astype(np.float64)
        weights = np.exp(logs - logs.max(axis=1, initial=-np.inf, keepdims=True)) if len(logs) else logs
        scores = weights @ np.arange(1, criterion.points + 1) / weights.sum(axis=1)
        return [criterion.reward(float(score)) for score in scores]

    # Prompts.

    def _ids(self, exchange: Exchange, criterion: Criterion, tail: Sequence[int]) -> list[int]:
        """A prompt that fits, by quoting less and less of what is too long."""
        max_chars = _MAX_CHARS
        while True:
            messages = criterion.messages(exchange, context=self._context, max_chars=max_chars)
            ids = [*self._format.open(messages), *tail]
            if len(ids) <= self.max_length:
                return ids
            if max_chars == 0:
                raise ValueError(f"criterion {criterion.name!r} takes {len(ids):,} tokens, max_length is {self.max_length:,}")
            max_chars //= 2

    def _ask(self, criterion: Criterion) -> _Asked:
        if criterion not in self._asked:
            tail, digits = self._digits(criterion.points)
            rows = [self._ids(exchange, criterion, tail) for exchange in _PROBES]
            prefix = list(os.path.commonprefix(rows))
            plain = _Asked(digits, tail, [], None)
            self._asked[criterion] = self._cached(rows, plain, prefix) or plain
        return self._asked[criterion]

    def _digits(self, points: int) -> tuple[list[int], list[int]]:
        """The ids before a score, and those of the scores, each one token behind the same ids."""
        spelled = [self._format.encode_reply(f"{BEGINNING}{number}")[:-1] for number in range(1, points + 1)]
        shared = os.path.commonprefix(spelled)
        if {len(ids) - len(shared) for ids in spelled} == {1}:
            return list(shared), [ids[-1] for ids in spelled]
        raise ValueError(f"reward model {self.name!r}: the model's tokenizer doesn't write each digit as one token")

    # Forward passes.

    def _cached(self, rows: list[list[int]], plain: _Asked, prefix: list[int]) -> _Asked | None:
        """The criterion with the shared beginning read already, if that gives what single rows do."""
        import torch
        from transformers import DynamicCache

        config = self._model.config.get_text_config()
        if reason := _neighbourly(config, self.max_length):
            self._row_by_row(reason)
            return None
        try:
            cache = DynamicCache(config=config)
            with torch.inference_mode():
                self._model(input_ids=torch.tensor([prefix], device=self.device), **{self._cache_argument: cache}, use_cache=True)
                asked = plain._replace(prefix=prefix, cache=cache)
                together = self._read(rows, asked)
        except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError, LookupError) as error:
            self._row_by_row(type(error).__name__)
            return None
        difference = float(np.abs(np.exp(together) - np.exp(self._read(rows, plain))).max())
        if difference <= self._tolerance:
            return asked
        self._row_by_row(f"batches differ from single rows by {difference:.2g}")
        return None

    def _row_by_row(self, reason: str) -> None:
        warnings.warn(f"reward model {self.name!r}: {type(self._model).__name__} is read row by row ({reason})", stacklevel=2)

    def _read(self, rows: Sequence[Sequence[int]], asked: _Asked) -> npt.NDArray[np.float32]:
        """Log-probabilities of the digits after each row, ``(len(rows), points)``."""
        import torch

        found = np.empty((len(rows), len(asked.digits)), np.float32)
        size = 1 if asked.cache is None else self.batch_size
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))  # rows of like lengths share a batch: little padding
        with torch.inference_mode():
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                logits = self._logits([list(rows[row][len(asked.prefix) :]) for row in chosen], asked)
                found[chosen] = logits.log_softmax(-1)[:, asked.digits].cpu().numpy()
        return found

    def _logits(self, rows: list[list[int]], asked: _Asked) -> Any:  # (len(rows), logits), float32, behind each row's last id
        import torch

        width = max(map(len, rows))
        ids = torch.tensor([[self._format.pad_id] * (width - len(row)) + row for row in rows], device=self.device)
        if asked.cache is None:
            return self._model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1].float()
        padding = torch.tensor([width - len(row) for row in rows], device=self.device)[:, None]
        places = torch.arange(width, device=self.device)[None] - padding  # negative in the padding
        mask = torch.cat([torch.ones((len(rows), len(asked.prefix)), dtype=torch.bool, device=self.device), places >= 0], 1)
        cache = copy.deepcopy(asked.cache)
        cache.batch_repeat_interleave(len(rows))
        output = self._model(
            input_ids=ids,
            attention_mask=mask.long(),
            position_ids=places.clamp(min=0) + len(asked.prefix),
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_argument: cache},
        )
        return output.logits[:, -1].float()


def _neighbourly(config: Any, max_length: int) -> str:
    """Why what a model makes of a row may depend on how long the others of its batch are; empty when it doesn't."""
    window = getattr(config, "sliding_window", None)
    if window is not None and window < max_length:
        return "its window slides over padding"
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = {inner.get("rope_type") for inner in (rope, *(value for value in rope.values() if isinstance(value, Mapping)))}
    return "its positions depend on the longest row" if kinds & {"dynamic", "longrope"} else ""
