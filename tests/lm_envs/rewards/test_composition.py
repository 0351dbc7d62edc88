import copy
import math
import pickle

import gymnasium as gym
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_envs import rewards
from lm_envs.rewards import Clip, Function, Gate, Length, Repetition, Signals, VaderSentiment, WeightedSum
from tests.lm_envs.rewards.exchanges import Counting, TwoParts, exchange
from tests.lm_envs.toys import EchoEnv


def const(value, name):
    return Function(lambda exchanges: [value] * len(exchanges), name)


def long_enough(e):
    return len(e.reply) > 1


@pytest.mark.parametrize(
    ("model", "reply", "components"),
    [
        (WeightedSum({const(1.0, "a"): 2.0, const(3.0, "b"): -1.0}), "x", {"a": 2.0, "b": -3.0}),
        (WeightedSum({"vader": 10.0}), "great", {"vader": 6.249}),
        (WeightedSum([(const(1.0, "a"), 0.0)]), "x", {"a": 0.0}),
        (
            WeightedSum({WeightedSum({const(1.0, "a"): 2.0, const(1.0, "b"): 3.0}): 10.0, const(1.0, "c"): 1.0}),
            "x",
            {"a": 20, "b": 30, "c": 1},
        ),
        (WeightedSum({Signals({"s": 2.0}): 0.5, const(1.0, "a"): 1.0}), "x", {"s": 3.0, "a": 1.0}),
        (WeightedSum({TwoParts(): 2.0}), "xyz", {"two_parts": 8.0}),
        (Gate(const(5.0, "a"), long_enough), "xy", {"a": 5.0}),
        (Gate(const(5.0, "a"), long_enough), "x", {"a": 0.0}),
        (Gate(const(5.0, "a"), long_enough, -1.0), "x", {"a": 0.0, "gate": -1.0}),
        (Gate(const(5.0, "a"), long_enough, -1.0), "xy", {"a": 5.0, "gate": 0.0}),
        (Gate(Signals({"s": 2.0}), long_enough, -1.0, name="short"), "x", {"s": 0.0, "short": -1.0}),
        (Gate("length", long_enough), "x " * 30, {"length": 0.0}),
        (Clip(const(5.0, "a")), "x", {"a": 1.0}),
        (Clip(const(-5.0, "a"), -2, 3), "x", {"a": -2.0}),
        (Clip(const(0.5, "a"), name="b"), "x", {"b": 0.5}),
        (Clip(WeightedSum({const(1.0, "a"): 2.0, const(1.0, "b"): 3.0}, name="sum"), 0, 4), "x", {"sum": 4.0}),
        (WeightedSum({Clip(Gate(const(9.0, "a"), long_enough, -9.0), -1, 2): 3.0, const(1.0, "b"): 1.0}), "x", {"gate": -3.0, "b": 1.0}),
        (WeightedSum({Clip(Gate(const(9.0, "a"), long_enough, -9.0), -1, 2): 3.0, const(1.0, "b"): 1.0}), "xy", {"gate": 6.0, "b": 1.0}),
    ],
)
def test_components_and_total(model, reply, components):
    (judged,) = rewards.score(model, [exchange(reply, signals={"s": 3.0})])
    assert judged.components == pytest.approx(components, abs=1e-3)
    assert list(judged.components) == list(components)
    assert judged.total == sum(judged.components.values())
    assert list(model([exchange(reply, signals={"s": 3.0})])) == [judged.total]


def every_model():
    parts = {
        VaderSentiment(): 1.0,
        Length(5): 0.3,
        Gate(Repetition(1), long_enough, -0.7): 0.1,
        Clip(Counting(), 0, 3): 0.2,
        TwoParts(): 0.01,
        Signals({"s": 0.5, "t": -0.25}): 1.5,
    }
    return Gate(WeightedSum(parts), lambda e: "stop" not in e.reply, -2.0, name="stopped")


words = st.lists(st.sampled_from(["great", "bad", "not", "stop", "ha", "🙂", "x"]), max_size=7).map(" ".join)
signals = st.fixed_dictionaries({"s": st.floats(-1, 1), "t": st.floats(-1, 1)})
batches = st.lists(st.builds(lambda r, s: exchange(r, said=["ha ha"], signals=s), words, signals), min_size=1, max_size=6)


