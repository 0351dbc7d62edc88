import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import lm_envs  # noqa: F401
from lm_envs.envs.customer_service.acts_env import NOOP_ACTION, OBSERVED, CustomerServiceActsEnv
from lm_envs.envs.customer_service.belief import Belief
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.choices import CALLED, CHOICES, NUMBER, SPOKEN, TONES, able_acts, fill, in_tones, note
from lm_envs.envs.customer_service.customer import Said
from lm_envs.envs.customer_service.env import CustomerServiceEnv
from lm_envs.envs.customer_service.features import features
from lm_envs.envs.customer_service.shop import Policy

ID = "lm_envs/CustomerServiceActs-v0"


def play(env, choose, seed):
    """Return, metrics and replies of an episode; ``choose(env, info)`` gives the next action."""
    _, info = env.reset(seed=seed)
    total, over, replies = 0.0, False, []
    while not over:
        assert info["action_mask"].dtype == np.int8 and info["action_mask"].any()
        observation, reward, terminated, truncated, info = env.step(choose(env, info))
        assert env.observation_space.contains(observation)
        assert not truncated
        total, over = total + reward, terminated
        replies.append(info["reply"])
    return total, info["metrics"], replies


def expert(env, info):
    return env.expert_action()


def by_chance(seed, masked=True):
    rng = np.random.default_rng(seed)
    return lambda env, info: int(rng.choice(np.flatnonzero(info["action_mask"])) if masked else rng.integers(len(CHOICES)))


def test_gymnasium_checks_it():
    check_env(gym.make(ID, disable_env_checker=True).unwrapped)


@pytest.mark.parametrize("arguments", [{}, {"split": "test", "adversarial": 0.5}])
def test_expert_succeeds(arguments):
    env = CustomerServiceActsEnv(**arguments)
    outcomes = [play(env, expert, seed) for seed in range(200 if not arguments else 100)]
    assert np.mean([metrics["success"] for _, metrics, _ in outcomes]) >= 0.95
    assert np.mean([total for total, _, _ in outcomes]) >= 0.85


def test_expert_only_does_what_is_admissible():
    env = CustomerServiceActsEnv(adversarial=0.3)
    for seed in range(30):
        _, info = env.reset(seed=seed)
        over = False
        while not over:
            action = env.expert_action()
            assert info["action_mask"][action]
            _, _, over, _, info = env.step(action)
        assert env.action_masks()[env.expert_action()]  # it has an answer when all is said


def test_chance_and_silence_fail():
    env = CustomerServiceActsEnv()
    assert np.mean([play(env, by_chance(seed), seed)[1]["success"] for seed in range(60)]) <= 0.1
    for seed in range(10):
        total, metrics, replies = play(env, lambda env, info: NOOP_ACTION, seed)
        assert total <= 0 and metrics["success"] == 0 and set(replies) == {""}


def test_the_text_level_gives_the_same_rewards():
    env, text = CustomerServiceActsEnv(split="test"), CustomerServiceEnv(split="test")
    for seed in range(5):
        total, metrics, replies = play(env, by_chance(seed, masked=False) if seed % 2 else expert, seed)
        messages, _ = text.reset(seed=seed)
        rewards = []
        for reply in replies:
            messages, reward, terminated, _, info = text.step(reply)
            rewards.append(reward)
        assert terminated and sum(rewards) == pytest.approx(total) and info["metrics"] == metrics
        assert messages == env.desk.messages


def test_equal_seeds_give_equal_episodes():
    one, other = CustomerServiceActsEnv(adversarial=0.5), CustomerServiceActsEnv(adversarial=0.5)
    for seed in range(5):
        first = play(one, by_chance(seed), seed)
        other.reset(seed=99)
        assert play(other, by_chance(seed), seed) == first


