"""KV slots: one cache row an environment, so that a step of a rollout reads one token a row.

Each row is compared with what its slot held last. What they share is kept; what is new is read: one token after a plain step, a chunk
after a new message or at the start of an episode. Rows have lengths of their own and never wait for each other.

    slot held     a b c d      a b c d       (nothing)
    row shows     a b c d e    a b x y       a b
    is read               e        x y       a b
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import Cache
from transformers.pytorch_utils import Conv1D

from agents.packing import Ids, Read, ReadSheets, hidden_states, pack

# Maps ids (rows, new), positions (rows, new), a mask (rows, 1, new, seen) and a cache to the last hidden states (rows, new, size).
CachedRead = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Any], torch.Tensor]

FIRST_CAPACITY = 64  # tokens a slot; doubled when a row outgrows it


class Slots(Cache):
    """Keys and values of each layer in arrays ``(slots, capacity + 1, heads, size)``; the last position takes what isn't kept."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._arrays: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._where: tuple[torch.Tensor, torch.Tensor] | None = None

    def aim(self, slots: int, capacity: int, rows: torch.Tensor | None, positions: torch.Tensor, seen: int) -> None:
        """Say where the next tokens go.

        Args:
            slots: number of slots.
            capacity: tokens a slot; more than before keeps what is there.
            rows: the slots of the rows that are read, ``(rows,)``; ``None`` for all.
            positions: of the new tokens, ``(rows, new)``.
            seen: how many positions the new tokens can look at.
        """
        self._slots, self._capacity, self._rows, self._seen = slots, capacity, rows, seen
        row = torch.arange(slots, device=positions.device) if rows is None else rows
        self._where = row[:, None], positions

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep a layer's new keys and values ``(rows, heads, new, size)``; returns all that the rows' tokens may look at."""
        if layer_idx == len(self._arrays):
            self._arrays.append((self._empty(key_states), self._empty(value_states)))
        elif self._arrays[layer_idx][0].shape[1] <= self._capacity:
            self._arrays[layer_idx] = tuple(self._grown(array) for array in self._arrays[layer_idx])  # type: ignore[assignment]
        keys, values = self._arrays[layer_idx]
        keys[self._where] = key_states.transpose(1, 2).to(keys.dtype)  # type: ignore[index]
        values[self._where] = value_states.transpose(1, 2).to(values.dtype)  # type: ignore[index]
        return self._view(keys), self._view(values)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many positions are looked at; models ask when they are not told positions."""
        return self._seen

    def _empty(self, states: torch.Tensor) -> torch.Tensor:
        # Under autocast attention rounds keys and values anyhow: kept rounded, they take half the room and are rounded once.
        dtype = torch.get_autocast_dtype(states.device.type) if torch.is_autocast_enabled(states.device.type) else states.dtype
        _, heads, _, size = states.shape
        return torch.zeros(self._slots, self._capacity + 1, heads, size, dtype=dtype, device=states.device)

    def _grown(self, array: torch.Tensor) -> torch.Tensor:
        grown = array.new_zeros(self._slots, self._capacity + 1, *array.shape[2:])
        grown[:, : array.shape[1] - 1] = array[:, :-1]
        return grown

    def _view(self, array: torch.Tensor) -> torch.Tensor:
        seen = array[:, : self._seen]
        return (seen if self._rows is None else seen[self._rows]).transpose(1, 2)


