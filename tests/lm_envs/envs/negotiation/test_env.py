import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lm_envs.envs.negotiation import NegotiationEnv, scoring
from lm_envs.envs.negotiation.opponent import KINDS, Kind, Opponent
from lm_envs.envs.negotiation.planner import planner
from lm_envs.envs.negotiation.reading import read
from lm_envs.envs.negotiation.speech import goods, personalities
from lm_envs.types import SPLITS
from lm_envs.validation import play, validate
from tests.lm_envs.envs.documented import check_metrics, check_signals


def made(kind=None, role="buyer", **kwargs):
    """An environment with a known opponent; the agent's limit is 300, the step 10."""
    env = NegotiationEnv(role=role, **kwargs)
    env.reset(seed=0)
    env._limit, env._good = 300, next(each for each in goods()["train"] if each.step == 10)
    env._opponent = Opponent(kind or Kind("linear", 10, 2, 4))
    return env


def say(env, reply):
    messages, reward, terminated, truncated, info = env.step(reply)
    assert not truncated
    return messages[-1]["content"], reward, terminated, info["metrics"]


@pytest.mark.parametrize(("role", "opening", "better"), [("buyer", "£320", "£290"), ("seller", "£280", "£310")])
def test_both_roles_are_the_same_game(role, opening, better):
    env = made(role=role)
    assert env._price(env._opponent.offers[-1]) == float(opening[1:])
    assert better in say(env, "Hello.")[0]
    said, reward, terminated, metrics = say(env, "Deal.")
    assert better in said and terminated and reward == pytest.approx(0.1)
    assert (metrics["deal"], metrics["success"], metrics["share"], metrics["left"]) == (1, 1, pytest.approx(0.1), 0)


def test_an_offer_that_is_good_enough_is_accepted():
    said, reward, terminated, _ = say(made(), "I can do £290.")
    assert terminated and "£290" in said and reward == pytest.approx(0.1)


def test_an_offer_that_is_not_gets_a_counter_offer():
    said, reward, terminated, metrics = say(made(), "I can do £200.")
    assert "£290" in said and (reward, terminated, metrics["offers"], metrics["deal"]) == (0, False, 1, 0)


def test_a_deal_beyond_the_own_limit_is_negative():
    said, reward, terminated, metrics = say(made(), "I accept your price of £320.")
    assert terminated and reward == pytest.approx(-0.2) and (metrics["deal"], metrics["success"]) == (1, 0)
    assert "£320" in said


@pytest.mark.parametrize("reply", ["I offer £999,999,999", "I offer 321"])
def test_more_than_is_asked_for_closes_at_what_is_asked_for(reply):
    said, reward, *_ = say(made(), reply)
    assert "£320" in said and reward == pytest.approx(-0.2)


def test_no_deal_ends_it_with_nothing():
    said, reward, terminated, metrics = say(made(), "No deal.")
    assert (reward, terminated, metrics["deal"], metrics["left"]) == (0, True, 0, 0) and "£" not in said


def test_the_other_side_leaves_at_its_deadline_after_a_last_offer():
    env = made()
    said = [say(env, "Too much.") for _ in range(4)]
    assert re.search("last|final", said[2][0].lower()) and "£230" in said[2][0]
    assert [each[2] for each in said] == [False, False, False, True]
    assert said[3][3]["left"] == 1 and said[3][1] == 0


def test_several_prices_are_asked_about():
    said, _, terminated, metrics = say(made(), "Something between 200 and 250.")
    assert not terminated and metrics["unread"] == 1 and "£290" in said
    assert said.split(". ")[-1] in " ".join(p for each in personalities() for p in each.paraphrases("unclear")).replace("{price}", "£290")


@pytest.mark.parametrize("reply", ["", "🙂", "1e309", "-5", "nan", "٣٠٠", "x" * 100_000, "£1 " * 30_000, "\x00\u202e", "100% deal-breaker"])
def test_what_says_nothing_passes_the_time(reply):
    said, reward, terminated, metrics = say(made(max_reply_chars=200_000, max_chars=10_000_000), reply)
    assert (reward, terminated, metrics["unread"], metrics["deal"]) == (0, False, 1, 0) and "£290" in said


