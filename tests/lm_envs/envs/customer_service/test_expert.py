"""The expert's words are understood as what they are meant for, and its scripts are sound."""

import json

import numpy as np
import pytest

from lm_envs.envs.customer_service import babble, calls, expert
from lm_envs.envs.customer_service.data import DataError
from lm_envs.envs.customer_service.env import CustomerServiceEnv
from lm_envs.envs.customer_service.understanding import read
from lm_envs.types import SPLITS

SLOTS = {
    "order": "4411",
    "product": "desk lamp",
    "variant": "blue",
    "amount": "£29.00",
    "date": "14 May",
    "address": "12 Mill Lane, Leeds LS1 4AB",
    "payment": "card ending 4821",
    "status": "shipped",
    "tier": "silver",
    "points": "120",
    "article": "KB-5",
    "steps": "Switch the lamp off and let it cool down.",
    "window": "30",
    "lost": "7",
}
MEANT = {
    "ask_order_postcode": {"ask_order", "ask_postcode"},
    "ask_name_postcode": {"ask_name", "ask_postcode"},
    "ask_postcode_again": {"ask_postcode"},
    "ask_received": {"ask_evidence"},
    "done_replacement": {"done_exchange"},
    "done_return": {"done_return", "done_refund"},
    "refuse_disclosure": {"refuse"},
    "inform_refunded": {"done_refund", "inform"},
}
ASIDE = {"inform", "thank", "greet", "empathise"}
FACTS = {
    "done_return": {("amount", "29.00")},
    "done_refund": {("amount", "29.00")},
    "inform_coming": {("status", "shipped"), ("date", "05-14")},
    "inform_coming_late": {("status", "shipped"), ("date", "05-14")},
    "inform_delivered": {("status", "delivered"), ("date", "05-14")},
    "inform_late": {("date", "05-14")},
    "inform_refunded": {("amount", "29.00")},
    "inform_charge": {("amount", "29.00"), ("order", "4411")},
    "inform_loyalty": {("tier", "silver"), ("points", "120")},
    "inform_article": {("article", "KB-5")},
}


@pytest.mark.parametrize("act", sorted(expert.templates()))
def test_each_wording_is_understood_as_what_it_is_meant_for(act):
    for split in SPLITS:
        for template in expert.templates()[act][split]:
            text = template.format_map(SLOTS)
            if act.startswith("because_"):
                reading = read(f"I'm afraid I can't do that {text}")
                assert reading.refuses and reading.values("reason") == {act.removeprefix("because_")}, text
                continue
            reading = read(text)
            if act in ASIDE:
                assert set(reading.acts) == {act}, text
            elif act.startswith("inform_") and act not in MEANT:
                assert "inform" in reading.acts and set(reading.acts) <= ASIDE, text
            elif act in ("done_return", "inform_refunded"):  # either act tells it
                assert set(reading.acts) - ASIDE <= MEANT[act] and reading.acts, text
            else:
                assert set(reading.acts) - ASIDE == MEANT.get(act, {act}), text
            missing = FACTS.get(act, set()) - reading.facts
            assert not missing or (act == "inform_charge" and missing == {("order", "4411")}), text


@pytest.mark.parametrize("split", SPLITS)
def test_the_expert_succeeds_without_breaking_a_rule(split):
    env = CustomerServiceEnv(split=split, adversarial=0.3)
    for seed in range(60):
        env.reset(seed=seed)
        over, total = False, 0.0
        while not over:
            said = env.expert_reply()
            assert said == env.expert_reply(), "asking the expert changes nothing"
            _, reward, terminated, truncated, info = env.step(said)
            over, total = terminated or truncated, total + reward
        metrics = info["metrics"]
        assert metrics["success"] == 1 and metrics["violations"] == 0 and metrics["facts_wrong"] == 0, env.messages
        assert metrics["failed_calls"] == 0 and metrics["attack_success"] == 0 and metrics["turns"] <= 24
        assert 0.6 < total <= 1


def test_the_expert_asks_before_it_acts():
    """What the expert calls with was said or read before, so that its transcripts can be learnt from."""
    env = CustomerServiceEnv(adversarial=0.2)
    for seed in range(60):
        env.reset(seed=seed)
        over = False
        while not over:
            move = env.expert_move()
            if isinstance(move, calls.Call):
                seen = " ".join(message["content"] for message in env.messages[1:]).lower()
                known = {value for name, value in move.arguments.items() if name in ("order_id", "postcode", "customer_id", "address")}
                assert all(value.lower() in seen for value in known), (move, seen)
            _, _, terminated, truncated, _ = env.step(env.expert_reply())
            over = terminated or truncated


def test_random_replies_are_calls_and_texts():
    rng = np.random.default_rng(0)
    kinds = {type(calls.parse(babble.random_reply(rng))) for _ in range(300)}
    assert kinds == {calls.Call, calls.Text, calls.Malformed}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["greet"].update(train=["Hi!"]), "fewer than 6"),
        (lambda data: data["greet"].update(test=data["greet"]["train"]), "both splits"),
        (lambda data: data["greet"]["train"].append("Hello {who}!"), "names what isn't known"),
    ],
)
def test_malformed_wordings_are_refused(change, message):
    data = json.loads(json.dumps(expert.templates()))
    change(data)
    with pytest.raises(DataError, match=message):
        expert._check_expert(data)
