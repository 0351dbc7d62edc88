import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_envs import assets
from lm_envs.envs.dialogue import conversations, kept, retrieval
from lm_envs.envs.dialogue.retrieval import best
from tests.lm_envs.envs.dialogue.people import chats, index
from tests.lm_envs.fetched import skipped_without

TRAIN = index("train")


def test_the_likest_comes_first():
    found = TRAIN.nearest("What is your favourite food?", 5)
    said = [TRAIN.corpus.exchanges[row].said for row, _ in found]
    assert said[0] == "what is your favorite food?" and found[0][1] == pytest.approx(1)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert all("noodles" in TRAIN.corpus.exchanges[row].answer for row, _ in found)


@pytest.mark.parametrize("text", ["", "  ", "🙂", "zzzz qqqq", "\x00"])
def test_what_nobody_said_has_no_neighbours(text):
    assert TRAIN.nearest(text, 3) == [] and TRAIN.likeness(text, "what is your favorite food?") == 0


@given(st.text())
def test_any_text_can_be_searched(text):
    assert all(0 < score <= 1 for _, score in TRAIN.nearest(text, 4))
    assert 0 <= TRAIN.likeness(text, text) <= 1


def test_of_equals_the_first_are_chosen():
    scores = np.array([0.5, 0.9, 0.5, 0, 0.5], np.float32)
    assert [row for row, _ in best(scores, 2)] == [1, 0] and [row for row, _ in best(scores, 9)] == [1, 0, 2, 4]
    assert best(scores[:0], 3) == best(scores, 0) == []


def test_copies_share_and_pickles_work():
    assert copy.deepcopy(TRAIN) is TRAIN
    again = pickle.loads(pickle.dumps(TRAIN))
    assert again.nearest("how are you?", 3) == TRAIN.nearest("how are you?", 3)


def test_kept_is_what_was_made(tmp_path):
    corpus = conversations.corpus(chats(), "train")
    made = []

    def make():
        made.append(1)
        return kept.packed(corpus)

    path = tmp_path / "turns.npz"
    assert kept.load_or_make(path, make, kept.unpacked) == kept.load_or_make(path, make, kept.unpacked) == corpus and len(made) == 1
    path.write_bytes(path.read_bytes()[:-200])
    assert kept.load_or_make(path, make, kept.unpacked) == corpus and len(made) == 2
    path.write_bytes(b"")
    assert kept.load_or_make(path, make, kept.unpacked) == corpus and len(made) == 3
    assert not list(tmp_path.glob("*.part*"))


def test_where_nothing_can_be_kept_it_is_made_for_this_process(tmp_path):
    corpus = conversations.corpus(chats(), "test")
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert kept.load_or_make(blocked / "turns.npz", lambda: kept.packed(corpus), kept.unpacked) == corpus


def test_by_embeddings(monkeypatch):
    monkeypatch.setattr(retrieval.embeddings, "embed", lambda texts: np.eye(3, 384, dtype=np.float32)[[len(text) % 3 for text in texts]])
    corpus = conversations.corpus(chats(), "train")
    said = [exchange.said for exchange in corpus.exchanges]
    arrays = retrieval._embedded(said)
    assert arrays["vectors"].shape == (len(said), 384) and arrays["vectors"].dtype == np.float16
    made = retrieval.Index(corpus, retrieval.postings(said), arrays["vectors"])
    found = made.nearest("abcd", 5)
    assert found and all(len(said[row]) % 3 == 1 and score == 1 for row, score in found) and made.nearest(" ", 5) == []


@pytest.mark.network
def test_the_real_index():
    with skipped_without("chitchat"):
        if not assets.available("chitchat"):
            pytest.skip("chitchat isn't fetched")
        real = retrieval.load("test")
    assert len(real.corpus.exchanges) > 20_000 and len(real.corpus.starts) > 300
    row, score = real.nearest("Do you have any pets?", 1)[0]
    assert score > 0.8 and "pets" in real.corpus.exchanges[row].said
    assert pickle.loads(pickle.dumps(real)) is retrieval.load("test")
    assert all(conversations.part_of(start.id) == "test" for start in real.corpus.starts)
