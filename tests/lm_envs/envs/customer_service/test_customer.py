import copy
import pickle

import numpy as np
import pytest

from lm_envs.envs.customer_service.acts import AGENT_ACTS, FACTS, REASONS, SLOTS, Reading
from lm_envs.envs.customer_service.customer import SimulatedCustomer
from tests.lm_envs.envs.customer_service.people import (
    AGENTS,
    BROKEN,
    IDENTITY,
    NEEDS,
    PERSONAS,
    Agent,
    customer,
    need,
    read,
    scenario,
)


def talk(customer, *readings):
    """Open and reply; what was said to the last reply."""
    customer.open()
    said = None
    for number, reading in enumerate(readings):
        said = customer.react(reading, f"reply {number}")
    return said


# Able agents get through, whatever their manners and whoever writes.


@pytest.mark.parametrize("style", AGENTS)
@pytest.mark.parametrize("name", NEEDS)
def test_an_able_agent_is_never_held_up(name, style):
    for number, persona in enumerate(PERSONAS):
        guest = customer(NEEDS[name], persona=persona, seed=number)
        replies = Agent(**AGENTS[style]).play(guest)
        assert guest.settled and not guest.left, persona
        assert replies <= 20, persona
        assert len(guest.resolved) == 1 and guest.open_need is None


@pytest.mark.parametrize("style", AGENTS)
def test_three_matters_follow_one_another(style):
    others = [need("return", "return", "5120", due="return"), NEEDS["points"]]
    for persona in ("patient", "terse", "confused", "angry", "uncooperative", "shortcutter"):
        guest = customer(NEEDS["replacement"], *others, persona=persona)
        Agent(**AGENTS[style]).play(guest)
        assert guest.settled and guest.resolved == ["content"] * 3


@pytest.mark.parametrize("reply", [read("greet"), read(words=3), read(words=0), read("rude"), read("thank", "wait"), read("inform")])
@pytest.mark.parametrize("name", NEEDS)
def test_nobody_is_content_with_nothing(name, reply):
    for persona in ("patient", "angry", "terse"):
        guest = customer(NEEDS[name], persona=persona)
        guest.open()
        for _ in range(30):
            guest.react(reply, "")
        assert not guest.settled


def test_understanding_that_misses_much_costs_few_their_customer():
    class Misread(Agent):
        """An able agent, a tenth of whose acts and facts nobody reads."""

        def reply(self, customer, said):
            acts, facts = super().reply(customer, said)
            return [act for act in acts if rng.random() > 0.1], {kind: value for kind, value in facts.items() if rng.random() > 0.1}

    rng = np.random.default_rng(0)
    lost = total = 0
    for number, persona in enumerate(PERSONAS):
        for name in NEEDS:
            guest = customer(NEEDS[name], persona=persona, seed=number)
            Misread(**list(AGENTS.values())[(number + total) % len(AGENTS)]).play(guest, limit=24)
            total += 1
            lost += not guest.settled
    assert lost <= 0.01 * total


def test_copies_go_on_alike_and_apart():
    guest = customer(NEEDS["replacement"], persona="rambling")
    guest.open()
    twins = [copy.deepcopy(guest), pickle.loads(pickle.dumps(guest))]
    texts = [[one.react(read("ask_order"), "Order?").text, one.react(read("greet"), "Hm.").text] for one in (guest, *twins)]
    assert texts[0] == texts[1] == texts[2]


def test_rude_agents_and_stallers_lose_their_customer():
    for reply, limit in ((read("rude"), 4), (read(words=0), 8), (read(words=4), 8), (read("thank"), 8)):
        guest = customer(NEEDS["return"])
        talk(guest, *[reply] * limit)
        assert guest.left and not guest.settled
        assert guest.react(read("greet"), "").text == ""


def test_waiting_alone_makes_nobody_leave():
    guest = customer(NEEDS["return"], persona="angry")
    guest.open()
    full = guest.patience
    for _ in range(3):
        guest.wait()
    assert guest.patience == pytest.approx(full - 1)
    for _ in range(100):
        guest.wait()
    assert guest.patience >= 1 and not guest.left
    guest.react(read("wait"), "One moment, please.")
    guest.react(read("done_return", "done_refund", amount="29.00"), "Done.")
    assert guest.settled


