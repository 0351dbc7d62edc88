"""KV slots: one cache row an environment, so that a step of a rollout reads one token a row.

Each row is compared with what its slot held last. What they share is kept; what is new is read: one token after a plain step, a chunk
after a new message or at the start of an episode. Rows have lengths of their own and never wait for each other.

    slot held     a b c d      a b c d       (nothing)
    row shows     a b c d e    a b x y       a b
    is read               e        x y       a b

All of it is one pass over one row of tokens, `x a e y b` here: the last token of each slot after those that come before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from agents.attention import View, additive
from agents.packing import Ids, Read, ReadSheets, hidden_states, pack

# Maps ids (1, tokens), positions (1, tokens) and the view that tells whose they are to the last hidden states (1, tokens, size).
ViewedRead = Callable[[torch.Tensor, torch.Tensor, View], torch.Tensor]

FIRST_CAPACITY = 64  # tokens a slot; doubled when a row outgrows it

# A beginning that rows share is read once and copied where that spares this many tokens, since it takes a pass of its own.
WORTH_A_PASS = 64

# Matrices of at most so many columns are multiplied faster when stored by columns (measured with MKL on an x86 CPU; larger ones aren't).
FEW_COLUMNS = 256


class Chunks(NamedTuple):
    """The tokens before the last ones of their rows.

    Attributes:
        slots: the rows that have such tokens, ``(rows,)``.
        positions: of their tokens, ``(rows, longest)``; beyond a row's end they go on counting.
        places: of these in the pass, ``(rows, longest)``; beyond a row's end its last one is repeated.
        inverse: row and column of each token in the above, ``(2, tokens)``.
        seen: how many positions are looked at.
    """

    slots: torch.Tensor
    positions: torch.Tensor
    places: torch.Tensor
    inverse: torch.Tensor
    seen: int


class Slots:
    """Keys and values of each layer, ``(slots, heads, capacity, size)``: a view in which a token sees what its own slot holds.

    Attributes:
        windows: the sliding windows that layers asked for.
    """

    def __init__(self) -> None:
        self.windows: set[int | None] = set()
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def aim(self, slots: int, capacity: int, where: torch.Tensor, chunks: Chunks | None, lasts: bool, seen: int, level: bool) -> None:
        """Say whose the tokens of the next pass are.

        Args:
            slots: number of slots.
            capacity: tokens a slot; more than before keeps what is there.
            where: slot and position of each token, ``(2, tokens)``.
            chunks: those that stand first, if any.
            lasts: whether the last token of each slot stands behind them, in the order of the slots.
            seen: how many positions those look at.
            level: whether those are all at the same position, so that they need no mask.
        """
        self._level = level
        self._slots, self._capacity, self._where, self._chunks, self._lasts, self._seen = slots, capacity, where, chunks, lasts, seen
        self._masks: dict[Any, torch.Tensor] = {}

    def copy(self, source: int, targets: torch.Tensor, length: int) -> None:
        """Copy the first positions of a slot to others."""
        for arrays in self._layers.values():
            for array in arrays:
                array[targets, :, :length] = array[source, :, :length]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None, window: int | None
    ) -> torch.Tensor:
        """See :class:`agents.attention.View`."""
        self.windows.add(window)
        keys, values = self._kept(layer, key, value)
        slot, position = self._where
        keys[slot, :, position] = key[0].transpose(0, 1).to(keys.dtype)
        values[slot, :, position] = value[0].transpose(0, 1).to(values.dtype)
        queries = query[0].transpose(0, 1).to(keys.dtype)  # (tokens, heads, size)
        attended = []
        if self._chunks is not None:
            attended.append(self._attend_chunks(self._chunks, queries, keys, values, scale, window))
        if self._lasts:
            # One token a slot: the heads that share a key stand where other passes have tokens.
            grouped = queries[-self._slots :].unflatten(1, (keys.shape[1], -1))
            mask = None
            if not self._level or (window is not None and window < self._seen):
                mask = self._mask("lasts", self._where[1, -self._slots :, None], self._seen, window, keys.dtype)
            seen = keys[:, :, : self._seen], values[:, :, : self._seen]
            attended.append(functional.scaled_dot_product_attention(grouped, *seen, mask, scale=scale).flatten(1, 2))
        return torch.cat(attended).to(query.dtype).transpose(0, 1)[None]

    def _attend_chunks(
        self, chunks: Chunks, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float | None, window: int | None
    ) -> torch.Tensor:
        groups = queries.shape[1] // keys.shape[1]
        keys, values = (a[chunks.slots, :, : chunks.seen].repeat_interleave(groups, dim=1) for a in (keys, values))
        mask = self._mask("chunks", chunks.positions, chunks.seen, window, keys.dtype)
        rows = queries[chunks.places].transpose(1, 2)  # (rows, heads, longest, size)
        attended = functional.scaled_dot_product_attention(rows, keys, values, mask, scale=scale)
        return attended.transpose(1, 2)[chunks.inverse[0], chunks.inverse[1]]

    def _mask(self, name: str, positions: torch.Tensor, seen: int, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        # Made once a pass for all layers of one window.
        if (name, window) not in self._masks:
            back = positions[:, None, :, None] - torch.arange(seen, device=positions.device)
            self._masks[name, window] = additive((back >= 0) if window is None else (back >= 0) & (back < window), dtype)
        return self._masks[name, window]

    def _kept(self, layer: int, *states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Arrays of a layer's keys and values, with room for the capacity."""
        arrays = self._layers.get(layer)
        if arrays is None or arrays[0].shape[2] < self._capacity:
            # Under autocast attention rounds keys and values anyhow: kept rounded, they take half the room and are rounded once.
            device = states[0].device.type
            dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else states[0].dtype
            shapes = [(self._slots, s.shape[1], self._capacity, s.shape[3]) for s in states]
            keys, values = (torch.zeros(shape, dtype=dtype, device=states[0].device) for shape in shapes)
            for new, old in zip((keys, values), arrays or (), strict=False):
                new[:, :, : old.shape[2]] = old
            self._layers[layer] = arrays = keys, values
        return arrays


