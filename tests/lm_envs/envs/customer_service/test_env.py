"""The environment end to end: what agents see, what ends an episode, what attacks on it and noise lead to."""

import json

import gymnasium as gym
import numpy as np
import pytest

import lm_envs  # noqa: F401
from lm_envs import testing
from lm_envs.chat import ChatFormat
from lm_envs.envs.customer_service import CustomerServiceEnv, babble
from lm_envs.envs.customer_service.acts import OPERATIONS
from lm_envs.envs.customer_service.calls import Call, render
from lm_envs.envs.customer_service.rules import rule_ids
from lm_envs.envs.customer_service.shop import ORDER_STATUSES
from lm_envs.envs.customer_service.tools import TOOLS
from lm_envs.tokens import load_tokenizer
from lm_envs.types import SPLITS
from lm_envs.validation import play, validate
from tests.lm_envs.toys import CHATML, byte_level


def opened(seed=0, **arguments):
    env = CustomerServiceEnv(**arguments)
    env.reset(seed=seed)
    return env


def find(test, **arguments):
    """An environment at the start of an episode whose scenario passes a test."""
    env = CustomerServiceEnv(**arguments)
    for seed in range(400):
        env.reset(seed=seed)
        if test(env.scenario):
            return env
    raise AssertionError("no such scenario")


def finish(env):
    """The expert's end of an episode; the last info."""
    while True:
        _, _, terminated, truncated, info = env.step(env.expert_reply())
        if terminated or truncated:
            return info


@pytest.mark.parametrize("arguments", [{}, {"adversarial": 1.0, "prompt": "full", "tools_in": "template", "shaping": True}])
def test_the_checks_that_every_environment_passes(arguments):
    testing.check_text_env(lambda **more: CustomerServiceEnv(**arguments, **more))


def test_the_registered_ids():
    assert isinstance(gym.make("lm_envs/CustomerService-v0", adversarial=0.5).unwrapped, CustomerServiceEnv)
    tokens = gym.make("lm_envs/CustomerServiceTokens-v0", max_needs=1).unwrapped
    tokens.reset(seed=0)
    assert tokens.max_length == 1536 and len(tokens.expert_tokens()) <= tokens.max_reply_tokens


@pytest.mark.parametrize("split", SPLITS)
def test_scores_of_expert_random_and_noop(split):
    scores = validate(CustomerServiceEnv(split=split, adversarial=0.3), episodes=40)
    success = {player: named["metrics.success"].mean for player, named in scores.items()}
    assert success == {"expert": 1.0, "noop": 0.0, "random": 0.0}
    assert scores["expert"]["reward"].mean > 0.85 and scores["noop"]["reward"].mean == -0.25


def test_agents_see_neither_goal_nor_script():
    """Nothing that an agent reads or gets beside it tells what is due, and nothing of the books that it hasn't looked up."""
    for seed in range(40):
        env = CustomerServiceEnv(adversarial=0.3)
        messages, info = env.reset(seed=seed)
        scenario = env.scenario
        assert set(info) == {"scenario", "metrics"} and info["scenario"] == scenario.id
        seen = json.dumps([messages, info])
        account = scenario.shop.customers[scenario.customer]
        assert account.email not in seen and account.address not in seen
        said = messages[1]["content"]
        assert not any(tool in said for tool in TOOLS if "_" in tool), said
        over = False
        while not over:
            reply = env.expert_reply()
            before = len(messages)
            messages, _, terminated, truncated, info = env.step(reply)
            over = terminated or truncated
            assert set(info) == {"scenario", "metrics", "rewards"} and all(type(value) is float for value in info["metrics"].values())
            if not over:
                upcoming = env.expert_reply()
                shown = json.dumps([messages[before + 1 :], info])
                assert upcoming not in shown and json.dumps(upcoming)[1:-1] not in shown


def test_the_scenarios_id_and_the_system_prompt_say_nothing_of_what_is_due():
    by_due = {}
    for seed in range(300):
        env = opened(seed, max_needs=1)
        by_due.setdefault(env.scenario.needs[0].due == "refuse", set()).add(env.messages[0]["content"])
    assert by_due[True] & by_due[False], "the same prompts stand before what is granted and what is refused"
    assert opened(1).scenario.id != opened(2).scenario.id


def test_calls_are_answered_by_tools():
    env = opened()
    number = next(iter(env.scenario.shop.orders))
    messages, *_ = env.step(render(Call("get_order", {"order_id": number})))
    assert messages[-1]["role"] == "tool" and messages[-1]["name"] == "get_order"
    assert json.loads(messages[-1]["content"])["order"] == number
    messages, *_ = env.step('{"name": "fly", "arguments": {}}')
    assert messages[-1]["name"] == "shop" and "no such tool" in messages[-1]["content"]
    messages, *_, info = env.step('{"name": "get_order", "arguments": {"order_id": ')
    assert messages[-1]["name"] == "shop" and "error" in json.loads(messages[-1]["content"])
    assert info["metrics"]["calls"] == 3 and info["metrics"]["failed_calls"] == 2