# Disclosure.


def test_what_is_said_at_first_depends_on_the_persona():
    assert customer(NEEDS["return"], persona="terse").open().acts == ("vague",)
    assert customer(NEEDS["return"], persona="patient").open().slots == {"problem": "state/return", "wish": "return"}
    assert customer(NEEDS["return"], persona="businesslike").open().slots["order"] == "4411"
    assert customer(NEEDS["return"], persona="forthcoming").open().slots["postcode"] == IDENTITY["postcode"]


def test_needs_may_say_how_they_are_opened():
    assert customer(need(details={"opening": "vague"}), persona="forthcoming").open().acts == ("vague",)


def test_any_reply_to_a_vague_opening_gets_the_matter():
    for reading in (read("greet"), read("ask_problem"), read(words=5), read("ask_order", "ask_postcode")):
        guest = customer(NEEDS["return"], persona="terse")
        assert not guest.open().slots and not guest.stated
        said = guest.react(reading, "What is it?")
        assert guest.stated and said.slots["problem"] == "state/return"
        assert ("order" in said.slots) == ("ask_order" in reading.acts)


def test_two_questions_are_answered_and_the_others_with_the_next_message():
    guest = customer(NEEDS["replacement"])
    guest.open()
    said = guest.react(read("ask_order", "ask_name", "ask_postcode", "ask_evidence"), "Order, name, postcode, damage?")
    assert list(said.slots) == ["order", "name"]
    assert "4411" in said.text and IDENTITY["name"] in said.text
    said = guest.react(read("thank"), "Thanks.")
    assert list(said.slots) == ["postcode", "evidence"]
    assert {"order", "name", "postcode", "evidence"} <= guest.disclosed


def test_details_are_given_as_often_as_they_are_asked_for_and_repeating_costs_mood():
    guest = customer(NEEDS["return"])
    talk(guest, read("ask_order"))
    before = guest.satisfaction
    said = guest.react(read("ask_order"), "And the order number?")
    assert said.slots == {"order": "4411"} and said.acts[0] == "again"
    assert guest.satisfaction < before


def test_what_is_not_known_is_not_known():
    guest = customer(NEEDS["where is it"])
    said = talk(guest, read("ask_order"))
    assert said.acts == ("dont_know_order",) and not said.slots and "order" not in guest.disclosed
    said = guest.react(read("ask_order", "inform", order=("4411", "5120")), "Is it 4411 or 5120?")
    assert said.slots == {"order": "4411"}


def test_a_slip_of_memory_is_put_right():
    for second in (read("ask_postcode"), read("refuse", reason="identity")):
        guest = customer(NEEDS["return"], identity={"postcode_first": "LS9 9ZZ"})
        assert talk(guest, read("ask_postcode")).slots == {"postcode": "LS9 9ZZ"}
        said = guest.react(second, "That doesn't match.")
        assert said.slots == {"postcode": IDENTITY["postcode"]} and "misremembered" in said.acts


def test_whoever_must_prove_their_identity_does_so_unasked():
    said = talk(customer(NEEDS["return"]), read("refuse_return", reason="identity"))
    assert said.slots == {"postcode": IDENTITY["postcode"]}


# Corrections.


@pytest.mark.parametrize(
    ("reading", "act"),
    [
        (read("inform", order="4412", status="shipped"), "correct/order"),
        (read("inform", "confirm", order="4412"), "correct/order"),
        (read("confirm", "offer_address", address="3 mill road"), "correct/address"),
        (read("inform", order=("4411", "4412")), None),
        (read("ask_order", order="4412"), None),
        (read("inform", address="3 mill road"), None),
        (read("done_address", address="3 hill road, leeds ls2 9xx"), None),
        (read("done_address", address="3 hill road"), None),
        (read("inform", order="4821"), None),
    ],
)
def test_misread_facts_are_corrected(reading, act):
    knows = {"address": "3 Hill Road, Leeds LS2 9XX", "payment": "Visa card ending 4821"}
    guest = customer(need("address", "address", knows=knows, due="address"))
    said = talk(guest, reading)
    assert [one for one in said.acts if one.startswith("correct")] == ([act] if act else [])