class Decoder:
    """The slots of a batch of rows, and what they hold.

    Args:
        read: runs the model.
        slots: number of rows.
        device: where the model is.
    """

    def __init__(self, read: CachedRead, slots: int, device: torch.device) -> None:
        self._read, self._slots, self._device = read, slots, device
        self._cache = Slots()
        self._ids = np.zeros((slots, FIRST_CAPACITY), dtype=np.int64)
        self._held = np.zeros(slots, dtype=np.int64)

    def states(self, ids: Ids, lengths: Ids) -> torch.Tensor:
        """The last hidden state after each row, ``(slots, hidden_size)``.

        Args:
            ids: ``(slots, longest)``, padded on the right.
            lengths: ``(slots,)``.
        """
        width = ids.shape[1]
        if width > self._ids.shape[1]:
            capacity = max(width, 2 * self._ids.shape[1])
            self._ids = np.pad(self._ids, ((0, 0), (0, capacity - self._ids.shape[1])))
        # The last token is always read: its state is what is asked for.
        differs = (ids != self._ids[:, :width]) | (np.arange(width) >= np.minimum(self._held, lengths - 1)[:, None])
        common = differs.argmax(axis=1)
        self._held[:] = 0  # should reading fail, nothing is trusted
        fresh = np.flatnonzero(lengths - 1 > common)
        if fresh.size:
            self._advance(ids, fresh, common[fresh], lengths[fresh] - 1)
        states = self._advance(ids, None, lengths - 1, lengths)
        self._ids[:, :width] = ids
        self._held[:] = lengths
        return states[:, 0]

    def _advance(self, ids: Ids, rows: Ids | None, start: Ids, stop: Ids) -> torch.Tensor:
        capacity, seen = self._ids.shape[1], int(stop.max())
        positions = start[:, None] + np.arange((stop - start).max())
        beyond = positions >= stop[:, None]
        positions[beyond] = 0
        new = np.take_along_axis(ids if rows is None else ids[rows], positions, axis=1)
        kept_at = np.where(beyond, capacity, positions)
        visible = (np.arange(seen) <= positions[:, :, None])[:, None]
        self._cache.aim(self._slots, capacity, None if rows is None else self._tensor(rows), self._tensor(kept_at), seen)
        return self._read(self._tensor(new), self._tensor(positions), self._tensor(visible), self._cache)

    def _tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


class HalfWeights:
    """bfloat16 copies of the weights that autocast would cast, to be used while decoding.

    Autocast casts every weight anew in each forward pass. That is little beside a long text, and more than the rest beside one token.
    The results are the same.

    Args:
        model: a model in float32.
    """

    def __init__(self, model: nn.Module) -> None:
        self._swaps: list[tuple[dict[str, Any], str, nn.Parameter, nn.Parameter]] = []
        copies: dict[int, nn.Parameter] = {}
        for module in model.modules():
            if isinstance(module, (nn.Linear, Conv1D)):
                for name, weight in module._parameters.items():
                    if weight is not None and weight.dtype == torch.float32:
                        if id(weight) not in copies:
                            copies[id(weight)] = nn.Parameter(weight.detach().to(torch.bfloat16), requires_grad=False)
                        self._swaps.append((module._parameters, name, weight, copies[id(weight)]))

    @contextmanager
    def used(self) -> Iterator[None]:
        """The model with the copies in place."""
        for parameters, name, _, copy in self._swaps:
            parameters[name] = copy
        try:
            yield
        finally:
            for parameters, name, weight, _ in self._swaps:
                parameters[name] = weight


@torch.no_grad()
def probe(read: Read, read_sheets: ReadSheets, decoder: Decoder, vocabulary: int, device: torch.device) -> float:
    """How far states from slots and sheets are from plain ones, relative to their size; about 1e-6 where they are right.

    Rows of different lengths grow by a token, grow by a chunk, start anew with a shared beginning, and become shorter.

    Args:
        read: a plain pass, ids ``(rows, length)`` to states ``(rows, length, hidden_size)``.
        read_sheets: a pass over sheets, see :func:`agents.packing.hidden_states`.
        decoder: three slots.
        vocabulary: ids are drawn below it.
        device: where the model is.
    """
    rng = np.random.default_rng(0)
    ids = rng.integers(0, vocabulary, (3, 12))
    worst = 0.0
    for step, lengths in enumerate(([3, 5, 8], [4, 9, 5], [9, 2, 12])):
        if step == 1:
            ids[2, 2:] = rng.integers(0, vocabulary, 10)
        ends = np.array(lengths)
        cached = decoder.states(ids[:, : ends.max()], ends)
        plain = hidden_states(read, pack([row[:end] for row, end in zip(ids, ends, strict=True)], np.arange(3), ends - 1, device))
        worst = max(worst, float((cached - plain).norm() / plain.norm()))
    ids[1:, :6] = ids[0, :6]
    packed = pack(list(ids), np.arange(3), np.full(3, 11), device)
    plain, sheets = (hidden_states(read, packed, way) for way in (None, read_sheets))
    return max(worst, float((sheets - plain).norm() / plain.norm()))
