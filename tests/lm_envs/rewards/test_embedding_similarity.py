"""Similarity on toy embeddings: cosines that are known, one call a batch."""

import numpy as np
import pytest

from lm_envs import assets, rewards
from lm_envs.rewards import EmbeddingSimilarity, embedding_similarity
from tests.lm_envs.fetched import skipped_without
from tests.lm_envs.rewards.exchanges import exchange

VECTORS = {"east": (1, 0), "north": (0, 1), "west": (-1, 0), "northeast": (0.6, 0.8)}


@pytest.fixture
def calls(monkeypatch):
    """Texts are where the compass says; the batches that were embedded."""
    batches = []

    def embed(texts, *, model, device):
        batches.append(list(texts))
        return np.array([VECTORS[text] for text in texts], np.float32).reshape(-1, 2)

    monkeypatch.setattr(embedding_similarity, "embed", embed)
    return batches


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"references": ["east"]}, [1, 0, -1, 0.6]),
        ({"references": ["east", "north"]}, [1, 1, 0, 0.8]),
        ({"references": ["east", "north"], "over": "mean"}, [0.5, 0.5, -0.5, 0.7]),
        ({"references": ["east"], "unlike": ["west"]}, [2, 0, -2, 1.2]),
        ({"references": "message"}, [0, 1, 0, 0.8]),
        ({"references": lambda one: one.scenario["like"]}, [-1, 0, 1, -0.6]),
        ({"references": lambda one: []}, [0, 0, 0, 0]),
    ],
)
def test_scores_are_cosines(calls, arguments, expected):
    similar = EmbeddingSimilarity(**arguments, device="cpu")
    batch = [exchange(text, user="north", scenario={"like": ["west"]}) for text in VECTORS]
    assert similar(batch) == pytest.approx(expected)
    assert [similar([one])[0] for one in batch] == pytest.approx(expected)


def test_a_batch_is_one_call_and_references_are_embedded_once(calls):
    similar = EmbeddingSimilarity(["east", "north"], unlike=["west"], device="cpu")
    similar([exchange(text) for text in ("northeast", "northeast", "east", " \n")])
    similar([exchange("north"), exchange("northeast")])
    assert calls == [["northeast", "east", "north", "west"], ["northeast"]]
    assert similar([exchange("")]) == [0] and similar([]) == [] and len(calls) == 2


def test_it_is_registered_and_named(calls):
    similar = rewards.resolve("similarity", {"references": ["east"], "device": "cpu", "name": "eastward"})
    assert rewards.score(similar, [exchange("northeast")])[0].components == pytest.approx({"eastward": 0.6})


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"over": "sum"}, "over must be one of 'max', 'mean'"),
        ({"references": "answer"}, "references must be 'message'"),
        ({"references": []}, "references must be"),
        ({"references": [3]}, "references must be"),
        ({"unlike": "bad"}, "unlike must be"),
    ],
)
def test_wrong_arguments_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        EmbeddingSimilarity(**arguments)


@pytest.mark.network
def test_a_real_encoder_knows_what_a_text_is_about():
    pytest.importorskip("torch")
    with skipped_without("minilm"):
        assets.path("minilm")
    similar = EmbeddingSimilarity(["The cat sleeps on the sofa."])
    near, far = similar([exchange("A kitten naps on the couch."), exchange("The central bank raised its rate.")])
    assert near > 0.5 > 0.2 > far