def test_the_same_mistake_is_corrected_once_and_never_stands_in_the_way():
    guest = customer(NEEDS["cancel"])
    said = talk(guest, read("done_cancel", order="4412"))
    assert said.acts[0] == "correct/order" and said.slots["order"] == "4411" and not guest.settled
    guest.react(read("done_cancel", order="4412"), "Cancelled.")
    assert guest.settled


def test_orders_that_customers_cant_name_they_still_know():
    said = talk(customer(NEEDS["where is it"]), read("confirm", "inform", order="5120"))
    assert "not_that_one" in said.acts


# Plans, refusals, changes.


def test_plans_that_suit_are_agreed_to_and_others_declined():
    assert talk(customer(NEEDS["sold out"]), read("offer_refund", "confirm")).acts == ("agree",)
    said = talk(customer(NEEDS["replacement"]), read("offer_refund", "confirm"))
    assert said.acts == ("decline", "wish/exchange") and said.slots["wish"] == "exchange"


def test_a_refusal_is_argued_about_then_explained_then_accepted():
    guest = customer(NEEDS["return too late"], persona="businesslike")
    said = talk(guest, read("refuse_return"))
    assert said.acts == ("protest",)
    assert guest.react(read("refuse_return"), "No.").acts == ("protest",)
    assert guest.react(read("refuse_return"), "No, sorry.").acts == ("why",)
    assert guest.react(read("inform", days="30"), "Because thirty days are over.").acts == ("accept", "bye")
    assert guest.settled and guest.resolved == ["refused"]


def test_a_refusal_with_its_reason_is_enough_for_the_meek():
    guest = customer(NEEDS["return too late"])
    assert talk(guest, read("refuse_return", reason="window")).acts[0] == "accept"


def test_a_refusal_of_something_else_is_none():
    guest = customer(NEEDS["where is it"])
    said = talk(guest, read("refuse_refund", reason="policy"))
    assert not guest.settled and "inquire/" in said.acts[0]
    guest = customer(NEEDS["return"])
    said = talk(guest, read("refuse_return", "ask_order"))
    assert said.slots == {"order": "4411"} and not guest.settled


def test_second_best_is_asked_for():
    guest = customer(NEEDS["sold out"])
    said = talk(guest, read("refuse_exchange", reason="sold_out"))
    assert said.acts == ("instead", "wish/refund") and said.slots == {"wish": "refund"}
    said = guest.react(read("done_refund"), "Refunded.")
    assert said.acts == ("inquire/amount",)
    guest.react(read("inform", amount="29.00"), "It is £29.00.")
    assert guest.settled


def test_goals_change_before_anything_can_have_been_done():
    guest = customer(NEEDS["changed mind"])
    guest.open()
    assert guest.open_need.wish == "cancel"
    said = guest.react(read("ask_order", "ask_postcode"), "Order and postcode?")
    assert said.acts[0] == "change" and guest.open_need.wish == "address"
    assert said.slots["order"] == "4411" and said.slots["postcode"] == IDENTITY["postcode"]
    later = customer(NEEDS["return"], NEEDS["changed mind"])
    said = talk(later, read("done_return", "done_refund", amount="29.00"))
    assert "change" in said.acts and later.open_need.wish == "address"


def test_facts_must_be_those_that_were_wanted():
    guest = customer(NEEDS["where is it"])
    said = talk(guest, read("inform", status="shipped"))
    assert said.acts == ("inquire/date",)
    assert guest.react(read("inform", date="05-02"), "It was placed on 2 May.").acts == ("inquire/date",)
    guest.react(read("inform", date="05-14"), "It comes on 14 May.")
    assert guest.settled


def test_questions_are_no_answers():
    guest = customer(NEEDS["weather"])
    talk(guest, *[read("inform", "ask_postcode", order="4411")] * 3)
    assert not guest.settled
    guest.react(read("inform", status="shipped"), "It is shipped.")
    guest.react(read("inform", status="shipped", date="05-14"), "It comes on 14 May.")
    assert guest.settled


