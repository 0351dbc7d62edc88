"""Many prefixes of one text, one forward pass.

In a causal model the state after a prefix is already there when the whole text is read, one position earlier than the next token. So a
batch of observations is folded into its longest rows; those are read once, and each observation is a position in one of them.

    observations            rows            row  position
    the cat                                  0      1
    the cat sat      ->     the cat sat      0      2
    a dog                   a dog            1      1

Rows that begin alike (a shared system prompt, several replies to one message) are further written into sheets, where the shared beginning
stands once and a mask says which tokens each token sees. Both are exact.

    rows                    sheet                        positions
    the cat sat             the cat sat ran away         0 1 2 2 3       ("ran" sees "the cat", not "sat")
    the cat ran away
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import torch

Ids = npt.NDArray[np.int64]
Read = Callable[[torch.Tensor], torch.Tensor]
ReadSheets = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

# Sheets are filled up to this many tokens, or to the longest row: their attention is dense, so wider ones cost more than they save.
SHEET_WIDTH = 256

# Sheets are used where they have at most this share of the tokens that rows have: they need a mask, which slows attention.
SHEET_SHARE = 0.8

# Rows whose length is at most this share of the longest in a bucket go to another bucket: padding is work thrown away.
BUCKET_RATIO = 0.8


class Sheet(NamedTuple):
    """Several rows in one sequence, with what they share at their beginnings written once.

    Attributes:
        ids: tokens, ``(width,)``.
        positions: of each token in its row, ``(width,)``.
        places: for each row the indices of its tokens in the sheet, ``(length,)``.
        rows: the rows' numbers, in the order of ``places``.
    """

    ids: Ids
    positions: Ids
    places: list[Ids]
    rows: list[int]

    def mask(self, width: int) -> npt.NDArray[np.bool_]:
        """Which tokens each one sees: those before it in its row, and itself; of shape ``(width, width)``."""
        seen = np.eye(width, dtype=np.bool_)
        for places in self.places:
            seen[places[:, None], places] = np.tri(len(places), dtype=np.bool_)
        return seen


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
        for start, stop in _alike([len(row) for row in self.rows]):
            yield _padded(self.rows[start:stop]), np.arange(start, stop)

    def sheets(self) -> list[Sheet]:
        """The rows in sheets, the widest first."""
        width = max(SHEET_WIDTH, len(self.rows[0]))
        sheets: list[Sheet] = []
        ids: list[Ids] = []
        positions: list[Ids] = []
        places: list[Ids] = []
        members: list[int] = []
        used, before = 0, np.empty(0, dtype=np.int64)
        # In the order of their texts, a row shares more with the one before it than with any earlier one.
        for number in sorted(range(len(self.rows)), key=lambda i: self.rows[i].astype(">u8").tobytes()):
            row = self.rows[number]
            shared = _shared(before, row)
            if used + len(row) - shared > width:
                sheets.append(Sheet(np.concatenate(ids), np.concatenate(positions), places, members))
                ids, positions, places, members, used, shared = [], [], [], [], 0, 0
            ids.append(row[shared:])
            positions.append(np.arange(shared, len(row)))
            fresh = np.arange(used, used + len(row) - shared)
            places.append(np.concatenate([places[-1][:shared], fresh]) if shared else fresh)
            members.append(number)
            used, before = used + len(fresh), row
        sheets.append(Sheet(np.concatenate(ids), np.concatenate(positions), places, members))
        return sorted(sheets, key=lambda sheet: -len(sheet.ids))


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


def hidden_states(read: Read, packed: Packed, read_sheets: ReadSheets | None = None) -> torch.Tensor:
    """The state after each observation, of shape ``(n, hidden_size)``.

    Args:
        read: maps ids ``(rows, length)`` to the last hidden states ``(rows, length, hidden_size)`` of a causal model.
        packed: the observations.
        read_sheets: maps ids and positions ``(sheets, width)`` and what each token sees, ``(sheets, 1, width, width)``, to states
            ``(sheets, width, hidden_size)``; without it rows that share a beginning are read apart.
    """
    if read_sheets is not None and len(packed.rows) > 1:
        sheets = packed.sheets()
        if _area([len(sheet.ids) for sheet in sheets]) <= SHEET_SHARE * _area([len(row) for row in packed.rows]):
            return _states_of_sheets(read_sheets, packed, sheets)
    parts, members = [], []
    for ids, rows in packed.buckets():
        member = np.flatnonzero((packed.row >= rows[0]) & (packed.row <= rows[-1]))
        states = read(torch.from_numpy(ids).to(packed.device))
        parts.append(_pick(states, packed.row[member] - rows[0], packed.position[member]))
        members.append(member)
    return _in_order(parts, members)


def hidden_states_apart(read: Read, packed: Packed) -> torch.Tensor:
    """The same from a pass over each observation by itself, with others of its length: for models whose positions depend on that."""
    parts, members = [], []
    for end in np.unique(packed.position):
        member = np.flatnonzero(packed.position == end)
        ids = np.stack([packed.rows[row][: end + 1] for row in packed.row[member]])
        parts.append(read(torch.from_numpy(ids).to(packed.device))[:, -1])
        members.append(member)
    return _in_order(parts, members)


def _states_of_sheets(read: ReadSheets, packed: Packed, sheets: list[Sheet]) -> torch.Tensor:
    sheet_of = np.empty(len(packed.rows), dtype=np.int64)
    places: list[Ids] = [packed.rows[0]] * len(packed.rows)
    for number, sheet in enumerate(sheets):
        sheet_of[sheet.rows] = number
        for row, place in zip(sheet.rows, sheet.places, strict=True):
            places[row] = place
    sheet_of_observation = sheet_of[packed.row]
    place_of_observation = np.array([places[row][position] for row, position in zip(packed.row, packed.position, strict=True)])
    parts, members = [], []
    for start, stop in _alike([len(sheet.ids) for sheet in sheets]):
        bucket = sheets[start:stop]
        ids, positions = _padded([sheet.ids for sheet in bucket]), _padded([sheet.positions for sheet in bucket])
        mask = np.stack([sheet.mask(ids.shape[1]) for sheet in bucket])[:, None]
        member = np.flatnonzero((sheet_of_observation >= start) & (sheet_of_observation < stop))
        states = read(*(torch.from_numpy(array).to(packed.device) for array in (ids, positions, mask)))
        parts.append(_pick(states, sheet_of_observation[member] - start, place_of_observation[member]))
        members.append(member)
    return _in_order(parts, members)


def _alike(lengths: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of like length, as (start, stop), of falling lengths."""
    start = 0
    while start < len(lengths):
        stop = start + 1
        while stop < len(lengths) and lengths[stop] > BUCKET_RATIO * lengths[start]:
            stop += 1
        yield start, stop
        start = stop


def _area(lengths: list[int]) -> int:
    """Tokens that are read, padding included."""
    return sum(lengths[start] * (stop - start) for start, stop in _alike(lengths))


def _padded(arrays: list[Ids]) -> Ids:
    out = np.zeros((len(arrays), max(map(len, arrays))), dtype=np.int64)
    for i, array in enumerate(arrays):
        out[i, : len(array)] = array
    return out


def _shared(a: Ids, b: Ids) -> int:
    """Length of the longest common beginning."""
    n = min(len(a), len(b))
    differs = np.flatnonzero(a[:n] != b[:n])
    return int(differs[0]) if differs.size else n


def _pick(states: torch.Tensor, row: Ids, place: Ids) -> torch.Tensor:
    return states[torch.from_numpy(row).to(states.device), torch.from_numpy(place).to(states.device)]


def _in_order(parts: list[torch.Tensor], members: list[Ids]) -> torch.Tensor:
    if len(parts) == 1:
        return parts[0]
    return torch.cat(parts)[torch.from_numpy(np.argsort(np.concatenate(members))).to(parts[0].device)]
