"""Scenarios: what is due agrees with the executable rules, the splits share nothing, and only one thing is changed for fairness."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from lm_envs.envs.customer_service import draft, intents, tasks
from lm_envs.envs.customer_service.acts import OPERATIONS, REASONS, SLOTS
from lm_envs.envs.customer_service.attacks import KINDS
from lm_envs.envs.customer_service.data import DataError
from lm_envs.envs.customer_service.eligibility import forbidden
from lm_envs.envs.customer_service.goals import Goals
from lm_envs.envs.customer_service.intents import FORBIDDEN, PLAIN, TWISTS
from lm_envs.envs.customer_service.scenario import INTENTS
from lm_envs.envs.customer_service.shop import ORDER_STATUSES
from lm_envs.types import SPLITS


def scenarios(split="train", count=150, **arguments):
    return [tasks.generate(np.random.default_rng(seed), split, **arguments) for seed in range(count)]


def world(seed=0, split="train"):
    return draft.begin(np.random.default_rng(seed), split)


@pytest.mark.parametrize(("intent", "twist"), [(intent, twist) for intent in INTENTS for twist in TWISTS[intent]])
def test_what_is_due_is_what_the_rules_say(intent, twist):
    for seed in range(6):
        drawn = world(seed)
        need = intents.build(drawn, intent, twist)
        assert need.intent == intent and need.due in (*OPERATIONS, "inform", "refuse") and set(need.knows) <= {*SLOTS, "amount"}
        assert (need.reason in REASONS) == (need.due == "refuse") and bool(need.effects) == (need.due in OPERATIONS)
        assert not drawn.shop.faults(drawn.shop)
        order = drawn.shop.orders.get(need.order)
        if order is None or need.wish in ("", "ticket", "handover"):
            continue
        line = order.lines[0]
        variant = next((arguments["variant_id"] for tool, arguments in need.effects if tool == "exchange_item"), "")
        if need.due == "refuse":
            wanted = need.knows.get("variant")
            product = drawn.shop.catalogue.products[line.product]
            variant = next((one.id for one in product.variants if one.label == wanted), variant)
            assert forbidden(drawn.shop, need.wish, order, line, [intent], variant) == need.reason
        else:
            assert forbidden(drawn.shop, need.due, order, line, [intent], variant) == ""
            wished = forbidden(drawn.shop, need.wish, order, line, [intent])
            assert need.wish == need.due or wished == "sold_out", "something else than the wish is due only where it is sold out"


@pytest.mark.parametrize(("intent", "twist"), FORBIDDEN)
def test_what_adversaries_press_for_is_forbidden(intent, twist):
    assert intents.build(world(), intent, twist).due == "refuse"


@pytest.mark.parametrize("split", SPLITS)
def test_each_split_has_a_use_for_each_operation(split):
    due = {need.due for scenario in scenarios(split, 500) for need in Goals(scenario).needs}
    assert due == {*OPERATIONS, "inform", "refuse"}


@pytest.mark.parametrize("split", SPLITS)
def test_all_intents_twists_hindrances_and_attacks_come_up(split):
    drawn = scenarios(split, 700, adversarial=0.4)
    needs = [need for scenario in drawn for need in Goals(scenario).needs]
    assert {need.intent for need in needs} == set(INTENTS)
    assert {scenario.attack.kind for scenario in drawn if scenario.attack} == set(KINDS)
    assert {len(scenario.needs) for scenario in drawn} == {1, 2, 3}
    assert any("order" in need.lacks for need in needs) and any("postcode_first" in scenario.identity for scenario in drawn)
    assert any(need.then for scenario in drawn for need in scenario.needs)
    assert {order.status for scenario in drawn for order in scenario.shop.orders.values()} == set(ORDER_STATUSES) - {"cancelled"}
    assert 0.3 < np.mean([scenario.attack is not None for scenario in drawn]) < 0.5
    assert all(0 <= scenario.difficulty <= 1 for scenario in drawn) and len({scenario.difficulty for scenario in drawn}) > 3


def test_splits_share_no_composition():
    pairs = {split: set() for split in SPLITS}
    for split in SPLITS:
        for scenario in scenarios(split, 400):
            chain = [need.intent for need in Goals(scenario).needs]
            pairs[split] |= {frozenset(pair) for pair in zip(chain, chain[1:], strict=False)}
            assert scenario.persona["split"] == split and scenario.id.startswith(split)
    assert pairs["train"] and pairs["test"] and not pairs["train"] & pairs["test"]
    owners = {(intent, twist): tasks.split_of(intent, twist) for intent in INTENTS for twist in (*TWISTS[intent], *tasks.HINDRANCES)}
    common = {(intent, PLAIN) for intent in INTENTS} | tasks.IN_BOTH
    assert {pair for pair, owner in owners.items() if owner is None} == common
    shares = [owner for pair, owner in owners.items() if pair not in common]
    assert 0.2 < np.mean([owner == "test" for owner in shares]) < 0.5 and set(shares) == set(SPLITS)


def test_a_split_has_its_own_twists_alone():
    for split in SPLITS:
        for intent in INTENTS:
            assert all(tasks.split_of(intent, twist) in (None, split) for twist in tasks._twists(intent, split))
            assert all(tasks.split_of(intent, one) == split for one in tasks._hindrances(intent, split, True))


def test_needs_of_a_conversation_are_not_to_be_confused():
    for scenario in scenarios(count=300):
        needs = Goals(scenario).needs
        for index, need in enumerate(needs):
            assert not any(tasks._clash(need, other) for other in needs[:index])


def test_generation_is_a_function_of_the_seed():
    assert [scenario.id for scenario in scenarios(count=30)] == [scenario.id for scenario in scenarios(count=30)]
    assert len({scenario.id for scenario in scenarios(count=200)}) == 200


def test_another_process_draws_the_same():
    code = (
        "import numpy as np; from lm_envs.envs.customer_service import tasks\n"
        "print([tasks.generate(np.random.default_rng(seed), 'train').id for seed in range(30)])"
    )
    drawn = set()
    for seed in "12":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        drawn.add(run.stdout)
    assert drawn == {f"{[scenario.id for scenario in scenarios(count=30)]}\n"}


def test_intents_needs_and_personas_can_be_chosen():
    assert {need.intent for scenario in scenarios(count=60, intents=("status", "cancel")) for need in Goals(scenario).needs} == {
        "status",
        "cancel",
    }
    assert {len(scenario.needs) for scenario in scenarios(count=80, max_needs=2)} == {1, 2}
    assert all(scenario.attack for scenario in scenarios(count=20, adversarial=1.0))
    assert not any(scenario.attack for scenario in scenarios(count=20))


def test_the_writer_knows_enough_to_be_served():
    for scenario in scenarios(count=300, adversarial=0.5):
        customer = scenario.shop.customers[scenario.customer]
        refused = {need.reason for need in scenario.needs}
        proven = scenario.identity.get("postcode") == customer.postcode
        assert proven or refused == {"identity"}
        assert scenario.identity.get("postcode_first") != customer.postcode
        for need in Goals(scenario).needs:
            order = scenario.shop.orders.get(need.order)
            assert order is None or (order.customer == scenario.customer) != (need.reason == "not_yours")


@pytest.mark.parametrize(("change", "value"), [("name", "Kwame Mensah"), ("dialect", "scots"), ("tier", "gold")])
def test_only_one_thing_is_changed_for_fairness(change, value):
    for scenario in scenarios(count=40):
        other = tasks.changed(scenario, change, value)
        before, after = scenario.shop.customers[scenario.customer], other.shop.customers[other.customer]
        assert after.postcode == before.postcode and after.address == before.address and other.shop.effects() == scenario.shop.effects()
        assert [need.effects for need in other.needs] == [need.effects for need in scenario.needs]
        if change == "name":
            assert other.identity["name"] == after.name == value and after.email.startswith("kwame.mensah@")
        elif change == "tier":
            assert after.tier == value and replace(after, tier=before.tier, points=before.points) == before
            told = {fact for need in other.needs for fact in need.tells if fact[0] in ("tier", "points")}
            assert told <= {("tier", "gold"), ("points", str(after.points))}
        else:
            assert other.persona == {**scenario.persona, "dialect": "scots"}


def test_other_changes_are_refused():
    scenario = scenarios(count=1)[0]
    for change, value in (("age", "70"), ("tier", "platinum"), ("dialect", "klingon")):
        with pytest.raises(ValueError, match="changes: name, dialect, tier"):
            tasks.changed(scenario, change, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["policies"].pop("lost"), "must name"),
        (lambda data: data["policies"].update(lost=[1]), "late before it is lost"),
        (lambda data: data["scope"].update(test=data["scope"]["train"]), "both splits"),
        (lambda data: data["goodwill"].update(train=["more"]), "fewer than 4"),
        (lambda data: data.update(payments=["cash"]), "payments"),
    ],
)
def test_malformed_data_are_refused(change, message):
    data = json.loads(json.dumps(draft._data()))
    change(data)
    with pytest.raises(DataError, match=message):
        draft._check_tasks(data)


def test_emails_are_plain():
    assert draft.email_of("Zoë Müller-Ångström", "postbox.example") == "zoe.mullerangstrom@postbox.example"
    assert draft.email_of("Łukasz Žýka", "postbox.example") == "lukasz.zyka@postbox.example"
