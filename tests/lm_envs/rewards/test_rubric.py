"""Rubrics and constitutions of toy judges: what is asked, in which order, and what comes out."""

import gymnasium as gym
import pytest

import lm_envs  # noqa: F401
from lm_envs import rewards
from lm_envs.rewards import Constitution, Criterion, Function, RewardModelError, Rubric, Shared
from lm_envs.rewards.judging import CriterionJudge
from lm_envs.user_data import DataError
from tests.lm_envs.rewards.exchanges import Counting, exchange


class Toy(CriterionJudge):
    """Says that a reply of n words has n of the criterion's points."""

    criterion = Criterion.load("helpfulness")
    name = "toy"

    def by_criterion(self, exchanges, criteria):
        self.asked = [criterion.name for criterion in criteria]
        return [[criterion.reward(min(criterion.points, len(one.reply.split()))) for one in exchanges] for criterion in criteria]


def part(model, **fields):
    return {"reward": model, **fields}


def polite():
    return Function(lambda exchanges: [float("please" in one.reply) for one in exchanges], "polite")


REPLIES = ["please", "no", "please stay", "go"]


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        ([], [2 * 6 + 3, 2 * 2, 2 * 11 + 3, 2 * 2]),
        ([{"component": "polite", "at_least": 1, "otherwise": -5}], [15, -5, 25, -5]),
        ([{"component": "polite", "at_least": 1}], [15, 0, 25, 0]),
        ([{"component": "polite", "at_most": 0, "otherwise": 1}], [1, 4, 1, 4]),
        ([{"component": "length", "at_least": 2, "at_most": 6, "otherwise": -1}], [15, 4, -1, 4]),
        (
            [
                {"component": "polite", "at_least": 0.5, "otherwise": -5},
                {"component": "length", "at_most": 6, "otherwise": -1, "name": "brevity"},
            ],
            [15, -5, -1, -5],
        ),
    ],
)
def test_weights_and_gates(gates, expected):
    rubric = Rubric({"components": {"length": part(Counting(), weight=2), "polite": part(polite(), weight=3)}, "gates": gates})
    batch = [exchange(reply) for reply in REPLIES]
    judged = rewards.score(rubric, batch)
    assert [one.total for one in judged] == expected
    assert [rewards.score(rubric, [one])[0] for one in batch] == judged
    assert all(set(one.components) == set(rubric.component_names) for one in judged)


def test_what_a_gate_shuts_out_is_not_asked_about():
    cheap, dear, gate_only = Counting(), Counting(), Counting()
    rubric = Rubric(
        {
            "components": {"dear": part(dear), "cheap": part(cheap, weight=1), "last": part(gate_only, weight=0)},
            "gates": [{"component": "cheap", "at_least": 3, "otherwise": -1}, {"component": "last", "at_most": 5}],
        }
    )
    (a, b, c) = rewards.score(rubric, [exchange(reply) for reply in ("no", "please", "yes")])
    assert (a.total, b.total, c.total) == (-1, 0, 6)
    assert cheap.batches == [["no", "please", "yes"]] and gate_only.batches == [["please", "yes"]] and dear.batches == [["yes"]]
    assert a.components == {"dear": 0, "cheap": 0, "gate_cheap": -1}
    rewards.score(rubric, [exchange("no")])
    assert len(dear.batches) == 1


FILE = """
name = "desk"

[components.short]
reward = "length"
reward_kwargs = {target = 2, unit = "words"}

[components.fresh]
reward = "repetition"
weight = 0.5

[[gates]]
component = "short"
at_least = -0.25
otherwise = -1
"""


