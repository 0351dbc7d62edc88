import numpy as np
import pytest

from lm_envs import assets, embeddings
from tests.lm_envs.fetched import skipped_without


@pytest.fixture
def embed():
    pytest.importorskip("torch")
    with skipped_without("minilm"):
        assets.path("minilm")
    return embeddings.embed


def test_no_texts_need_no_model(monkeypatch):
    monkeypatch.setattr(embeddings, "_load", lambda: pytest.fail("loaded"))
    assert embeddings.embed([]).shape == (0, embeddings.DIMENSIONS)


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ImportError, match=r"lm-envs\[agents\]"):
        embeddings._load.__wrapped__()


@pytest.mark.network
def test_like_sentences_are_near(embed):
    found = embed(["The cat sleeps on the sofa.", "A kitten naps on the couch.", "The central bank raised its rate."])
    assert found.shape == (3, 384) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    likeness = found @ found.T
    assert likeness[0, 1] > 0.6 and likeness[0, 2] < 0.2


@pytest.mark.network
def test_a_text_has_one_embedding_whatever_is_beside_it(embed):
    texts = ["short", "a much longer sentence about nothing in particular, with more to come " * 9, "", "[SEP] [CLS] \U0001f642"]
    together = embed(texts)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_allclose(embed([text])[0], row, atol=1e-5)
    assert not np.allclose(embed(["a [SEP] b"]), embed(["a b"]), atol=1e-3)
