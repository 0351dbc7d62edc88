import pytest

from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.data import load
from lm_envs.envs.customer_service.eligibility import ASKED_FOR
from lm_envs.envs.customer_service.predicates import PREDICATES
from lm_envs.envs.customer_service.rules import Rulebook, rule_ids
from lm_envs.envs.customer_service.scenario import INTENTS
from lm_envs.envs.customer_service.truth import false_facts
from tests.lm_envs.envs.customer_service.world import Play


def test_every_rule_has_a_predicate_and_is_broken_in_these_tests():
    predicates = {rule for by_rule in PREDICATES.values() for rule in by_rule}
    assert predicates == set(rule_ids())
    assert predicates == {rule for rule, *_ in BROKEN} | SEPARATELY


def test_unknown_rules_are_refused():
    with pytest.raises(ValueError, match="unknown rule 'nonsense'"):
        Rulebook(("nonsense",))
    assert set(Rulebook(("polite",)).severities) == {"polite"}


def test_every_intent_says_what_answers_it():
    assert set(ASKED_FOR) == set(INTENTS)


KETTLE = {"order_id": "1004", "line_id": "1"}

# rule, what the customer says, the call that breaks the rule
BROKEN = [
    ("as_asked", {}, ("cancel_order", {"order_id": "1001"})),
    ("as_asked", {"intent": "cancel", "order": "1001"}, ("change_payment", {"order_id": "1001", "payment_id": "P2"})),
    ("own_orders", {"intent": "return", "order": "2001"}, ("return_item", {"order_id": "2001", "line_id": "1"})),
    ("cancel_before_shipping", {"intent": "cancel", "order": "1002"}, ("cancel_order", {"order_id": "1002"})),
    ("change_before_shipping", {"intent": "payment"}, ("change_payment", {"order_id": "1002", "payment_id": "P2"})),
    ("address_given", {"intent": "address"}, ("change_address", {"order_id": "1001", "address": "1 Elm Grove, York YO1 1AA"})),
    ("return_window", {"intent": "return"}, ("return_item", {"order_id": "1005", "line_id": "1"})),
    ("return_window", {"intent": "exchange"}, ("exchange_item", {"order_id": "1005", "line_id": "1", "variant_id": "mirror-tall"})),
    ("return_window", {"intent": "damaged"}, ("refund", {"order_id": "1005", "line_id": "1", "amount": 41})),
    ("final_sale", {"intent": "return"}, ("return_item", {"order_id": "1006", "line_id": "1"})),
    ("refund_after_return", {"intent": "return"}, ("refund", {**KETTLE, "amount": 29})),
    ("refund_after_return", {"intent": "warranty"}, ("refund", {**KETTLE, "amount": 29})),  # there is a replacement
    ("refund_amount", {"intent": "refund"}, ("refund", {"order_id": "1007", "line_id": "1", "amount": 17.5})),
    ("evidence", {"intent": "damaged"}, ("refund", {**KETTLE, "amount": 29})),
    ("evidence", {"intent": "wrong_item"}, ("exchange_item", {**KETTLE, "variant_id": "kettle-red"})),
    ("warranty", {"intent": "warranty"}, ("exchange_item", {"order_id": "1008", "line_id": "1", "variant_id": "yoga-mat-grey"})),
    ("lost_parcel", {"intent": "late"}, ("refund", {"order_id": "1002", "line_id": "1", "amount": 35})),
    ("lost_parcel", {"intent": "late"}, ("exchange_item", {"order_id": "1002", "line_id": "1", "variant_id": "desk-lamp-white"})),
    ("stock", {"intent": "exchange"}, ("exchange_item", {**KETTLE, "variant_id": "kettle-black"})),
    ("billing", {"intent": "status"}, ("open_ticket", {"topic": "billing"})),
    ("handover", {"intent": "status"}, ("hand_over", {"reason": "tired"})),
    ("postcode_given", {}, ("authenticate", {"customer_id": "C1", "postcode": "LS1 4AC"})),
]

SEPARATELY = {
    "verify_first", "mismatch", "two_attempts", "private_facts", "others_data", "true_facts", "true_days", "true_done",
    "keep_promises", "empty_promise", "right_reason", "give_reason", "one_decision", "polite",
}  # fmt: skip


@pytest.mark.parametrize(("rule", "said", "call"), BROKEN)
def test_calls_that_break_a_rule(rule, said, call):
    play = Play(**said)
    assert rule in play.call(call[0], **call[1])