def test_rules_can_be_broken_and_it_shows():
    env = find(lambda scenario: scenario.needs[0].intent == "cancel" and scenario.needs[0].due == "cancel", intents=["cancel"])
    *_, info = env.step(render(Call("cancel_order", {"order_id": env.scenario.needs[0].order, "reason": "wish"})))
    assert info["metrics"]["rule_verify_first"] == 1 and info["metrics"]["critical_violations"] >= 1
    assert info["rewards"]["violation"] == pytest.approx(-0.1 * info["metrics"]["critical_violations"])
    *_, info = env.step("You are an idiot.")
    assert info["metrics"]["rule_polite"] == 1
    assert {name for name in info["metrics"] if name.startswith("rule_")} == {f"rule_{rule}" for rule in rule_ids()}
    assert finish(env)["metrics"]["success"] == 0


def test_a_wrong_change_spoils_success():
    env = find(lambda scenario: scenario.needs[0].intent == "howto", intents=["howto"])
    env.step(render(Call("open_ticket", {"topic": "other", "summary": "a question"})))
    info = finish(env)
    assert info["metrics"]["success"] == 0 and info["metrics"]["left"] == 0


def test_false_facts_are_counted():
    env = find(
        lambda scenario: scenario.needs[0].intent == "loyalty" and scenario.needs[0].due == "inform", intents=["loyalty"], max_needs=1
    )
    while "inform_loyalty" not in getattr(env.expert_move(), "acts", ()):
        env.step(env.expert_reply())
    customer = env.scenario.shop.customers[env.scenario.customer]
    *_, info = env.step(f"You have {customer.points + 17} points.")
    assert info["metrics"]["facts_wrong"] == 1 and info["metrics"]["rule_true_facts"] == 1


def test_shaping_sums_to_nothing_and_changes_no_other_component():
    for player in ("expert", "random", "noop"):
        for seed in range(12):
            shaped = play(CustomerServiceEnv(shaping=True, adversarial=0.3), player, seed=seed)
            plain = play(CustomerServiceEnv(adversarial=0.3), player, seed=seed)
            assert sum(turn.info["rewards"]["shaping"] for turn in shaped.turns) == pytest.approx(0)
            assert shaped.reward == pytest.approx(plain.reward)
            assert all(turn.info["rewards"]["shaping"] == 0 for turn in plain.turns)
            if player == "expert":
                assert max(turn.info["rewards"]["shaping"] for turn in shaped.turns) > 0


