"""Log-probabilities, entropies and divergences of next-token distributions, without the arrays that a large vocabulary makes of them.

Written out in autograd's own operations, an array [transitions x vocabulary] is held half a dozen times for a log-probability with its
entropy, and nineteen times for a KL divergence that is differentiated twice. Here all of it is done a few rows at a time, and what backward
needs is computed again there:

    states (n, hidden) --project--> raw logits (n, tokens) --shape--> logits --> one number a row
    kept                            kept if small, else                anew in backward, chunk by chunk
                                    anew in backward as well
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.distributions import Categorical, Distribution, register_kl
from torch.utils.checkpoint import checkpoint

Function = Callable[[torch.Tensor], torch.Tensor]

# Logits up to this size are kept for backward; beyond it they are projected again there, which costs a third more time in the head.
KEPT_BYTES = 2**27

# How many logits are worked on at a time: few enough that the arrays made of them stay small, rows enough for fast matrix products with
# the head's weights even where the vocabulary is large.
CHUNK = 2**23


FORBIDDEN_LOGIT = -1e9  # a mask of -inf makes the gradient of a KL divergence NaN


@dataclass(frozen=True)
class Shaping:
    """What makes a policy's logits of a model's: float32, at a temperature, forbidden tokens masked.

    Attributes:
        temperature: logits are divided by it.
        forbidden: which tokens have probability 0, ``(tokens,)``; ``None`` for none.
    """

    temperature: float = 1.0
    forbidden: torch.Tensor | None = None

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Raw logits ``(n, tokens)`` as those of the policy."""
        logits = logits.float()
        if self.temperature != 1:
            logits = logits / self.temperature
        return logits if self.forbidden is None else logits.masked_fill(self.forbidden, FORBIDDEN_LOGIT)


class _LogProbAndEntropy(torch.autograd.Function):
    """Log-probabilities and entropies from raw logits, holding one array of that size, and their gradient, in memory.

    What it does is little beside the projection, and each pass over such an array shows in the time of an update: hence few of them.
    """

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, actions: torch.Tensor, shaping: Shaping, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        kept = torch.empty(logits.shape, dtype=torch.float32, device=logits.device)
        log_prob, entropy = (torch.empty(len(logits), device=logits.device) for _ in range(2))
        for part, action, log_p, lp, h in zip(*(t.split(rows) for t in (logits, actions, kept, log_prob, entropy)), strict=True):
            torch.log_softmax(shaping(part), dim=-1, out=log_p)
            lp.copy_(log_p.gather(1, action[:, None])[:, 0])
            h.copy_(-torch.linalg.vecdot(log_p.exp(), log_p))
        ctx.save_for_backward(kept, actions, entropy)
        ctx.shaping, ctx.rows, ctx.dtype = shaping, rows, logits.dtype
        return log_prob, entropy

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_log_prob: torch.Tensor, grad_entropy: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        kept, actions, entropy = ctx.saved_tensors
        shaping: Shaping = ctx.shaping
        g, e = grad_log_prob / shaping.temperature, grad_entropy / shaping.temperature
        grads = torch.empty(kept.shape, dtype=ctx.dtype, device=kept.device)
        with_entropy = bool(e.any())  # an entropy that is only logged costs nothing here
        chosen = g if shaping.forbidden is None else g.masked_fill(shaping.forbidden[actions], 0.0)
        for log_p, action, h, gs, es, of_chosen, out in zip(
            *(t.split(ctx.rows) for t in (kept, actions, entropy, g, e, chosen, grads)), strict=True
        ):
            # d log p[a] / d z = onehot(a) - p; d entropy / d z = -p (log p + H); both are 0 where p is
            weight = ((log_p + h[:, None]).mul_(es[:, None]) + gs[:, None]) if with_entropy else gs[:, None]
            grad = log_p.exp().mul_(-weight)
            grad.scatter_add_(1, action[:, None], of_chosen[:, None])
            out.copy_(grad)
        return grads, None, None, None