def test_masks_agree():
    env = CustomerServiceActsEnv()
    _, info = env.reset(seed=3)
    assert (env.action_mask() == info["action_mask"]).all() and (env.action_masks() == env.action_mask().astype(bool)).all()
    assert env.action_space.sample(info["action_mask"]) in env.action_space
    shown = dict(zip(OBSERVED, env.step(env.expert_action())[0], strict=True))
    for action, (act, tone) in enumerate(CHOICES):
        if tone == "neutral":
            assert shown[f"can_{act}"] == env.action_mask()[action]


def test_inadmissible_acts_are_empty_replies_or_the_next_admissible_ones():
    taken, beside = CustomerServiceActsEnv(), CustomerServiceActsEnv(inadmissible="next")
    _, info = taken.reset(seed=1)
    assert not info["action_mask"][NOOP_ACTION]
    assert taken.step(NOOP_ACTION)[4]["reply"] == ""
    for action in range(len(CHOICES)):
        mask = beside.reset(seed=1)[1]["action_mask"]
        neutral = NUMBER[CHOICES[action][0], "neutral"]
        order = [action, neutral, *range(action, len(CHOICES)), *range(len(CHOICES))]
        taken.reset(seed=1)
        expected = taken.step(next(other for other in order if mask[other]))[4]["reply"]
        assert beside.step(action)[4]["reply"] == expected != ""


def test_observations_tell_nothing_hidden():
    """What differs only in what is due, or in who somebody is, looks the same at first."""
    env = CustomerServiceActsEnv()
    shown = {}
    for seed in range(300):
        observation, _ = env.reset(seed=seed)
        shown.setdefault(observation.tobytes(), set()).update((need.due, need.reason) for need in env.desk.scenario.needs[:1])
    assert max(len(due) for due in shown.values()) > 1


@pytest.mark.parametrize("count", [1, 3])
def test_make_vec(count):
    envs = gym.make_vec(ID, num_envs=count, shaping=True)
    observations, info = envs.reset(seed=5)
    assert observations.shape == (count, len(OBSERVED))
    observations, rewards, *_ = envs.step(np.array([NUMBER["ask_more", "neutral"]] * count))
    assert observations.shape == (count, len(OBSERVED)) and rewards.shape == (count,)
    envs.close()


def test_misuse():
    env = CustomerServiceActsEnv()
    with pytest.raises(gym.error.ResetNeeded):
        env.expert_action()
    env.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match=str(len(CHOICES) - 1)):
        env.step(len(CHOICES))
    with pytest.raises(ValueError, match="next"):
        CustomerServiceActsEnv(inadmissible="ignore")
    with pytest.raises(TypeError, match="intents"):
        CustomerServiceActsEnv(intent="status")


def test_rendering():
    env = CustomerServiceActsEnv(render_mode="ansi")
    env.reset(seed=2)
    env.step(env.expert_action())
    assert env.desk.messages[-1]["content"] in env.render()


# Beliefs and choices without an environment.


def late_parcel():
    belief = Belief(Policy(window=30, lost=7))
    belief.hear(Said("My parcel is late. It's 4411.", ("state/late", "answer/order"), {"problem": "state/late", "order": "4411"}), "late")
    return belief


def result(belief, act, data):
    move = fill(belief, act, "neutral")
    assert isinstance(move, Call)
    belief.result(move, json.dumps(data))


def order(**more):
    return {
        "order": "4411", "customer_id": "C17", "status": "shipped", "due": "9 May",
        "lines": [{"line": "1", "variant": "kettle-red", "price": "29.00", "stock": 4}], **more,
    }  # fmt: skip


def able(belief):
    return {act for act, can in zip((*SPOKEN, *CALLED), able_acts(belief), strict=True) if can}


def test_slots_are_filled_from_the_belief():
    belief = late_parcel()
    assert fill(belief, "ask_postcode", "apologetic").acts == ("empathise", "ask_postcode")
    assert fill(belief, "get_order", "neutral") == Call("get_order", {"order_id": "4411"})
    assert fill(belief, "report", "neutral") is None and fill(belief, "authenticate", "neutral") is None
    result(belief, "find_customer", {"customers": [{"customer_id": "C17", "name": "Mia Reed"}]})
    belief.hear(Said("LN4 2QA", ("answer/postcode",), {"postcode": "LN4 2QA"}), "late")
    assert fill(belief, "authenticate", "warm") == Call("authenticate", {"customer_id": "C17", "postcode": "LN4 2QA"})
    result(belief, "authenticate", {"customer_id": "C17", "verified": True})
    assert belief.verified == "C17" and "authenticate" not in able(belief)