@given(batches)
@settings(deadline=None, max_examples=40, derandomize=True)
def test_a_batch_is_the_same_as_one_by_one(batch):
    model = every_model()
    together = rewards.score(model, batch)
    assert together == [rewards.score(model, [e])[0] for e in batch]
    for judged in together:
        assert math.isfinite(judged.total)
        assert judged.total == sum(judged.components.values())
        assert tuple(judged.components) == model.component_names


def test_each_model_is_called_once_a_batch_with_what_passes():
    inner, outer, clipped = Counting("inner"), Counting("outer"), Counting("clipped")
    model = WeightedSum({Gate(inner, long_enough): 1.0, outer: 1.0, Clip(clipped): 1.0})
    rewards.score(model, [exchange("x"), exchange("yy"), exchange("zzz")])
    assert inner.batches == [["yy", "zzz"]]
    assert outer.batches == clipped.batches == [["x", "yy", "zzz"]]
    rewards.score(model, [exchange("x")])
    assert len(inner.batches) == 1 and len(outer.batches) == 2
    rewards.score(model, [])
    assert len(outer.batches) == 2


def test_an_error_names_the_model_inside():
    model = WeightedSum({"vader": 1.0, Gate(Clip(const(math.nan, "culprit")), long_enough): 1.0})
    with pytest.raises(rewards.RewardModelError, match="reward model 'culprit': expected 1 finite real numbers, got nan"):
        rewards.score(model, [exchange("xy")])

    def condition(e):
        raise RuntimeError("who knows")

    with pytest.raises(rewards.RewardModelError, match="reward model 'gate' raised RuntimeError: who knows"):
        rewards.score(Gate("vader", condition), [exchange("xy")])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: WeightedSum({}), "at least one part"),
        (lambda: WeightedSum({"vader": math.nan}), "the weight of vader: expected a finite number, got nan"),
        (lambda: WeightedSum({"vader": "1"}), "the weight of vader"),
        (lambda: WeightedSum({"nope": 1.0}), "unknown reward model 'nope'"),
        (lambda: WeightedSum([("vader", 1.0), (VaderSentiment(), 1.0)]), "several components named 'vader'"),
        (lambda: WeightedSum([(Signals({"a": 1}), 1.0), (const(1.0, "a"), 1.0)]), "several components named 'a'"),
        (lambda: Gate("vader", long_enough, math.inf), "otherwise: expected a finite number"),
        (lambda: Gate("vader", long_enough, 1.0, name="vader"), "give the gate another name"),
        (lambda: Clip("vader", 1, 0), "low must not be above high"),
        (lambda: Clip("vader", -math.inf, 0), "low: expected a finite number"),
    ],
)
def test_refused_when_made(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_copies_share_and_pickles_do_not():
    model = WeightedSum({VaderSentiment(): 1.0, Clip(Length(3)): 2.0, Gate(Repetition(), long_enough, -1.0): 1.0})
    assert copy.copy(model) is model and copy.deepcopy({"reward": [model]})["reward"][0] is model
    unpickled = pickle.loads(pickle.dumps(model))
    batch = [exchange("great great great great"), exchange("x")]
    assert unpickled is not model
    assert rewards.score(unpickled, batch) == rewards.score(model, batch)


class Network(rewards.Shared):
    """Stands for a model that must not be copied."""

    made = 0

    def __init__(self):
        Network.made += 1

    def __reduce__(self):
        raise AssertionError("copied by pickling")

    def __call__(self, exchanges):
        return [0.5] * len(exchanges)


class Plain:
    def __deepcopy__(self, memo):
        raise AssertionError("copied")

    def __call__(self, exchanges):
        return [0.5] * len(exchanges)


@pytest.mark.parametrize("model", [Network(), Function(Plain(), "plain"), WeightedSum({Function(Plain(), "plain"): 1.0})])
def test_gym_make_copies_no_shared_model(model):
    gym.register("test_rewards/Echo-v0", entry_point=EchoEnv)
    try:
        env = gym.make("test_rewards/Echo-v0", reward=model)
        assert env.unwrapped.reward_model is model
        assert gym.wrappers.TimeLimit(env, 5).spec.kwargs["reward"] is model
        env.reset(seed=0)
        assert env.step("x")[1] == 0.5
    finally:
        gym.registry.pop("test_rewards/Echo-v0")
