"""Sentences as vectors, by a model of the sentence-transformers kind; needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lm_envs import assets

DIMENSIONS = 384

_MAX_TOKENS = 256  # what the model was trained to read; the rest of a text is cut
_BATCH = 64


def embed(texts: Sequence[str], *, model: str | Path = "minilm", device: str = "cpu") -> npt.NDArray[np.float32]:
    """Embeddings by the `minilm` asset, fetched on first use, or by another model.

    The mean of the last layer over a text's tokens, scaled to length 1 (N. Reimers and I. Gurevych, "Sentence-BERT", EMNLP 2019). A text's
    embedding depends on the text alone, up to the rounding that padding causes. Text that spells a control token is read as
    ordinary text.

    Args:
        texts: what to embed.
        model: ``"minilm"``, or the folder or hub's name of another encoder that is meant for means over its tokens.
        device: a device of torch.

    Returns:
        Of shape ``(len(texts), 384)``, or as wide as the other model; components in [-1, 1].

    Raises:
        ImportError: without torch.
        AssetError: when the asset can't be had.
        OSError: when there is no such model.
    """
    if not texts and model == "minilm":
        return np.zeros((0, DIMENSIONS), np.float32)
    torch, tokenizer, encoder = _load(str(model), device)
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))  # texts of like lengths share a batch: little padding
    embedded = np.empty((len(texts), encoder.config.hidden_size), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            batch = [texts[row] for row in rows]
            inputs = tokenizer(batch, padding=True, truncation=True, max_length=_MAX_TOKENS, split_special_tokens=True, return_tensors="pt")
            inputs = inputs.to(device)
            mask = inputs["attention_mask"].unsqueeze(-1)  # (batch, tokens, 1)
            states = encoder(**inputs).last_hidden_state
            means = (states * mask).sum(1) / mask.sum(1)
            embedded[rows] = torch.nn.functional.normalize(means, dim=-1).cpu().numpy()
    return embedded


@cache
def _load(model: str = "minilm", device: str = "cpu") -> tuple[Any, Any, Any]:
    try:
        import torch
    except ImportError as error:
        raise ImportError('sentence embeddings need torch: pip install "lm-envs[agents]"') from error
    from transformers import AutoModel, AutoTokenizer

    folder = assets.path("minilm") if model == "minilm" else model
    return torch, AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder, dtype=torch.float32).to(device).eval()
