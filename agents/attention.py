"""An attention that is told, from outside a model, which tokens see which: what slots and sheets need.

Transformers' models hand their queries, keys and values to the function that their configuration names. Here it names one that asks the
view in force. A sheet is a view with a mask; slots are a view that keeps keys and values and looks them up. Models so need no masks and
no cache of their own, and each layer's sliding window arrives with its keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, PreTrainedModel

NAME = "lm_envs"


class View(Protocol):
    """Which tokens see which."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None, window: int | None
    ) -> torch.Tensor:
        """Attention of one layer.

        Args:
            layer: its number.
            query: ``(rows, heads, tokens, size)``.
            key: ``(rows, key heads, tokens, size)``; each of its heads serves a group of query heads.
            value: as ``key``.
            scale: of the scores; ``None`` for 1/√size.
            window: how many tokens back a token of this layer sees, itself included; ``None`` for all.

        Returns:
            The attended values, shaped as ``query``.
        """


_view: ContextVar[View | None] = ContextVar("view", default=None)


@contextmanager
def viewed(lm: PreTrainedModel, view: View) -> Iterator[None]:
    """Run the model with its attention through a view."""
    config = lm.config.get_text_config()
    before, token = config._attn_implementation, _view.set(view)
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before
        _view.reset(token)


class Again:
    """A context that has attention as it is now: for what activation checkpointing computes once more in backward, maybe more than once.

    Args:
        lm: the model.
    """

    def __init__(self, lm: PreTrainedModel) -> None:
        cuda = torch.backends.cuda
        enabled = {
            SDPBackend.FLASH_ATTENTION: cuda.flash_sdp_enabled(),
            SDPBackend.EFFICIENT_ATTENTION: cuda.mem_efficient_sdp_enabled(),
            SDPBackend.CUDNN_ATTENTION: cuda.cudnn_sdp_enabled(),
            SDPBackend.MATH: cuda.math_sdp_enabled(),
        }
        self._lm, self._view, self._kernels = lm, _view.get(), [kernel for kernel, on in enabled.items() if on]
        self._entered: list[ExitStack] = []

    def __enter__(self) -> None:
        stack = ExitStack()
        stack.enter_context(sdpa_kernel(self._kernels))
        if self._view is not None:
            stack.enter_context(viewed(self._lm, self._view))
        self._entered.append(stack)

    def __exit__(self, *error: Any) -> None:
        self._entered.pop().__exit__(*error)


def now_and_again(lm: PreTrainedModel) -> tuple[AbstractContextManager[None], Again]:
    """Contexts for a part of a model that activation checkpointing runs now, and once more in backward."""
    return nullcontext(), Again(lm)


@torch.compiler.disable  # what a view does differs from pass to pass; the rest of a layer compiles
def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    position_bias: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    if softcap is not None or s_aux is not None or position_bias is not None:
        raise NotImplementedError("attention with capped scores, sinks or biases")
    view = _view.get()
    assert view is not None, "this attention is for use within `viewed`"
    layer: int = module.layer_idx  # type: ignore[assignment]
    return view.attend(layer, query, key, value, scaling, sliding_window).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, _attention)


class Masked:
    """A view in which a mask says who sees whom.

    Args:
        visible: which tokens each token sees, ``(rows, 1, tokens, tokens)``.
        positions: of each token in its text, ``(rows, tokens)``; distances in a window are counted in them.
    """

    def __init__(self, visible: torch.Tensor, positions: torch.Tensor) -> None:
        self._visible, self._positions = visible, positions
        self._masks: dict[tuple[int | None, torch.dtype], torch.Tensor] = {}

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None, window: int | None
    ) -> torch.Tensor:
        """See :class:`View`."""
        groups = query.shape[1] // key.shape[1]
        if groups > 1:
            key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
        return functional.scaled_dot_product_attention(query, key, value, self._mask(window, query.dtype), scale=scale)

    def _mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        # Kept for the other layers, in the form that kernels want, so that it is made once a pass.
        if (window, dtype) not in self._masks:
            visible = self._visible
            if window is not None:
                visible = visible & (self._positions[:, None, :, None] - self._positions[:, None, None, :] < window)
            self._masks[window, dtype] = additive(visible, dtype)
        return self._masks[window, dtype]


def additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A mask to be added to scores: 0 where a token is seen, the least number where not."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(~visible, torch.finfo(dtype).min)
