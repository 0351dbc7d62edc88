"""What reward models that run a model of Hugging Face share."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

from lm_envs.rewards.base import Shared

_lock = threading.Lock()
_models: weakref.WeakValueDictionary[tuple[str, Any, Any], Any] = weakref.WeakValueDictionary()  # by place, dtype and device
_DTYPES = ("float32", "bfloat16", "float16")


class HuggingFaceModel(Shared):
    """Holds the arguments it was made with, so that a pickled one is loaded again, without its weights, where it is unpickled.

    Args:
        arguments: of the subclass's ``__init__``, by name; ``batch_size``, ``device``, ``dtype`` and ``name`` among them.

    Raises:
        ImportError: without torch.
        ValueError: for a batch size below 1, or a dtype of another name.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = {key: value for key, value in arguments.items() if key not in ("self", "__class__")}
        try:
            import torch
        except ImportError as error:
            raise ImportError(f'{type(self).__name__} needs torch: pip install "lm-envs[agents]"') from error
        self.name: str = arguments["name"]
        self.batch_size: int = arguments["batch_size"]
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; got {self.batch_size!r}")
        if arguments["dtype"] not in _DTYPES:
            raise ValueError(f"dtype must be {', '.join(map(repr, _DTYPES[:-1]))} or {_DTYPES[-1]!r}; got {arguments['dtype']!r}")
        self._dtype = getattr(torch, arguments["dtype"])
        self.device = torch.device(arguments["device"] or ("cuda" if torch.cuda.is_available() else "cpu"))

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (type(self), self._arguments)


def _load(made: type[HuggingFaceModel], arguments: dict[str, Any]) -> HuggingFaceModel:
    return made(**arguments)


def causal_lm(model: str | Path, dtype: Any, device: Any) -> tuple[Any, Any]:
    """The tokenizer and the weights of a causal LM in evaluation mode; those who ask for the same share the weights.

    Args:
        model: the name of one of ``lm_envs.assets``, a local folder, or a name on the model hub.
        dtype: of the weights, torch's.
        device: torch's.

    Raises:
        AssetError: when an asset can't be had.
        OSError: when there is no such model.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from lm_envs import assets

    place = str(assets.path(str(model)) if str(model) in assets.MODELS else model)
    with _lock:
        loaded = _models.get((place, dtype, device))
        if loaded is None:
            loaded = AutoModelForCausalLM.from_pretrained(place, dtype=dtype).to(device).eval()
            _models[place, dtype, device] = loaded
    return AutoTokenizer.from_pretrained(place), loaded
