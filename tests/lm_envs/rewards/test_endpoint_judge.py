"""Judges behind an endpoint: how answers are read, and the whole way through a server."""

import math
import pickle
import warnings

import gymnasium as gym
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lm_envs  # noqa: F401
from lm_envs import rewards
from lm_envs.endpoint import Answer, AnswerCache, BudgetSpent, EndpointError
from lm_envs.rewards import Constitution, EndpointJudge, RewardModelError
from lm_envs.rewards.endpoint_judge import score
from tests.lm_envs.endpoint.server import Running
from tests.lm_envs.rewards.exchanges import exchange

ANY_TIME = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
REPLIES = ["one", "one two", "one two three", "a b c d", "one two three four five", "one", ""]
SCORES = [2, 3, 4, 5, 1, 2, 1]  # by the server: 1 and the number of words, modulo 5


@pytest.fixture(scope="module")
def server():
    running = Running()
    yield running
    running.stop()


def judge(server, plan, **arguments):
    return EndpointJudge("fairness", url=server.url(plan), model="small", **arguments)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("4", 4), ("Score: 4", 4), (" 4.\n", 4), ("**Score:** 4/5", 4), ("4 out of 5", 4), ("I give it a 2.", 2), ("Score: 3.5", 3.5),
        ("1. It is fine. Score: 5", 5), ("score=2, since 1 of 7 is wrong", 2), ("Rating - 3", 3), ("3 (yes, 3)", 3),
        ("", None), ("five", None), ("0", None), ("6", None), ("Score: 10", None), ("-3", None), ("2024", None), ("between 2 and 3", None),
        ("Score: 2 or Score: 4", None), ("v4", None), ("4th", None), ("3,5", None), ("10/10", None), ("Score: NaN", None), ("٤", None),
    ],
)  # fmt: skip
def test_named_scores(content, found):
    assert score(Answer(content), 5) == found


def position(token, *others):
    return ((token, math.log(0.5)), *((other, math.log(weight)) for other, weight in others))


@pytest.mark.parametrize(
    ("content", "alternatives", "found"),
    [
        ("4", [position("4", ("2", 0.25))], (4 * 0.5 + 2 * 0.25) / 0.75),
        ("Score: 4", [position("Score"), position(":"), position(" 4", ("3", 0.25), (" 5", 0.25), ("10", 0.2), ("x", 0.1))], 4),
        ("1 thing. Score: 2", [position("1", ("5", 0.5)), position(" thing. Score: "), position("2", ("1", 0.5))], 1.5),
        ("4", [], 4),
        ("4", [position("four")], 4),
        ("4", [(("4", -math.inf),)], 4),
        ("nothing", [position("4")], None),
    ],
)
def test_expected_scores(content, alternatives, found):
    assert score(Answer(content, tuple(alternatives)), 5) == pytest.approx(found)


@ANY_TIME
@given(st.text(alphabet=st.sampled_from("0123456789.,/- Score:outf\n٤五")) | st.text(), st.integers(2, 9))
def test_a_score_is_on_the_scale_whatever_the_answer(content, points):
    found = score(Answer(content, (((content[:1], -0.5), ("2", -1.0)),)), points)
    assert found is None or 1 <= found <= points


def test_all_replies_are_judged_as_each_alone(server):
    batch = [exchange(reply) for reply in REPLIES]
    together = judge(server, "ok")(batch)
    assert together == [(score - 1) / 4 for score in SCORES]
    assert [judge(server, "ok")([one])[0] for one in batch] == together
    assert judge(server, "ok")([]) == []
    key, body = server.asked("ok")[0]
    assert body["temperature"] == 0 and body["max_tokens"] == 16 and body["logprobs"] and body["top_logprobs"] == 20


def test_log_probabilities_make_it_an_expectation(server):
    (found,) = judge(server, "logprobs")([exchange("one two three")])
    weights = {4: math.exp(-0.5), 3: math.exp(-1.0)}
    assert found == pytest.approx((sum(n * w for n, w in weights.items()) / sum(weights.values()) - 1) / 4)


