import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.annotation.pairs import Pair, paired, read_pairs, write_pairs
from lm_envs.user_data import DataError

ROWS = [{"prompt": "Hi", "a": "Hello.", "b": "What?"}, {"prompt": "Bye", "a": "Bye.", "b": "No."}]


def test_pairs_come_from_json_lines_csv_and_lists(tmp_path):
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, ROWS[0]]))
    (tmp_path / "p.csv").write_text("prompt,chosen,rejected,note\nHi,Hello.,What?,x\nBye,Bye.,No.,\n")
    expected = [Pair(**row) for row in ROWS]
    assert read_pairs(tmp_path / "p.jsonl") == expected, "each once"
    assert read_pairs(tmp_path / "p.csv", {"a": "chosen", "b": "rejected"}) == expected
    assert read_pairs(ROWS) == expected


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "Hi", "a": "x", "b": " x "}, "row 1: a and b are the same"),
        ({"prompt": "Hi", "a": "x"}, "no column 'b'"),
        ({"prompt": "Hi", "a": "x", "b": ""}, "b is empty"),
        ({"prompt": 3, "a": "x", "b": "y"}, "prompt must be text"),
        ({"prompt": "Hi", "a": "x", "b": "y" * 20_001}, "20,001 characters"),
    ],
)
def test_rows_that_are_no_pairs_are_named(row, message):
    with pytest.raises(DataError, match=message):
        read_pairs([row])


def test_an_id_follows_from_the_texts_and_their_order():
    assert Pair("p", "a", "b").id == Pair("p", "a", "b").id
    assert len({Pair(*texts).id for texts in (("p", "a", "b"), ("p", "b", "a"), ("pa", "", "b"), ("p", "ab", ""))}) == 4


TEXT = st.text(max_size=30)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=8))
def test_what_is_written_is_read(tmp_path_factory, rows):
    pairs = paired(*zip(*rows, strict=True))
    assert all(pair.prompt and pair.a and pair.b and pair.a != pair.b for pair in pairs)
    if pairs:
        path = tmp_path_factory.mktemp("pairs") / "p.jsonl"
        write_pairs(pairs, path)
        assert read_pairs(path) == pairs
        with pytest.raises(FileExistsError):
            write_pairs(pairs, path)
