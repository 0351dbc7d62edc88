import functools
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from lm_envs import rewards
from tests.lm_envs.rewards.exchanges import Counting, TwoParts, exchange

BATCH = [exchange("a"), exchange("bb")]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        (1.0, 2.0),
        [True, 2],
        [Fraction(1), np.float32(2)],
        np.array([1, 2]),
        np.array([1, 2], dtype=np.float16),
        [np.array(1.0), np.array([2.0]).sum()],
    ],
)
def test_real_numbers_of_any_kind_are_scores(values):
    scores = rewards.score(lambda exchanges: values, BATCH)
    assert [s.total for s in scores] == [1.0, 2.0]
    assert all(type(s.total) is float for s in scores)


def test_tensors_of_any_dtype_are_scores():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.bfloat16, torch.int64):
        assert [s.total for s in rewards.score(lambda _, t=dtype: torch.tensor([1, 2], dtype=t), BATCH)] == [1.0, 2.0]
    with_grad = torch.tensor([1.0, 2.0], requires_grad=True)
    assert [s.total for s in rewards.score(lambda _: with_grad, BATCH)] == [1.0, 2.0]
    assert [s.total for s in rewards.score(lambda _: [with_grad[0], 2], BATCH)] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0], "one an exchange, got 1$"),
        ([1.0, 2.0, 3.0], "got 3"),
        ([], "got 0"),
        (np.ones((2, 1)), r"an array of shape \(2, 1\)"),
        (np.float64(1), r"an array of shape \(\)"),
        (1.0, "got a float"),
        (None, "got None"),
        ("ab", "got a str"),
        ({0: 1.0, 1: 2.0}, "got a dict"),
        ({1.0, 2.0}, "got a set"),
        ([1.0, math.nan], "got nan"),
        ([1.0, math.inf], "got inf"),
        (np.array([1.0, -np.inf]), "got -inf"),
        ([1.0, 1j], "got 1j"),
        ([1.0, None], "got None"),
        ([1.0, "2"], "got '2'"),
        ([1.0, [2.0]], "got \\[2.0\\]"),
        ([1.0, Decimal(2)], "got Decimal"),
    ],
)
def test_anything_else_is_an_error_that_names_the_model(values, said):
    with pytest.raises(rewards.RewardModelError, match=f"reward model 'mine': expected 2 finite real numbers.*{said}"):
        rewards.score(rewards.Function(lambda _: values, "mine"), BATCH)


def test_a_bad_score_shows_its_exchange():
    with pytest.raises(rewards.RewardModelError) as caught:
        rewards.score(lambda _: [0.0, math.nan], [exchange("fine"), exchange("bad", scenario={"id": "train/7"})])
    assert "'bad'" in str(caught.value) and "train/7" in str(caught.value) and "fine" not in str(caught.value)


def test_an_exception_is_chained_and_shows_the_exchange_shortened_and_printable():
    def broken(exchanges):
        raise KeyError("no such thing")

    with pytest.raises(rewards.RewardModelError, match="reward model 'broken' raised KeyError: 'no such thing'") as caught:
        rewards.score(broken, [exchange("\x1b[31mred\ud800 " + "x" * 10_000), *BATCH])
    message = str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)
    assert r"\x1b[31mred\ud800" in message and "\x1b" not in message
    assert len(message) < 1000 and "and 1 more exchange" in message
    message.encode()


def test_interrupts_are_not_caught():
    def interrupted(exchanges):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rewards.score(interrupted, BATCH)


def test_one_batch_is_one_call_and_an_empty_one_none():
    model = Counting()
    assert [s.total for s in rewards.score(model, BATCH)] == [1.0, 2.0]
    assert model.batches == [["a", "bb"]]
    assert rewards.score(model, []) == []
    assert len(model.batches) == 1


def test_components_are_logged_and_add_up():
    (first, second) = rewards.score(TwoParts(), BATCH)
    assert first == rewards.Score(2.0, {"one": 1.0, "length": 1.0})
    assert second == rewards.Score(3.0, {"one": 1.0, "length": 2.0})


def test_a_model_without_components_is_its_own():
    assert rewards.score(Counting(), BATCH)[1].components == {"counting": 2.0}
    assert rewards.score(functools.partial(lambda exchanges, k: [k] * len(exchanges), k=3), BATCH)[0].components == {"<lambda>": 3.0}


def test_bad_components_are_named():
    class Bad(TwoParts):
        def components(self, exchanges):
            return self.answer

    model = Bad()
    for answer, said in [
        ({"one": [1.0, math.nan]}, r"'two_parts \(component one\)'.*got nan"),
        ([1.0, 2.0], "components must return a mapping"),
        ({}, "components must return a mapping"),
        ({"one": [1.7e308] * 2, "two": [1.7e308] * 2}, "the components' sum isn't finite"),
    ]:
        model.answer = answer
        with pytest.raises(rewards.RewardModelError, match=said):
            rewards.score(model, BATCH)
    model.answer, model.component_names = {"one": [1.0, 1.0]}, ("one", "length")
    with pytest.raises(rewards.RewardModelError, match=r"expected the components \['one', 'length'\]"):
        rewards.score(model, BATCH)