def test_running_out_of_turns_is_no_deal():
    env = made(max_turns=2)
    say(env, "200")
    _, reward, terminated, metrics = say(env, "200")
    assert (reward, terminated, metrics["deal"], metrics["left"]) == (0, True, 0, 0)


@pytest.mark.parametrize("role", ["broker", "Buyer", 3])
def test_unknown_roles_are_refused(role):
    with pytest.raises(ValueError, match="role must be one of 'buyer', 'seller', None"):
        NegotiationEnv(role=role)


def test_no_options():
    with pytest.raises(ValueError, match="takes no options; got 'role'"):
        NegotiationEnv().reset(options={"role": "buyer"})


def test_roles_are_drawn_or_given():
    def roles(**kwargs):
        env = NegotiationEnv(**kwargs)
        return Counter("buy" if "want to buy" in env.reset(seed=seed)[0][0]["content"] else "sell" for seed in range(60))

    assert min(roles().values()) > 15
    assert set(roles(role="buyer")) == {"buy"} and set(roles(role="seller")) == {"sell"}


def test_nothing_hidden_is_shown():
    for seed in range(100):
        env = NegotiationEnv()
        messages, info = env.reset(seed=seed)
        hidden = f"{env._price(env._opponent.kind.gap):,.0f}"
        assert all(hidden not in re.findall(r"[\d,]+", message["content"]) for message in messages)
        assert env._opponent.kind.tactic not in str(messages) and set(info) == {"scenario", "metrics"}


def test_the_expert_knows_no_more_than_it_heard():
    first, second = made(Kind("linear", 10, 2, 4)), made(Kind("boulware", 4, 2, 8))
    assert first.expert_reply() == second.expert_reply()


def test_the_expert_goes_on_from_any_point():
    rng = np.random.default_rng(0)
    env = NegotiationEnv()
    for seed in range(40):
        env.reset(seed=seed)
        over = False
        while not over:
            reply = env.random_reply(rng) if rng.random() < 0.5 else env.expert_reply()
            over = env.step(reply)[2]


def test_expert_mean_is_the_planners_value():
    rewards = []
    for kind in KINDS[::3]:
        env = made(kind)
        over = False
        while not over:
            _, reward, over, _ = say(env, env.expert_reply())
        rewards.append(reward)
    assert np.mean(rewards) == pytest.approx(planner(8).value(), abs=0.02)


def test_random_replies_are_of_every_kind():
    env, rng = NegotiationEnv(), np.random.default_rng(0)
    assert {read(env.random_reply(rng), standing=1.0).act for _ in range(200)} >= {"offer", "accept", "leave", "nothing"}


def test_documented_metrics_and_signals_are_the_returned_ones():
    check_metrics(NegotiationEnv)
    check_signals(NegotiationEnv, scoring.reward.weights)


@pytest.mark.parametrize("split", SPLITS)
def test_players_score_as_published(split):
    scores = validate(NegotiationEnv(split=split), episodes=150)
    assert scores["expert"]["reward"].mean == pytest.approx(0.91, abs=0.04)
    assert scores["expert"]["metrics.success"].mean == 1
    assert scores["random"]["reward"].mean == pytest.approx(-0.05, abs=0.07)
    assert scores["noop"]["reward"].high == 0


def test_rewards_lie_in_their_range():
    for player in ("expert", "random"):
        for seed in range(100):
            assert -0.75 <= play(NegotiationEnv(), player, seed=seed).reward <= 1


def test_the_game_in_the_docs_is_current():
    env = NegotiationEnv(role="buyer", split="test", render_mode="ansi")
    play(env, "expert", seed=2)
    assert env.render().strip() in (Path(__file__).parents[4] / "docs" / "games.md").read_text(encoding="utf-8")
