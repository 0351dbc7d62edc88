"""Many prefixes of one text, one forward pass.

In a causal model the state after a prefix is already there when the whole text is read, one position earlier than the next token. So a
batch of observations is folded into its longest rows; those are read once, and each observation is a position in one of them.

    observations            rows            row  position
    the cat                                  0      1
    the cat sat      ->     the cat sat      0      2
    a dog                   a dog            1      1
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import torch

Ids = npt.NDArray[np.int64]

# Rows whose length is at most this share of the longest in a bucket go to another bucket: padding is work thrown away.
BUCKET_RATIO = 0.8


@dataclass(frozen=True)
class Packed:
    """Observations as positions in rows of tokens; what stands in for a batch of them.

    Attributes:
        rows: the texts, longest first, each of shape ``(length,)``.
        row: for each observation the row it is a prefix of, shape ``(n,)``.
        position: for each observation the index of its last token in that row, shape ``(n,)``.
        device: where results go.
    """

    rows: list[Ids]
    row: Ids
    position: Ids
    device: torch.device

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, index: Any) -> NoReturn:
        raise TypeError("packed observations cannot be sliced; TRPO's sub_sampling_factor must be 1")

    def to(self, device: torch.device) -> Packed:
        """The same observations with results on another device."""
        return Packed(self.rows, self.row, self.position, torch.device(device))

    def buckets(self) -> Iterator[tuple[Ids, Ids]]:
        """Runs of rows of like length: ``input_ids`` of shape ``(rows, length)``, padded on the right with 0, and their row numbers."""
        lengths = np.array([len(row) for row in self.rows])
        start = 0
        while start < len(lengths):
            stop = start + int(np.searchsorted(-lengths[start:], -BUCKET_RATIO * lengths[start], side="left"))
            ids = np.zeros((stop - start, lengths[start]), dtype=np.int64)
            for i, row in enumerate(self.rows[start:stop]):
                ids[i, : len(row)] = row
            yield ids, np.arange(start, stop)
            start = stop


def pack(rows: list[Ids], row: Ids, position: Ids, device: torch.device) -> Packed:
    """Packed observations from rows in any order."""
    order = np.argsort([-len(r) for r in rows], kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return Packed([rows[i] for i in order], rank[row], position, device)


def fold(observations: Mapping[str, torch.Tensor]) -> Packed:
    """Fold plain observations: those that are prefixes of others need no row of their own.

    Args:
        observations: ``input_ids`` and ``attention_mask`` of shape ``(n, length)``, padded on the right.
    """
    ids, lengths = unpad(observations)
    # Sorted as text, with padding before every token, all extensions of a prefix follow it in one run.
    n, width = ids.shape
    keys = np.where(np.arange(width) < lengths[:, None], ids + 1, 0).astype(">u4")
    order = np.argsort(np.ascontiguousarray(keys).view(f"S{4 * width}").ravel(), kind="stable")
    ids, lengths = ids[order], lengths[order]
    same = (ids[:-1] == ids[1:]) | (np.arange(width) >= lengths[:-1, None])
    folds = np.append(same.all(axis=1) & (lengths[:-1] <= lengths[1:]), False)  # into the one that follows
    row = np.empty(n, dtype=np.int64)
    row[order] = np.cumsum(~folds) - ~folds
    position = np.empty(n, dtype=np.int64)
    position[order] = lengths - 1
    return pack([ids[i, : lengths[i]] for i in np.flatnonzero(~folds)], row, position, observations["input_ids"].device)


def unpad(observations: Mapping[str, torch.Tensor]) -> tuple[Ids, Ids]:
    """Ids of shape ``(n, longest)`` and lengths ``(n,)`` of plain observations, as arrays; an empty row counts as one token."""
    lengths = np.maximum(observations["attention_mask"].sum(dim=1).cpu().numpy().astype(np.int64), 1)
    ids = observations["input_ids"][:, : int(lengths.max())].cpu().numpy().astype(np.int64, copy=False)
    return ids, lengths


def hidden_states(read: Callable[[torch.Tensor], torch.Tensor], packed: Packed) -> torch.Tensor:
    """The state after each observation, of shape ``(n, hidden_size)``.

    Args:
        read: maps ids ``(rows, length)`` to the last hidden states ``(rows, length, hidden_size)`` of a causal model.
        packed: the observations.
    """
    parts, members = [], []
    for ids, rows in packed.buckets():
        member = np.flatnonzero((packed.row >= rows[0]) & (packed.row <= rows[-1]))
        states = read(torch.from_numpy(ids).to(packed.device))
        row = torch.from_numpy(packed.row[member] - rows[0]).to(packed.device)
        parts.append(states[row, torch.from_numpy(packed.position[member]).to(packed.device)])
        members.append(member)
    if len(parts) == 1:
        return parts[0]
    order = torch.from_numpy(np.argsort(np.concatenate(members))).to(packed.device)
    return torch.cat(parts)[order]


class _LogProbAndEntropy(torch.autograd.Function):
    """Log-probabilities and entropies from raw logits, holding little more than the logits and their gradient in memory.

    Written out in autograd's own operations it would hold half a dozen arrays of that size.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, actions: torch.Tensor, shape: Callable[[torch.Tensor], torch.Tensor], rows: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        log_probs, entropies = [], []
        for part, action in zip(logits.split(rows), actions.split(rows), strict=True):
            log_p = torch.log_softmax(shape(part), dim=-1)
            log_probs.append(log_p.gather(1, action[:, None])[:, 0])
            entropies.append(-(log_p.exp() * log_p).sum(dim=-1))
        entropy = torch.cat(entropies)
        ctx.save_for_backward(logits, actions, entropy)
        ctx.shape, ctx.rows = shape, rows
        return torch.cat(log_probs), entropy

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_log_prob: torch.Tensor, grad_entropy: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        logits, actions, entropy = ctx.saved_tensors
        grads = []
        for part, action, h, g, e in zip(
            *(t.split(ctx.rows) for t in (logits, actions, entropy, grad_log_prob, grad_entropy)), strict=True
        ):
            raw = part.detach().requires_grad_()
            with torch.enable_grad():
                shaped = ctx.shape(raw)
            log_p = torch.log_softmax(shaped.detach(), dim=-1)
            p = log_p.exp()
            # d entropy / d z = -p (log p + H); d log p[a] / d z = onehot(a) - p
            grad = p * (-(log_p + h[:, None]) * e[:, None] - g[:, None])
            grad.scatter_add_(1, action[:, None], g[:, None])
            grads.append(torch.autograd.grad(shaped, raw, grad)[0])
        return torch.cat(grads), None, None, None


def log_prob_and_entropy(
    logits: torch.Tensor, actions: torch.Tensor, shape: Callable[[torch.Tensor], torch.Tensor], chunk: int = 2**23
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of actions and entropies, each of shape ``(n,)``, differentiable once.

    Args:
        logits: raw logits ``(n, num_tokens)``.
        actions: ids ``(n,)``.
        shape: turns raw logits into those of the distribution; acts on each row by itself.
        chunk: how many logits are worked on at a time.
    """
    return _LogProbAndEntropy.apply(logits, actions, shape, max(1, chunk // logits.shape[1]))