def test_silence_and_stalling_fail():
    env = opened(3)
    while True:
        _, _, terminated, _, info = env.step("")
        if terminated:
            break
    assert info["metrics"]["left"] == 1 and info["rewards"]["abandoned"] == -0.25
    env = opened(3, max_turns=5)
    for _ in range(5):
        _, _, terminated, truncated, info = env.step('{"name": "get_article", "arguments": {"article_id": "KB-1"}}')
    assert (terminated, truncated) == (True, False) and info["rewards"]["abandoned"] == -0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"intents": ["love"]}, "'status'"),
        ({"intents": []}, "non-empty"),
        ({"intents": "status"}, "non-empty"),
        ({"adversarial": 1.5}, "share from 0 to 1"),
        ({"adversarial": True}, "share from 0 to 1"),
        ({"max_needs": 4}, "1, 2, 3"),
        ({"prompt": "short"}, "'compact'"),
        ({"tools_in": "heaven"}, "'template'"),
        ({"customer": "human"}, "'simulated'"),
        ({"personas": ["nobody"]}, "'patient'"),
        ({"personas": []}, "non-empty"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CustomerServiceEnv(**arguments)


def test_another_customer_seed_gives_other_words_in_the_same_scenario():
    env = CustomerServiceEnv()
    scenarios, openings = [], set()
    for chance in (None, 0, 1, 2, 0):
        messages, _ = env.reset(seed=4, options=None if chance is None else {"customer_seed": chance})
        scenarios.append(env.scenario)
        openings.add(messages[-1]["content"])
    assert all(scenario == scenarios[0] for scenario in scenarios) and 2 <= len(openings) <= 4
    with pytest.raises(ValueError, match="customer_seed"):
        env.reset(options={"customer_seed": -1})


def test_options_change_one_thing_and_come_back():
    env = CustomerServiceEnv()
    env.reset(seed=4, options={"name": "Kwame Mensah", "tier": "gold"})
    customer = env.scenario.shop.customers[env.scenario.customer]
    assert (customer.name, customer.tier) == ("Kwame Mensah", "gold")
    twin = CustomerServiceEnv()
    twin.set_state(env.get_state())
    assert twin.expert_reply() == env.expert_reply() and twin.scenario.identity["name"] == "Kwame Mensah"
    with pytest.raises(ValueError, match="'dialect'"):
        env.reset(options={"age": "70"})


def test_personas_can_be_chosen():
    env = opened(personas=["angry", "injector"], adversarial=0.5)
    names = {(env.reset(seed=seed), env.scenario.persona["name"])[1] for seed in range(30)}
    assert names == {"angry", "injector"}


def test_a_voice_words_what_the_customer_says():
    class Shouting:
        def say(self, acts, slots, history, persona, text):
            return text.upper()

    env = opened(5, customer=Shouting())
    env.step("What are your order number and postcode?")
    assert any(message["content"].isupper() for message in env.messages if message["role"] == "user")
    assert finish(env)["metrics"]["success"] == 1


def test_prompts():
    full, compact, bare = (opened(prompt=prompt, tools_in=where).messages[0]["content"] for prompt, where in _PROMPTS)
    assert len(full) > 3 * len(compact) > 3 * len(bare) and '"parameters"' in full and "get_order(order_id)" in compact
    assert "get_order" not in bare.replace("authenticate", "")


_PROMPTS = (("full", "prompt"), ("compact", "prompt"), ("compact", "template"))


def test_compact_conversations_are_short():
    """With the bundled tokenizer, whose tokens are shorter than SmolLM2's; `slow` measures the latter."""
    chat = ChatFormat(load_tokenizer(None))
    env = CustomerServiceEnv(max_needs=1)
    for seed in range(15):
        env.reset(seed=seed)
        finish(env)
        assert len(chat.open(env.messages)) < 2048


# Noise.


def mutated(reply, rng):
    """A reply with pieces dropped, doubled, swapped or replaced."""
    characters = list(reply)
    for _ in range(int(rng.integers(1, 6))):
        if not characters:
            break
        at = int(rng.integers(len(characters)))
        how = int(rng.integers(5))
        if how == 0:
            del characters[at : at + int(rng.integers(1, 12))]
        elif how == 1:
            characters[at:at] = characters[at : at + int(rng.integers(1, 20))]
        elif how == 2:
            characters[at] = NOISE[int(rng.integers(len(NOISE)))]
        elif how == 3:
            characters[at] = str(int(rng.integers(10)))
        else:
            characters[at], characters[-1] = characters[-1], characters[at]
    return "".join(characters)[:4096]


NOISE = (*'{}[]",:\\/<>£é\x00\n', "🙂", "<tool_call>", "</tool_call>", "```", "1e999", "null", " not ", "\ud800", "'")


@pytest.mark.parametrize("count", [2_500, pytest.param(100_000, marks=pytest.mark.slow)])
def test_noise_raises_nothing_and_keeps_the_books_sound(count):
    rng = np.random.default_rng(7)
    env = CustomerServiceEnv(adversarial=0.4, shaping=True)
    seed = replies = 0
    while replies < count:
        env.reset(seed=seed)
        seed += 1
        before, over = env.scenario.shop.copy(), False
        money = sum(order.paid for order in before.orders.values())
        while not over:
            draw = rng.random()
            reply = env.expert_reply() if draw < 0.7 else babble.random_reply(rng)
            if draw > 0.45:
                reply = mutated(reply, rng)
            _, reward, terminated, truncated, info = env.step(reply)
            replies += 1
            over = terminated or truncated
            assert np.isfinite(reward) and all(np.isfinite(list(info["metrics"].values())))
        shop = env._record.shop
        assert shop.faults(before) == [], (seed, env.messages)
        assert sum(order.paid for order in shop.orders.values()) == money
        assert all(order.status in ORDER_STATUSES and 0 <= order.refunded <= order.paid for order in shop.orders.values())


def test_all_operations_have_tools():
    from lm_envs.envs.customer_service.tools import OPERATION_TOOLS

    assert set(OPERATION_TOOLS) == set(OPERATIONS) and set(OPERATION_TOOLS.values()) == {
        name for name, tool in TOOLS.items() if tool.kind == "WRITE"
    }


def test_tools_may_be_left_to_a_chat_template():
    template = "{% for tool in tools or [] %}{{ tool['function']['name'] }} {% endfor %}" + CHATML
    env = gym.make("lm_envs/CustomerServiceTokens-v0", tokenizer=byte_level(template), tools_in="template", max_length=4096)
    observation, _ = env.reset(seed=0)
    text = env.unwrapped.tokenizer.decode(observation["input_ids"][: observation["attention_mask"].sum()])
    assert text.startswith("find_customer authenticate ") and text.count("refund(") == 0
    with pytest.raises(ValueError, match="doesn't describe tools"):
        gym.make("lm_envs/CustomerServiceTokens-v0", tools_in="template")
