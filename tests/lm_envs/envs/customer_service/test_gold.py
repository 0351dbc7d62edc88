"""Gold scripts succeed, silence and mutations fail, harmless variations succeed: the command, and what it is made of."""

import json

import pytest

from lm_envs.__main__ import main
from lm_envs.envs.customer_service import gold
from lm_envs.envs.customer_service.env import CustomerServiceEnv
from lm_envs.envs.sentiment import SentimentEnv
from lm_envs.types import SPLITS
from lm_envs.validation import GoldCase, replay, validate_gold

NAMES = {
    "no-op": {"no reply", "thanks and nothing else"},
    "mutation": {
        "an effect is missing",
        "another order_id",
        "another line_id",
        "another amount",
        "another variant_id",
        "another address",
        "another payment_id",
        "another topic",
        "no authentication",
        "changes before authentication",
        "an outcome isn't told",
        *(f"a false {kind}" for kind in ("amount", "date", "status", "tier", "points", "article", "order", "reason")),
    },
    "variation": {
        "an extra lookup at first",
        "a lookup made twice",
        "other words",
        "hermes form",
        "amounts spelt otherwise",
        "order numbers as numbers",
    },
}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_all_cases_come_out_as_they_must(split, count):
    tallies = validate_gold(CustomerServiceEnv(split=split, adversarial=0.3), episodes=count)
    assert {name: tally.wrong for name, tally in tallies.items() if tally.wrong} == {}
    if count == 1000:
        assert {kind: {name for of, name in tallies if of == kind} for kind in NAMES} == NAMES


def test_a_forbidden_request_needs_a_refusal():
    env = CustomerServiceEnv(intents=["out_of_scope"], max_needs=1)
    seed = next(seed for seed in range(50) if (env.reset(seed=seed), env.scenario.needs[0].due == "refuse")[1])
    assert replay(env, seed, gold.script(env, seed).replies) == 1
    assert replay(env, seed, ()) == 0
    assert replay(env, seed, ("I can't do that.",)) == 0, "not without the reason"


def test_what_is_counted():
    class Env(CustomerServiceEnv):
        def gold_cases(self, seed):
            replies = gold.script(self, seed).replies
            yield GoldCase("gold", "fine", replies)
            yield GoldCase("mutation", "none at all", replies)

    tallies = validate_gold(Env(), episodes=3, seed=5)
    assert tallies["gold", "fine"] == (3, 3, ()) and tallies["mutation", "none at all"] == (3, 3, (5, 6, 7))
    with pytest.raises(TypeError, match="no gold scripts"):
        validate_gold(SentimentEnv(), episodes=1)


def test_the_command(capsys):
    assert main(["validate", "lm_envs/CustomerService-v0", "--gold", "--episodes", "3", "--set", "adversarial=0.5", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["cases"][0] == {"kind": "gold", "name": "the expert's replies", "cases": 3, "succeeded": 3, "wrong": []}
    assert main(["validate", "lm_envs/CustomerService-v0", "--gold", "--episodes", "2"]) == 0
    assert "other words" in capsys.readouterr().out
    assert main(["validate", "lm_envs/Sentiment-v0", "--gold"]) == 2
    assert "no gold scripts" in capsys.readouterr().err
