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
from typing import Any

import torch
from torch.distributions import Categorical, Distribution, register_kl
from torch.utils.checkpoint import checkpoint

Function = Callable[[torch.Tensor], torch.Tensor]

# Logits up to this size are kept for backward; beyond it they are projected again there, which costs a third more time in the head.
KEPT_BYTES = 2**27

# How many logits are worked on at a time: few enough that the arrays made of them stay small, enough for full speed.
CHUNK = 2**22


class _LogProbAndEntropy(torch.autograd.Function):
    """Log-probabilities and entropies from raw logits, holding little more than the logits and their gradient in memory."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, actions: torch.Tensor, shape: Function, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        log_probs, entropies = [], []
        for part, action in zip(logits.split(rows), actions.split(rows), strict=True):
            log_p = torch.log_softmax(shape(part), dim=-1)
            log_probs.append(log_p.gather(1, action[:, None])[:, 0])
            entropies.append(_entropy(log_p))
        entropy = torch.cat(entropies)
        ctx.save_for_backward(logits, actions, entropy)
        ctx.shape, ctx.rows = shape, rows
        return torch.cat(log_probs), entropy

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_log_prob: torch.Tensor, grad_entropy: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        logits, actions, entropy = ctx.saved_tensors
        grads = torch.empty_like(logits)
        for part, action, h, g, e, out in zip(
            *(t.split(ctx.rows) for t in (logits, actions, entropy, grad_log_prob, grad_entropy, grads)), strict=True
        ):
            raw = part.detach().requires_grad_()
            with torch.enable_grad():
                shaped = ctx.shape(raw)
            log_p = torch.log_softmax(shaped.detach(), dim=-1)
            p = log_p.exp()
            # d entropy / d z = -p (log p + H); d log p[a] / d z = onehot(a) - p
            grad = p * (-(log_p + h[:, None]) * e[:, None] - g[:, None])
            grad.scatter_add_(1, action[:, None], g[:, None])
            out.copy_(torch.autograd.grad(shaped, raw, grad)[0])
        return grads, None, None, None


def log_prob_and_entropy(
    states: torch.Tensor, actions: torch.Tensor, project: Function, shape: Function, tokens: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of actions and entropies, each of shape ``(n,)``, differentiable once.

    Args:
        states: ``(n, hidden_size)``.
        actions: ids ``(n,)``.
        project: turns states into raw logits ``(n, tokens)``; may have parameters.
        shape: turns raw logits into those of the distribution; acts on each row by itself.
        tokens: how many there are.
    """
    rows = rows_at_a_time(tokens)
    if _small(states, tokens) and torch.is_grad_enabled():
        return _LogProbAndEntropy.apply(project(states), actions, shape, rows)
    log_prob, entropy = _in_chunks(
        lambda part, action: _LogProbAndEntropy.apply(project(part), action, shape, rows), (states, actions), rows
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
        shape: turns raw logits into those of the distribution; acts on each row by itself.
        tokens: how many there are.
    """

    def __init__(self, states: torch.Tensor, project: Function, shape: Function, tokens: int) -> None:
        self._num_events = tokens
        self._rows = rows_at_a_time(tokens)
        if torch.is_grad_enabled() and not _small(states, tokens):
            self._source = states
            self._shaped: Function = lambda part: shape(project(part))
        else:
            self._source, self._shaped = project(states), shape
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