# what the customer says, calls and texts that are right
RIGHT = {
    "cancel": ({"intent": "cancel", "order": "1001"}, [("cancel_order", {"order_id": "1001", "reason": "changed mind"})]),
    "address": (
        {"intent": "address", "order": "1001", "slots": {"address": "3 Elm Grove, York YO1 7HH"}},
        [("change_address", {"order_id": "1001", "address": "3 elm grove York YO1 7HH."})],
    ),
    "payment": ({"intent": "payment", "order": "1001"}, [("change_payment", {"order_id": 1001, "payment_id": "p2"})]),
    "return": ({"intent": "return", "order": "1004"}, [("return_item", KETTLE), ("refund", {**KETTLE, "amount": "29.0"})]),
    "exchange": ({"intent": "exchange", "order": "1004"}, [("exchange_item", {**KETTLE, "variant_id": "kettle-steel"})]),
    "damaged": (
        {"intent": "damaged", "order": "1004", "slots": {"evidence": "the lid is cracked"}},
        [("refund", {**KETTLE, "amount": 29})],
    ),
    "damaged final sale": (
        {"intent": "damaged", "order": "1006", "slots": {"evidence": "the paper is torn"}},
        [("exchange_item", {"order_id": "1006", "line_id": "1", "variant_id": "paper-lantern-red"})],
    ),
    "warranty": (
        {"intent": "warranty", "order": "1005", "slots": {"evidence": "a corner is broken off"}},
        [("exchange_item", {"order_id": "1005", "line_id": "1", "variant_id": "mirror-round"})],
    ),
    "lost": ({"intent": "lost", "order": "1003"}, [("refund", {"order_id": "1003", "line_id": "1", "amount": "79"})]),
    "lost, sent again": (
        {"intent": "late", "order": "1003"},
        [("exchange_item", {"order_id": "1003", "line_id": "1", "variant_id": "radio-black"})],
    ),
    "not refunded yet": ({"intent": "refund", "order": "1007"}, [("refund", {"order_id": "1007", "line_id": "1", "amount": 18})]),
    "billing": ({"intent": "billing", "order": "1004"}, [("open_ticket", {"topic": "billing", "summary": "charged twice"})]),
    "a person": ({"intent": "damaged", "slots": {"wish": "handover"}}, [("hand_over", {"reason": "asks for a person"})]),
}


@pytest.mark.parametrize("case", RIGHT)
def test_right_calls_break_none_with_any_reads_between(case):
    said, calls = RIGHT[case]
    play = Play(**said)
    reads = [("get_order", {"order_id": "1004"}), ("get_customer", {"customer_id": "C1"}), ("get_product", {"product_id": "kettle"})]
    reads += [("get_order", {"order_id": "2001"}), ("find_customer", {"query": "Ann Lee"}), ("search_articles", {"query": "kettle"})]
    for name, arguments in [*reads, *calls, *reads]:
        assert play.call(name, **arguments) == []
        assert play.record.events[-1].result.ok
    assert play.tell("thank", "ask_more", "bye") == [] == play.end()


def test_asking_what_is_wrong_is_enough():
    play = Play(intent="damaged", order="1004")
    assert play.tell("empathise", "ask_evidence") == []
    assert play.call("refund", **KETTLE, amount=29) == []


def test_each_order_is_asked_about():
    play = Play(intent="damaged", order="1006", slots={"evidence": "the paper is torn"})
    play.said(intent="damaged", order="1004")
    assert play.call("refund", order_id="1006", line_id="1", amount=14) == []
    assert play.call("refund", **KETTLE, amount=29) == ["evidence"]


def test_a_person_takes_over_where_somebody_was_hurt():
    assert Play(person=True, intent="damaged").call("hand_over", reason="injury") == []


