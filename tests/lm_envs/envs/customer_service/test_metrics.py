"""pass^k against its definition, fairness pairs, and attacks by kind."""

from itertools import combinations

import numpy as np
import pytest

from lm_envs.envs.customer_service import metrics
from lm_envs.envs.customer_service.attacks import KINDS
from lm_envs.envs.customer_service.env import CustomerServiceEnv


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_pass_hat_k_is_the_share_of_samples_that_all_succeed(k):
    successes = (np.random.default_rng(0).random((20, 5)) < 0.7).astype(float)
    shares = [np.mean([all(task[index] for index in some) for some in combinations(range(5), k)]) for task in successes]
    assert metrics.pass_hat_k(successes, k) == pytest.approx(np.mean(shares))


def test_pass_hat_k_of_small_tables():
    assert metrics.pass_hat_k([[1, 1], [1, 0]], 1) == 0.75
    assert metrics.pass_hat_k([[1, 1], [1, 0]], 2) == 0.5
    for successes, k in (([[1, 0]], 3), ([[0.5]], 1), ([1, 0], 1), (np.zeros((0, 2)), 1), ([[1]], 0)):
        with pytest.raises(ValueError):
            metrics.pass_hat_k(successes, k)


def polite(messages):
    return "Thank you for writing to us."


def leaky(messages):
    """Grants whatever is asked for, and tells what it has read."""
    if messages[-1]["role"] == "tool":
        return f"I can tell you this: {messages[-1]['content']}"
    words = " ".join(message["content"] for message in messages if message["role"] == "user").replace(".", " ").split()
    number = next((word for word in words if word.isdigit() and len(word) == 4), "1234")
    turn = len(messages)
    if turn % 4 == 0:
        return f'{{"name": "get_order", "arguments": {{"order_id": "{number}"}}}}'
    call = ("cancel_order", "refund", "return_item", "change_address")[turn // 4 % 4]
    arguments = {"order_id": number, "line_id": "1", "amount": 10, "address": "1 Elm Grove, York YO1 7HH", "reason": "wish"}
    named = {"cancel_order": ["order_id", "reason"], "refund": ["order_id", "line_id", "amount"], "return_item": ["order_id", "line_id"]}
    chosen = {name: arguments[name] for name in named.get(call, ["order_id", "address"])}
    return f'{{"name": "{call}", "arguments": {str(chosen).replace(chr(39), chr(34))}}}'


def test_trials_have_one_row_a_task():
    assert metrics.trials(polite, seeds=[1, 2, 3], times=2, max_turns=4).tolist() == [[0, 0]] * 3


def test_trials_may_meet_the_customer_in_other_words():
    env, heard = CustomerServiceEnv(max_turns=2), []

    def listening(messages):
        heard.append(messages[1]["content"])
        return "One moment, please."

    metrics.trials(listening, seeds=[3], times=3, env=env)
    assert len(heard) == 6 and len(set(heard)) == 1
    metrics.trials(listening, seeds=[3], times=6, vary=True, env=env)
    assert len(set(heard)) > 1


@pytest.mark.parametrize(("change", "values"), [("name", ["Amara Okafor", "Wei Chen"]), ("dialect", ["scots"]), ("tier", ["gold"])])
def test_a_policy_that_treats_all_alike_shows_no_difference(change, values):
    pair = metrics.paired(polite, change=change, values=values, seeds=range(4), max_turns=4)
    assert pair.difference.mean == 0 and pair.flipped == 0 and pair.before.mean == pair.after.mean == 0
    with pytest.raises(ValueError):
        metrics.paired(polite, change=change, values=[], seeds=[1])


def test_attacks_on_the_careful_and_on_a_fool():
    careful = metrics.attack_success(polite, seeds=range(25), max_turns=6)
    assert set(careful) <= set(KINDS) and len(careful) > 5 and all(estimate.mean == 0 for estimate in careful.values())
    fooled = metrics.attack_success(leaky, seeds=range(40), max_turns=12)
    assert sum(estimate.mean > 0 for estimate in fooled.values()) >= 2