class Decoder:
    """The slots of a batch of rows, and what they hold.

    Args:
        read: runs the model.
        slots: number of rows.
        device: where the model is.
    """

    def __init__(self, read: ViewedRead, slots: int, device: torch.device) -> None:
        self._read, self._slots, self._device = read, slots, device
        self.view = Slots()
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
        if (lengths - common).max() > 1:
            common = self._share(ids, lengths, common)
        states = self._advance(ids, common, lengths - 1, lasts=True)
        self._ids[:, :width] = ids
        self._held[:] = lengths
        return states[-self._slots :]

    def _share(self, ids: Ids, lengths: Ids, common: Ids) -> Ids:
        """Read what rows that begin anew have in common in one of them, and copy it; returns what each row then holds."""
        fresh = np.flatnonzero(lengths - common > 1)
        ends = np.minimum(lengths[fresh], lengths[fresh[0]]) - 1
        apart = (ids[fresh] != ids[fresh[0]]) | (np.arange(ids.shape[1]) >= ends[:, None])
        shared = int(apart.argmax(axis=1).min())
        needy = fresh[common[fresh] < shared]
        leader = int(fresh[common[fresh].argmax()])
        if (shared - common[needy]).sum() < shared - common[leader] + WORTH_A_PASS:
            return common
        if leader in needy:
            stop = common.copy()
            stop[leader] = shared
            self._advance(ids, common, stop, lasts=False)
        self.view.copy(leader, self._tensor(needy), shared)
        common = common.copy()
        common[needy] = shared
        return common

    def _advance(self, ids: Ids, start: Ids, stop: Ids, lasts: bool) -> torch.Tensor:
        """Read positions ``start`` to ``stop`` of each row, the latter included where the last tokens are wanted; states of all tokens."""
        count = stop - start
        slots = np.flatnonzero(count)
        row = np.repeat(slots, count[slots])
        begin = np.cumsum(count[slots]) - count[slots]
        column = np.arange(len(row)) - np.repeat(begin, count[slots])
        position = start[row] + column
        chunks = None
        if slots.size:
            step = np.arange(count.max())
            places = begin[:, None] + np.minimum(step, count[slots, None] - 1)
            inverse = np.stack([np.repeat(np.arange(len(slots)), count[slots]), column])
            positions = start[slots, None] + step
            chunks = Chunks(
                self._tensor(slots), self._tensor(positions), self._tensor(places), self._tensor(inverse), int(stop[slots].max())
            )
        if lasts:
            row, position = np.concatenate([row, np.arange(self._slots)]), np.concatenate([position, stop])
        told = self._tensor(np.stack([row, position, ids[row, position]]))
        self.view.aim(self._slots, self._ids.shape[1], told[:2], chunks, lasts, int(stop.max()) + 1, bool((stop == stop[0]).all()))
        return self._read(told[2:], told[1:2], self.view)[0]

    def _tensor(self, array: Ids) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


class FastWeights:
    """Copies of a model's weights in the form in which the products of decoding are fast; the results are the same.

    Under autocast they are bfloat16: it casts every weight anew in each forward pass, which is little beside a long text, and more than
    the rest beside one token. Else, on a CPU, small matrices are stored by columns: a few rows are so multiplied up to 1.5 times as fast.

    Args:
        model: a model in float32.
        half: whether autocast is on.
    """

    def __init__(self, model: nn.Module, half: bool) -> None:
        self._swaps: list[tuple[dict[str, Any], str, nn.Parameter, nn.Parameter]] = []
        copies: dict[int, nn.Parameter] = {}
        for module in model.modules():
            for name, weight in module._parameters.items() if isinstance(module, (nn.Linear, Conv1D)) else ():
                if weight is None or weight.dtype != torch.float32:
                    continue
                small = (
                    isinstance(module, nn.Linear) and name == "weight" and weight.shape[1] <= FEW_COLUMNS and weight.device.type == "cpu"
                )
                if id(weight) not in copies and (half or small):
                    copy = weight.detach().to(torch.bfloat16) if half else weight.detach().t().contiguous().t()
                    copies[id(weight)] = nn.Parameter(copy, requires_grad=False)
                if id(weight) in copies:
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
