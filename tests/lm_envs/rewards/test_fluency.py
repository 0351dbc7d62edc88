"""The bundled model's perplexities, against forward passes of single rows."""

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from lm_envs import assets, rewards  # noqa: E402
from lm_envs.rewards import Fluency, VaderSentiment, WeightedSum  # noqa: E402
from tests.lm_envs.fetched import skipped_without  # noqa: E402
from tests.lm_envs.rewards.exchanges import exchange  # noqa: E402

REPLIES = ["was good.", "was lovely, and we would go there again.", ", which was fine", "x", "<|im_end|>🙂", " was good.\n"]


@pytest.fixture(scope="module")
def fluency():
    return Fluency("tiny", batch_size=2)


def plainly(before, reply):
    """Mean log-probability by one row at a time."""
    folder = assets.path("tiny")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    first, second = (tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] for text in (before, reply))
    first = first or [tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id]
    with torch.no_grad():
        logits = model(torch.tensor([first + second])).logits[0].log_softmax(-1)
    return np.mean([float(logits[len(first) + at - 1, token]) for at, token in enumerate(second)])


def test_scores_are_mean_log_probabilities(fluency):
    found = fluency([exchange(reply, user="The film we saw") for reply in REPLIES])
    as_read = [" was good.", " was lovely, and we would go there again.", ", which was fine", " x", " <|im_end|>🙂", " was good."]
    expected = [max(-10.0, plainly("The film we saw", reply)) for reply in as_read]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    alone = Fluency("tiny", context="none")([exchange("was good.", user="The film we saw")])
    np.testing.assert_allclose(alone, [plainly("", "was good.")], atol=1e-4)


def test_perplexity_is_its_exponential(fluency):
    batch = [exchange("was good.", user="The film"), exchange("", user="The film"), exchange("zq xv", user="The film")]
    scores, perplexities = fluency(batch), fluency.perplexities(batch)
    assert perplexities[0] == pytest.approx(np.exp(-scores[0])) and 1 <= perplexities[0] < perplexities[2]
    assert perplexities[1] == np.inf and scores[1] == -10
    assert fluency([]) == []


def test_floor_context_and_length():
    batch = [exchange("zq xv jj", user="first"), exchange("was good.", user="a word " * 300)]
    assert Fluency("tiny", floor=-0.5)(batch)[0] == -0.5
    near = Fluency("tiny", context=lambda one: one.messages[0]["content"][-14:].strip())(batch)
    far = Fluency("tiny", max_length=10)(batch)
    assert all(-10 <= score < 0 for score in near + far)
    long = Fluency("tiny", max_length=4, floor=-50)([exchange("was good. " * 50, user="It")])
    short = Fluency("tiny", floor=-50)([exchange("was good.", user="It")])
    assert long == pytest.approx(short)  # " was good." is three tokens


def test_it_is_shared_pickled_and_composed(fluency):
    assert copy.deepcopy(fluency) is fluency
    again = pickle.loads(pickle.dumps(fluency))
    batch = [exchange("was good.", user="The film")]
    assert again(batch) == pytest.approx(fluency(batch))
    (score,) = rewards.score(WeightedSum([(VaderSentiment("positive"), 1.0), (fluency, 0.1)]), batch)
    assert score.components["fluency"] == pytest.approx(0.1 * fluency(batch)[0])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"context": "all"}, "'message', 'none' or a function; got 'all'"),
        ({"floor": 0}, "floor must be less than 0"),
        ({"max_length": 1}, "max_length must be at least 2"),
        ({"dtype": "int8"}, "'bfloat16'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        Fluency("tiny", **arguments)


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ImportError, match=r"lm-envs\[agents\]"):
        Fluency("tiny")


@pytest.mark.network
def test_a_real_model_finds_english_more_fluent_than_its_words_shuffled():
    with skipped_without("smollm2-135m"):
        fluency = Fluency("smollm2-135m")
    batch = [
        exchange(reply, user="The movie we saw last night")
        for reply in ("was moving, and we enjoyed it.", "enjoyed moving, we was it and.")
    ]
    plain, shuffled = fluency.perplexities(batch)
    assert plain < 100 < shuffled