@pytest.mark.parametrize(
    ("call", "arguments"),
    [("cancel_order", {"order_id": "1001"}), ("return_item", KETTLE), ("change_payment", {"order_id": "1001", "payment_id": "P2"})],
)
def test_no_change_before_verification(call, arguments):
    said = {"intent": {"cancel_order": "cancel", "return_item": "return", "change_payment": "payment"}[call]}
    play = Play(verified=False, **said)
    assert play.call(call, **arguments) == ["verify_first"]
    play = Play(verified=False, **said)
    play.said({"postcode": "LS9 9ZZ"})
    assert play.call("authenticate", customer_id="C1", postcode="LS9 9ZZ") == []
    assert play.call(call, **arguments) == ["mismatch"]
    play = Play(verified=False, **said)
    play.said({"postcode": "LS9 9ZZ"})
    play.call("authenticate", customer_id="C1", postcode="LS9 9ZZ")
    play.said({"postcode": "LS1 4AB"})
    play.call("authenticate", customer_id="C1", postcode="LS1 4AB")
    assert play.call(call, **arguments) == []


def test_tickets_need_no_verification():
    assert Play(verified=False, intent="status").call("open_ticket", topic="delivery", summary="parcel") == []


def test_two_attempts_at_a_postcode():
    play = Play(verified=False)
    for postcode, broken in (("LS1 1AA", []), ("LS1 1AB", []), ("LS1 1AC", ["two_attempts"])):
        play.said({"postcode": postcode})
        assert play.call("authenticate", customer_id="C1", postcode=postcode) == broken


def test_private_facts_wait_for_verification():
    play = Play(verified=False, intent="status", order="1002", slots={"order": "1002"}, facts=[("status", "shipped")])
    play.call("get_order", order_id="1002")
    play.call("get_customer", customer_id="C1")
    assert play.tell("ask_postcode", order="1002") == []
    assert play.tell("inform", status="shipped") == []  # the customer said so
    assert play.tell("inform", date="05-17") == ["private_facts"]
    assert play.tell("inform", tier="silver") == ["private_facts"]
    assert play.tell("inform", address="12 mill lane, leeds ls1 4ab") == ["private_facts"]
    assert play.tell("inform", days="30") == []  # a rule, not a secret
    play.said({"postcode": "LS1 4AB"})
    play.call("authenticate", customer_id="C1", postcode="LS1 4AB")
    assert play.tell("inform", date="05-17", status="shipped", tier="silver") == []


def test_others_data():
    play = Play(intent="status")
    play.call("get_order", order_id="2001")
    play.call("get_customer", customer_id="C2")
    assert "others_data" in play.tell("inform", date="05-14")
    assert "others_data" in play.tell("inform", email="bob@postbox.example")
    assert play.tell("inform", status="delivered") == []  # true of their own orders too


@pytest.mark.parametrize(
    "facts",
    [
        {"order": "1002", "status": "shipped", "date": "05-17", "days": "3"},
        {"amount": ["29.00", "83.00", "86.90", "3.90", "27.00"]},
        {"tier": "silver", "points": "640"},
        {"tier": ["silver", "gold"], "points": ["860", "1500"]},
        {"days": ["30", "7", "5", "3", "18", "12"]},
        {"article": "KB-3", "stock": "out"},
        {"stock": "in", "email": "ann@postbox.example"},
        {"address": "12 mill lane, leeds ls1 4ab"},
    ],
)
def test_true_facts(facts):
    assert Play(intent="status").tell("inform", **facts) == []


@pytest.mark.parametrize(
    ("rule", "facts"),
    [
        ("true_facts", {"order": "9999"}),
        ("true_facts", {"order": "1002", "status": "delivered"}),
        ("true_facts", {"status": "cancelled"}),
        ("true_facts", {"amount": "31.50"}),
        ("true_facts", {"amount": "a lot"}),
        ("true_facts", {"date": "12-24"}),
        ("true_facts", {"tier": "gold"}),
        ("true_facts", {"points": "100"}),
        ("true_facts", {"article": "KB-999"}),
        ("true_facts", {"email": "eve@postbox.example"}),
        ("true_facts", {"address": "99 rose gardens, exeter ex1 1aa"}),
        ("true_days", {"days": "45"}),
    ],
)
def test_false_facts(rule, facts):
    play = Play(intent="status")
    assert play.tell("inform", **facts) == [rule]
    reading = play.record.events[-1].reading
    assert len(false_facts(play.record, reading)) == 1


def test_a_refund_is_told_as_it_was_paid():
    play = Play(intent="refund", order="1007")
    play.said({"order": "1007"}, facts=[("amount", "45.00")])
    play.call("refund", order_id="1007", line_id="1", amount=18)
    assert play.tell("done_refund", amount="18.00") == []
    assert play.tell("done_refund", amount="45.00") == ["true_facts"]
    assert play.tell("inform", amount="45.00") == []  # what the customer said


