import importlib
import sys

import pytest

from lm_envs import rewards
from lm_envs.rewards import registry
from tests.lm_envs.rewards.exchanges import Counting, exchange


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_targets", dict(registry._targets))
    monkeypatch.setattr(registry, "_made", {})


def plain(exchanges):
    return [7.0] * len(exchanges)


def make_counting():
    return Counting("made")


HERE = __name__


@pytest.mark.parametrize("target", [plain, f"{HERE}:plain", lambda: plain])
def test_functions_and_makers(target):
    rewards.register("mine", target)
    assert rewards.score(rewards.resolve("mine"), [exchange("x")])[0].total == 7.0


@pytest.mark.parametrize("target", [Counting, make_counting, f"{HERE}:make_counting", f"{HERE}:Counting"])
def test_what_is_made_is_made_once(target):
    rewards.register("mine", target)
    assert isinstance(rewards.resolve("mine"), Counting)
    assert rewards.resolve("mine") is rewards.resolve("mine")


def test_registering_imports_nothing():
    rewards.register("mine", "antigravity:nothing")
    assert "antigravity" not in sys.modules
    assert "mine" in rewards.names()


def test_duplicates_and_malformed_targets_are_refused():
    with pytest.raises(ValueError, match="'vader' is registered already"):
        rewards.register("vader", plain)
    for name, target in [("", plain), ("x", "no_colon"), ("x", "module:"), ("x", 3)]:
        with pytest.raises(ValueError):
            rewards.register(name, target)
    assert "x" not in rewards.names()


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match=r"unknown reward model 'nope'; known: .*length, .*repetition, .*vader"):
        rewards.resolve("nope")


def test_objects_resolve_to_themselves():
    model = Counting()
    assert rewards.resolve(model) is model
    with pytest.raises(TypeError, match="the class Counting; make an instance"):
        rewards.resolve(Counting)
    with pytest.raises(TypeError, match="got a int"):
        rewards.resolve(3)


def test_a_maker_of_something_else_is_an_error():
    rewards.register("mine", lambda: 3)
    with pytest.raises(TypeError, match="'mine': expected a callable"):
        rewards.resolve("mine")


def test_entry_points_are_read_when_a_name_is_asked_for(tmp_path, monkeypatch):
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lm_envs.rewards]\nthird = third_party_rewards:reward\n")
    (tmp_path / "third_party_rewards.py").write_text("def reward(exchanges):\n    return [3.0] * len(exchanges)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert "third" in rewards.names()
    assert "third_party_rewards" not in sys.modules
    assert rewards.score(rewards.resolve("third"), [exchange("x")])[0].total == 3.0
    monkeypatch.delitem(sys.modules, "third_party_rewards")


@pytest.mark.parametrize("name", ["vader", "length", "repetition"])
def test_registered_names_score(name):
    (judged,) = rewards.score(rewards.resolve(name), [exchange("It was a great day for all of us.")])
    assert list(judged.components) == [name]


def make_with(length, word="x"):
    return lambda exchanges: [float(length)] * len(exchanges)


def test_arguments_make_another_and_equal_ones_the_same():
    rewards.register("mine", Counting)
    named = rewards.resolve("mine", {"name": "other"})
    assert named.name == "other" and named is rewards.resolve("mine", {"name": "other"}) is not rewards.resolve("mine")
    rewards.register("made", make_with)
    assert rewards.score(rewards.resolve("made", {"length": 3}), [exchange("x")])[0].total == 3
    unwritable = {"length": 3, "word": object()}
    assert rewards.resolve("made", unwritable) is not rewards.resolve("made", unwritable)


@pytest.mark.parametrize(
    ("spec", "arguments", "problem"),
    [
        ("mine", {"nmae": "x"}, "reward model 'mine': got an unexpected keyword argument 'nmae'; reward_kwargs it takes: name"),
        ("made", {"word": "x"}, "reward model 'made': missing a required argument: 'length'; reward_kwargs it takes: length, word"),
        (plain, {"x": 1}, "one that is made already takes none"),
    ],
)
def test_arguments_that_do_not_fit_are_named(spec, arguments, problem):
    rewards.register("mine", Counting)
    rewards.register("made", make_with)
    with pytest.raises(TypeError, match=problem):
        rewards.score(rewards.resolve(spec, arguments), [exchange("x")])