def test_a_file_is_a_reward_by_name(tmp_path):
    path = tmp_path / "desk.toml"
    path.write_text(FILE)
    env = gym.make("lm_envs/Sentiment-v0", reward="rubric", reward_kwargs={"source": str(path)})
    env.reset(seed=0)
    _, reward, *_, info = env.step("good film")
    assert reward == 0 and info["rewards"] == {"short": 0, "fresh": 0, "gate_short": 0}
    env.reset(seed=0)
    assert env.step("good " * 9)[1] == -1
    assert Rubric(path).name == "desk"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("[components.fresh]", "[components.fresh"), r"desk.toml: .*line 8"),
        (("[[gates]]", "[[gate]]"), "desk.toml: unknown key 'gate'; known: name, components, gates"),
        (("weight", "wieght"), "desk.toml.components.fresh: unknown key 'wieght'; known: reward, reward_kwargs, weight"),
        (("0.5", '"much"'), "desk.toml.components.fresh.weight: expected a finite number, got 'much'"),
        (("0.5", "inf"), "desk.toml.components.fresh.weight: expected a finite number"),
        (("0.5", "true"), "desk.toml.components.fresh.weight: expected a finite number, got True"),
        (('reward = "repetition"', ""), "desk.toml.components.fresh: no 'reward'"),
        (('"repetition"', '"repetitoin"'), "desk.toml.components.fresh.reward: unknown reward model 'repetitoin'; known: "),
        (('"repetition"', "3"), "desk.toml.components.fresh.reward: reward must be a registered name"),
        (("target = 2", "targte = 2"), "desk.toml.components.short.reward: reward model 'length': .*'targte'; .*target, tolerance"),
        (("target = 2", "target = -2"), "desk.toml.components.short.reward: target must be more than 0"),
        (('{target = 2, unit = "words"}', "7"), "desk.toml.components.short.reward_kwargs: expected a table"),
        (('component = "short"', 'component = "shirt"'), r"desk.toml.gates\[0\].component: no component 'shirt'; components: 'short', "),
        (("at_least = -0.25", ""), r"desk.toml.gates\[0\]: a gate needs 'at_least' or 'at_most'"),
        (("at_least = -0.25", "at_least = 1\nat_most = 0"), r"desk.toml.gates\[0\]: at_least must not be above at_most; got 1 and 0"),
        (("otherwise = -1", 'otherwise = -1\nname = "fresh"'), "desk.toml: several components or gates named 'fresh'"),
        (("[components.", "[parts."), "desk.toml: unknown key 'parts'"),
    ],
)
def test_malformed_files_are_named_by_place(tmp_path, change, problem):
    path = tmp_path / "desk.toml"
    path.write_text(FILE.replace(*change))
    with pytest.raises(DataError, match=problem):
        Rubric(path)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({}, "rubric: no 'components'"),
        ({"components": {}}, "rubric.components: a rubric needs at least one"),
        ({"components": 3}, "rubric.components: expected a table"),
        ({"components": {"a": part(polite(), weight=0)}}, "so there is no reward"),
        ({"components": {"a": part(polite())}, "gates": {}}, "rubric.gates: expected a list"),
        ({"components": {"a": part(polite())}, "gates": [3]}, r"rubric.gates\[0\]: expected a table"),
        ({"components": {"a": part(polite(), reward_kwargs={"x": 1})}}, "reward_kwargs are for a reward model's registered name"),
    ],
)
def test_malformed_mappings_are_too(source, problem):
    with pytest.raises(DataError, match=problem):
        Rubric(source)


def test_a_broken_part_is_named():
    rubric = Rubric({"components": {"a": part(Function(lambda exchanges: [float("nan")] * len(exchanges), "broken"))}})
    with pytest.raises(RewardModelError, match="'broken': expected 1 finite real numbers, got nan"):
        rewards.score(rubric, [exchange("x")])


def test_principles_are_components_that_sum_to_the_reward():
    toy = Toy()
    mine = Criterion("brevity", "How brief is it?", ("Long.", "So so.", "Short."))
    constitution = Constitution(["truthfulness", "fairness", mine], judge=toy)
    (judged,) = rewards.score(constitution, [exchange("one two")])
    assert judged.components == pytest.approx({"truthfulness": 0.25 / 3, "fairness": 0.25 / 3, "brevity": 0.5 / 3})
    assert toy.asked == ["truthfulness", "fairness", "brevity"]
    weighed = Constitution(judge=toy, weights={"truthfulness": 1, "harmlessness": 2, "fairness": 0})
    assert rewards.score(weighed, [exchange("one two")])[0].total == 0.75
    assert toy([exchange("one two three")]) == [0.5] and rewards.score(constitution, []) == []


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"principles": []}, ValueError, "at least one principle"),
        ({"principles": "fairness"}, ValueError, "must be a sequence"),
        ({"principles": ["fairness", "fairness"]}, ValueError, "several principles named 'fairness'"),
        ({"principles": ["kindness"]}, DataError, "unknown criterion 'kindness'"),
        ({"weights": {"fairness": 1}}, ValueError, "weights must be for truthfulness, harmlessness, fairness; got fairness"),
        ({"judge": "vader"}, TypeError, "must be a CriterionJudge, got a VaderSentiment"),
        ({"judge": "nobody"}, ValueError, "unknown reward model 'nobody'"),
    ],
)
def test_wrong_constitutions_are_refused(arguments, error, problem):
    with pytest.raises(error, match=problem):
        Constitution(**{"judge": Toy(), **arguments})


def test_judges_are_shared():
    assert issubclass(CriterionJudge, Shared)