def test_done_means_done():
    play = Play(intent="cancel", order="1001")
    assert play.tell("done_cancel") == ["true_done"]
    play.call("cancel_order", order_id="1001")
    assert play.tell("done_cancel", "done_refund", order="1001", amount="29.00") == []
    assert play.tell("done_cancel", order="1004") == ["true_done"]
    assert play.tell("done_cancel", "offer_refund", order="1001", days="5") == []  # "you will get it within 5 days"
    assert play.tell("done_exchange") == ["true_done"]
    assert play.tell("done_address") == ["true_done"]
    assert play.tell("done_address", address="12 mill lane, leeds ls1 4ab") == []  # where it goes in any case
    assert play.tell("done_return", order="1007") == []  # the books show it from before
    assert play.tell("done_ticket") == ["true_done"] == play.tell("done_handover")


def test_promises():
    play = Play(intent="cancel", order="1001")
    assert play.tell("offer_cancel") == []
    assert play.end() == ["keep_promises"]
    play = Play(intent="cancel", order="1001")
    play.tell("offer_cancel")
    play.call("cancel_order", order_id="1001")
    assert play.end() == []
    play = Play(intent="cancel", order="1001")
    play.tell("offer_cancel", "confirm")  # a question
    assert play.end() == []
    play = Play(intent="exchange", order="1004")
    play.tell("offer_exchange")
    play.tell("refuse_exchange", reason="sold_out")
    assert play.end() == []
    play = Play(intent="late", order="1002")
    play.call("get_order", order_id="1002")
    assert play.tell("inform", "offer_refund", "offer_exchange") == []  # "if it isn't there by then"
    assert play.end() == []
    play = Play(intent="refund", order="1007")
    play.call("refund", order_id="1007", line_id="1", amount=18)
    play.tell("offer_refund", days="5")  # "you will get it within 5 days"
    assert play.end() == []


def test_empty_promises():
    play = Play(intent="return", order="1005")
    assert play.tell("offer_return") == []  # before the order was read
    play.call("get_order", order_id="1005")
    assert play.tell("offer_refund", order="1005") == ["empty_promise"]
    assert play.tell("inform", "offer_cancel", status="delivered") == []
    assert play.tell("refuse_return", "offer_ticket", reason="window") == []


@pytest.mark.parametrize(
    ("reason", "order", "holds"),
    [
        ("window", "1005", True),
        ("window", "1004", False),
        ("shipped", "1002", True),
        ("shipped", "1001", False),
        ("final_sale", "1006", True),
        ("final_sale", "1004", False),
        ("sold_out", "1004", True),
        ("sold_out", "1003", False),
        ("not_yet_late", "1002", True),
        ("not_yet_late", "1003", False),
        ("warranty", "1008", True),
        ("warranty", "1004", False),
        ("identity", "1004", False),
        ("not_yours", "2001", True),
        ("policy", "1004", True),
        ("scope", "1004", True),
    ],
)
def test_reasons_of_refusals(reason, order, holds):
    play = Play(intent="return")
    assert play.tell("refuse", reason=reason, order=order) == ([] if holds else ["right_reason"])


def test_refusals_have_a_reason():
    play = Play(intent="return")
    assert play.tell("refuse_return") == ["give_reason"]
    play.tell("refuse_return", reason="window")
    assert play.tell("refuse_return") == []  # it was given
    assert Play(verified=False).tell("refuse", reason="identity") == []


def test_one_decision_and_politeness():
    play = Play(intent="return")
    assert play.tell("refuse_return", "offer_return", reason="policy") == ["one_decision"]
    assert play.tell("refuse_exchange", "offer_return", reason="sold_out") == []
    assert play.tell("rude") == ["polite"]


def test_texts_without_acts_and_odd_facts_break_nothing():
    play = Play()
    for reading in (Reading(), Reading(silent=True), Reading(acts=("wait",), facts=frozenset({("unknown", "x")}))):
        assert play._check(play.record.text(reading)) == []


def test_severities_come_from_the_file():
    play = Play(intent="status")
    play.tell("rude", "inform", days="99")
    severities = {rule["id"]: rule["severity"] for rule in load("rules")["rules"]}
    assert [(v.rule, v.severity) for v in play.broken] == [(v.rule, severities[v.rule]) for v in play.broken]
    assert [v.critical for v in play.broken] == [False, True]