def test_a_server_that_refuses_log_probabilities_is_asked_without(server):
    model = judge(server, "refuses", concurrency=1)
    assert model([exchange("a"), exchange("b")]) == [0.5, 0.5]
    assert model([exchange("c")]) == [0.5]
    assert ["logprobs" in body for _, body in server.asked("refuses")] == [True, False, False, False]
    with pytest.raises(EndpointError, match="status 400"):
        judge(server, "400")([exchange("a")])


def test_what_cannot_be_read_gets_the_lowest_reward_and_is_not_kept(server, tmp_path):
    cache = tmp_path / "kept.sqlite"
    model = judge(server, "chatty", cache=cache)
    with pytest.warns(UserWarning, match="'fairness': the judge's answer holds no score from 1 to 5, so the reward is 0: 'I would"):
        assert model([exchange("a"), exchange("b")]) == [0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model([exchange("a")])
    assert model.unparsed == 3 and len(AnswerCache(cache)) == 0
    with pytest.raises(RewardModelError, match="reward model 'fairness' raised ValueError: the judge's answer holds no score"):
        rewards.score(judge(server, "chatty", unparsable=None), [exchange("a")])


def test_parameters_replace_those_by_default(server):
    judge(server, "ok,ok", parameters={"max_tokens": None, "max_completion_tokens": 500, "seed": 3}, logprobs=False)([exchange("a")])
    ((_, body),) = server.asked("ok,ok")
    assert body.keys() == {"model", "messages", "temperature", "max_completion_tokens", "seed"}


def test_a_spent_budget_ends_it_and_names_the_judge(server, tmp_path):
    batch = [exchange("word " * number) for number in range(6)]
    model = judge(server, "ok,ok,ok", token_budget=850, concurrency=1, cache=tmp_path / "kept.sqlite")
    with pytest.raises(RewardModelError, match="'fairness' raised BudgetSpent: the token budget is spent") as error:
        rewards.score(model, batch)
    assert isinstance(error.value.__cause__, BudgetSpent)
    kept = len(AnswerCache(tmp_path / "kept.sqlite"))
    assert 0 < kept < len(batch)
    assert len(judge(server, "ok,ok,ok", cache=tmp_path / "kept.sqlite")(batch)) == len(batch)
    assert len(server.asked("ok,ok,ok")) == len(batch)  # nothing was paid for twice


def test_a_constitution_asks_for_all_principles_at_once(server):
    model = Constitution(judge=judge(server, "slow,ok", concurrency=8))
    with pytest.warns(UserWarning):
        (judged,) = rewards.score(model, [exchange("one two three")])
    assert set(judged.components) == {"truthfulness", "harmlessness", "fairness"}
    assert sorted(judged.components.values()) == pytest.approx([0, 0.25, 0.25])  # one of them was told "ok"


def test_environments_make_it_by_name(server):
    kwargs = {"criterion": "helpfulness", "url": server.url("ok,ok,ok,ok"), "model": "small"}
    envs = gym.make_vec("lm_envs/Sentiment-v0", num_envs=3, reward="endpoint_judge", reward_kwargs=kwargs)
    envs.reset(seed=0)
    _, scores, *_, infos = envs.step(("one two", "one", "one two three four"))
    assert scores.tolist() == [0.5, 0.25, 1.0] and infos["rewards"]["helpfulness"].tolist() == scores.tolist()
    with pytest.raises(TypeError, match="reward model 'endpoint_judge': missing a required argument: 'url'; reward_kwargs it takes: crit"):
        gym.make("lm_envs/Sentiment-v0", reward="endpoint_judge")


def test_pickled_ones_ask_the_same(server):
    again = pickle.loads(pickle.dumps(judge(server, "ok", name="mine")))
    assert again.name == "mine" and again([exchange("one two")]) == [0.5]


@pytest.mark.parametrize(
    ("arguments", "problem"), [({"context": -1}, "context"), ({"max_chars": 0}, "max_chars"), ({"unparsable": math.nan}, "unparsable")]
)
def test_wrong_arguments_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        EndpointJudge(url="http://x/v1", model="small", **arguments)