@pytest.mark.parametrize(("late", "lost"), [(3, False), (6, False), (7, True), (9, True)])
def test_reasons_must_hold(late, lost):
    belief = late_parcel()
    assert not {"refuse_not_yet_late", "refund"} & able(belief)
    result(belief, "get_order", order(days_late=late))
    assert ("refuse_not_yet_late" in able(belief)) is not lost
    assert {"refund", "exchange_item"} <= able(belief)
    assert not {"refuse_window", "refuse_final_sale", "cancel_order"} & able(belief)
    assert fill(belief, "refund", "neutral").arguments == {"order_id": "4411", "line_id": "1", "amount": "29.00"}


def test_reports_tell_what_was_done():
    belief = late_parcel()
    result(belief, "get_order", order(days_late=9))
    result(belief, "refund", {"order": "4411", "line": "1", "refunded": "29.00"})
    said = fill(belief, "report", "neutral")
    assert said.acts == ("done_refund",) and said.slots["amount"] == "£29.00"
    assert "refund" not in able(belief)


def test_a_new_matter_forgets_the_old_one_but_not_who_writes():
    belief = late_parcel()
    belief.verified = belief.account = "C17"
    said = Said("Great. And where is my kettle?", ("thanks", "next", "state/status"), {"problem": "state/status"})
    belief.hear(said, "status")
    assert belief.matter.topic == "status" and not belief.matter.slots and belief.verified


def test_a_changed_mind_keeps_the_order():
    belief = late_parcel()
    belief.hear(Said("No, cancel it.", ("change", "state/cancel"), {"problem": "state/cancel", "wish": "cancel"}), "cancel")
    assert belief.matter.topic == "cancel" and belief.matter.slots == {"order": "4411", "wish": "cancel"}


def test_orders_are_found_by_item():
    belief = Belief(Policy())
    belief.hear(
        Said("Where is my kettle? No idea of the number.", ("state/status", "dont_know_order"), {"problem": "state/status"}), "status"
    )
    belief.verified = belief.account = "C17"
    result(belief, "get_customer", {"customer_id": "C17", "tier": "gold", "points": 5, "payments": {}, "orders": ["4410", "4411"]})
    other = order(order="4410")
    other["lines"] = [{"line": "1", "variant": "desk-lamp-white", "price": "35.00"}]
    result(belief, "get_order", other)
    assert belief.order is None and belief.unread == "4411"
    result(belief, "get_order", order())
    assert belief.order["order"] == "4411" and belief.unread == ""


def test_errors_are_no_knowledge():
    belief = late_parcel()
    result(belief, "get_order", {"error": "no order 4411"})
    assert belief.order is None and belief.failed


def test_tones():
    belief = late_parcel()
    numbers = {choice for choice, can in zip(CHOICES, in_tones(belief, able_acts(belief)), strict=True) if can}
    assert {("ask_wish", tone) for tone in TONES} <= numbers
    note(belief, "ask_wish", fill(belief, "ask_wish", "warm"))
    note(belief, "ask_wish", fill(belief, "ask_wish", "apologetic"))
    numbers = {choice for choice, can in zip(CHOICES, in_tones(belief, able_acts(belief)), strict=True) if can}
    assert ("ask_wish", "warm") not in numbers and ("ask_wish", "apologetic") not in numbers
    assert ("refuse_policy", "apologetic") in numbers


def test_features_have_names():
    values = features(late_parcel(), 0.5)
    assert len(values) == len(set(OBSERVED)) - len(SPOKEN) - len(CALLED)
    assert dict(zip(OBSERVED, values, strict=False))["topic_late"] == 1