def log_prob_and_entropy(
    states: torch.Tensor, actions: torch.Tensor, project: Function, shaping: Shaping, tokens: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of actions and entropies, each of shape ``(n,)``, differentiable once.

    Args:
        states: ``(n, hidden_size)``.
        actions: ids ``(n,)``.
        project: turns states into raw logits ``(n, tokens)``; may have parameters.
        shaping: turns raw logits into those of the distribution.
        tokens: how many there are.
    """
    rows = rows_at_a_time(tokens)
    if _small(states, tokens) and torch.is_grad_enabled():
        return _LogProbAndEntropy.apply(project(states), actions, shaping, rows)
    log_prob, entropy = _in_chunks(
        lambda part, action: _LogProbAndEntropy.apply(project(part), action, shaping, rows), (states, actions), rows
    )
    return log_prob, entropy


class TokenCategorical(Categorical):
    """Next-token distributions over ``tokens`` tokens, differentiable twice.

    What gradients can flow to is kept as hidden states, and as logits too where these are small; so it is exact only until the weights
    change. Without gradients the raw logits are kept, once, since the distribution of an old policy has to outlive a step.

    ``logits``, ``probs`` and ``sample`` work as in any ``Categorical`` and make arrays of shape ``(n, tokens)``; ``log_prob``, ``entropy``
    and ``kl_divergence`` don't.

    Args:
        states: ``(n, hidden_size)``.
        project: turns states into raw logits ``(n, tokens)``; may have parameters.
        shaping: turns raw logits into those of the distribution.
        tokens: how many there are.
    """

    def __init__(self, states: torch.Tensor, project: Function, shaping: Shaping, tokens: int) -> None:
        self._num_events = tokens
        self._rows = rows_at_a_time(tokens)
        if torch.is_grad_enabled() and not _small(states, tokens):
            self._source = states
            self._shaped: Function = lambda part: shaping(project(part))
        else:
            self._source, self._shaped = project(states), shaping
        Distribution.__init__(self, torch.Size([len(states)]), validate_args=False)

    @property
    def logits(self) -> torch.Tensor:
        """Log-probabilities ``(n, tokens)``."""
        return torch.log_softmax(self._shaped(self._source), dim=-1)

    @property
    def probs(self) -> torch.Tensor:
        """Probabilities ``(n, tokens)``."""
        return torch.softmax(self._shaped(self._source), dim=-1)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of tokens ``(n,)``."""

        def of(part: torch.Tensor, action: torch.Tensor) -> tuple[torch.Tensor]:
            return (torch.log_softmax(self._shaped(part), dim=-1).gather(1, action[:, None])[:, 0],)

        return _in_chunks(of, (self._source, value.long()), self._rows)[0]

    def entropy(self) -> torch.Tensor:
        """Entropies ``(n,)``."""
        return _in_chunks(lambda part: (_entropy(torch.log_softmax(self._shaped(part), dim=-1)),), (self._source,), self._rows)[0]


@register_kl(TokenCategorical, TokenCategorical)
def _kl(p: TokenCategorical, q: TokenCategorical) -> torch.Tensor:
    def of(ours: torch.Tensor, theirs: torch.Tensor) -> tuple[torch.Tensor]:
        log_p, log_q = torch.log_softmax(p._shaped(ours), dim=-1), torch.log_softmax(q._shaped(theirs), dim=-1)
        return ((log_p.exp() * (log_p - log_q)).sum(dim=-1),)

    return _in_chunks(of, (p._source, q._source), p._rows)[0]


def rows_at_a_time(tokens: int) -> int:
    """In how large chunks to work, given the size of the vocabulary."""
    return max(1, CHUNK // tokens)


def _small(states: torch.Tensor, tokens: int) -> bool:
    return 4 * len(states) * tokens <= KEPT_BYTES


def _entropy(log_p: torch.Tensor) -> torch.Tensor:
    return -(log_p.exp() * log_p).sum(dim=-1)


def _in_chunks(function: Callable[..., tuple[torch.Tensor, ...]], tensors: Sequence[torch.Tensor], rows: int) -> tuple[torch.Tensor, ...]:
    """What the function gives for some rows at a time; of what happens inside it nothing is kept for backward."""
    chunks = zip(*(tensor.split(rows) for tensor in tensors), strict=True)
    if torch.is_grad_enabled():
        parts = [checkpoint(function, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks]
    else:
        parts = [function(*chunk) for chunk in chunks]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))
