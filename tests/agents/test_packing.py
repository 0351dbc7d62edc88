import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.packing import fold, hidden_states, pack
from tests.agents.toys import random_observations


def observations(rows):
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), 3)
    mask = torch.zeros((len(rows), width), dtype=torch.int8)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), 1
    return {"input_ids": ids, "attention_mask": mask}


def causal(ids):
    """A stand-in for a causal model whose state says exactly which prefix was read."""
    state = torch.zeros(len(ids), dtype=torch.float64)
    states = []
    for column in ids.T:
        state = state * 1.618 + column + 1
        states.append(state)
    return torch.stack(states, dim=1)[:, :, None]


def test_example_of_the_docstring():
    packed = fold(observations([[7, 8], [7, 8, 9], [5, 2]]))
    assert [row.tolist() for row in packed.rows] == [[7, 8, 9], [5, 2]]
    assert packed.row.tolist() == [0, 0, 1] and packed.position.tolist() == [1, 2, 1]


# 0 and 255/256 are where byte-wise sorting could go wrong; 3 is the padding id, which is also a token.
rows = st.lists(st.lists(st.sampled_from([0, 1, 3, 255, 256, 70_000]), min_size=1, max_size=6), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(rows)
def test_fold_is_exact_and_minimal(rows):
    packed = fold(observations(rows))
    for i, row in enumerate(rows):
        assert packed.rows[packed.row[i]][: packed.position[i] + 1].tolist() == row
    leaders = {tuple(row) for row in rows if not any(len(o) > len(row) and o[: len(row)] == row for o in rows)}
    assert sorted(map(tuple, packed.rows)) == sorted(leaders)
    assert torch.equal(hidden_states(causal, packed), torch.stack([causal(torch.tensor([row]))[0, -1] for row in rows]))


def causal_by_mask(ids, positions, mask):
    """The same as `causal`, told by a mask what each token sees."""
    states = torch.zeros(*ids.shape, 1, dtype=torch.float64)
    for sheet in range(len(ids)):
        for token in range(ids.shape[1]):
            seen = torch.nonzero(mask[sheet, 0, token])[:, 0]
            if positions[sheet, seen].tolist() == list(range(len(seen))):
                states[sheet, token] = causal(ids[sheet, seen][None])[0, -1]
    return states


@settings(max_examples=200, deadline=None)
@given(rows, st.sampled_from([1, 5, 9, 100]))
def test_sheets_are_exact_and_write_shared_beginnings_once(rows, width):
    from agents import packing

    packed = fold(observations(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "SHEET_WIDTH", width)
        patch.setattr(packing, "SHEET_SHARE", 100.0)  # always
        sheets = packed.sheets()
        states = hidden_states(causal, packed, causal_by_mask)
    assert torch.equal(states, hidden_states(causal, packed))
    assert sorted(row for sheet in sheets for row in sheet.rows) == list(range(len(packed.rows)))
    assert max(len(sheet.ids) for sheet in sheets) <= max(width, len(packed.rows[0]))
    if width == 100:  # one sheet: a tree with a token for each distinct prefix
        assert len(sheets[0].ids) == len({tuple(row[:end]) for row in rows for end in range(1, len(row) + 1)})


def test_sheets_are_used_where_they_save():
    prompt = list(range(100, 130))
    packed = fold(observations([[*prompt, reply, reply] for reply in range(8)]))
    read, sheets = [], []
    plain = hidden_states(lambda ids: (read.append(ids.shape), causal(ids))[1], packed)
    states = hidden_states(causal, packed, lambda ids, *rest: (sheets.append(ids.shape), causal_by_mask(ids, *rest))[1])
    assert read == [(8, 32)] and sheets == [(1, 46)] and torch.equal(plain, states)
    apart = fold(observations([[reply, *prompt] for reply in range(8)]))
    hidden_states(causal, apart, lambda *_: pytest.fail("nothing is shared"))


def test_padding_is_bounded():
    lengths = [100, 99, 50, 49, 10, 9, 1]
    packed = pack([np.arange(n) for n in lengths[::-1]], np.arange(7), np.array(lengths[::-1]) - 1, torch.device("cpu"))
    shapes = [ids.shape for ids, _ in packed.buckets()]
    assert shapes == [(2, 100), (2, 50), (2, 10), (1, 1)]
    expected = torch.stack([causal(torch.arange(n)[None])[0, -1] for n in lengths[::-1]])
    assert torch.equal(hidden_states(causal, packed), expected)


def test_random_rows_fold():
    obs = random_observations(64)
    packed = fold(obs)
    assert len(packed) == 64 and len(packed.rows) <= 16
    assert fold(random_observations(64, prefixes=False)).row.max() > 40
    assert pickle.loads(pickle.dumps(packed)).position.tolist() == packed.position.tolist()


def test_slicing_says_what_to_do():
    with pytest.raises(TypeError, match="sub_sampling_factor must be 1"):
        fold(random_observations(4))[::2]