def test_wrong_facts_are_believed_in_the_end():
    guest = customer(NEEDS["where is it"])
    talk(guest, read("inform", status="shipped"), *[read("inform", date="06-01")] * 3)
    assert guest.settled and guest.resolved == ["content"]


def test_is_it_done_may_be_answered_by_yes():
    guest = customer(NEEDS["cancel"])
    assert talk(guest, read("ask_more")).acts == ("is_it_done",)
    guest.react(read("inform", words=3), "Yes, it is.")
    assert guest.settled


@pytest.mark.parametrize("readings", [("done_handover",), ("offer_handover", "bye"), ("offer_handover", "wait")])
def test_whoever_is_handed_over_waits(readings):
    guest = customer(NEEDS["return"], NEEDS["points"])
    said = talk(guest, *map(read, readings))
    assert guest.settled and said.acts == ("handed_over",) and guest.open_need is None


def test_other_orders_are_named():
    guest = customer(NEEDS["return"], need("cancel", "cancel", "5120", due="cancel"), NEEDS["where is it"])
    said = talk(guest, read("done_return", "done_refund", amount="29.00"))
    assert said.slots["order"] == "5120" and "5120" in said.text
    said = guest.react(read("done_cancel"), "Cancelled.")
    assert "other_order" in said.acts and "kettle" in said.text


# Moods.


def test_kindness_and_progress_raise_the_mood_and_the_rest_lowers_it():
    def after(*readings):
        guest = customer(NEEDS["return"])
        talk(guest, *readings)
        return guest.satisfaction

    plain = after(read("ask_order"))
    assert after(read("ask_order", "empathise")) > plain
    assert after(read("ask_order", words=200)) < plain
    assert after(read("ask_order", "rude")) < plain
    assert after(read("ask_order"), read("ask_order")) < plain
    assert after(read("ask_order"), read("done_return", "done_refund", amount="29.00")) > plain + 0.1


# Chance and strange input.


@pytest.mark.parametrize("persona", ["rambling", "foulmouthed"])
def test_the_same_seed_gives_the_same_customer(persona):
    def transcript(seed):
        guest = customer(NEEDS["replacement"], NEEDS["points"], persona=persona, seed=seed)
        Agent().play(guest)
        return guest.history

    assert transcript(3) == transcript(3) != transcript(4)


def test_no_reading_raises_and_customers_always_say_something_or_have_gone():
    rng = np.random.default_rng(0)
    values = {"order": ("4411", "5120"), "amount": ("29.00",), "date": ("05-14",), "reason": REASONS, "address": ("3 hill road", "x")}
    names = list(PERSONAS)
    for number in range(1500):
        needs = [list(NEEDS.values())[at] for at in rng.integers(len(NEEDS), size=rng.integers(1, 4))]
        guest = SimulatedCustomer(scenario(*needs, persona=names[number % len(names)]), rng)
        guest.open()
        for _ in range(rng.integers(1, 8)):
            acts = tuple(dict.fromkeys(AGENT_ACTS[at] for at in rng.integers(len(AGENT_ACTS), size=rng.integers(0, 5))))
            kinds = [FACTS[at] for at in rng.integers(len(FACTS), size=rng.integers(0, 3))]
            facts = frozenset((kind, values.get(kind, ("1",))[rng.integers(len(values.get(kind, ("1",))))]) for kind in kinds)
            gone = guest.settled or guest.left
            said = guest.react(Reading(acts, facts, silent=not acts and not facts, words=int(rng.integers(0, 120))), "yes {x} \x00")
            assert bool(said.text) != gone
            assert set(said.slots) <= set(SLOTS) and "{" not in said.text.replace("{x}", "").replace('{"', "")
            assert 0 <= guest.satisfaction <= 1
            for slot in ("order", "postcode", "email", "name", "address", "payment"):
                assert said.slots.get(slot, "") in said.text, slot


def test_damage_is_shown_when_asked_what_is_wrong():
    said = talk(customer(NEEDS["replacement"]), read("ask_problem"))
    assert said.slots == {"evidence": BROKEN["evidence"]}
