import numpy as np

from lm_envs.envs.customer_service.acts import AGENT_ACTS, FACTS, REASONS, Reading
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.record import Deed
from lm_envs.envs.customer_service.rules import rule_ids
from lm_envs.envs.customer_service.scenario import INTENTS
from lm_envs.envs.customer_service.tools import TOOLS
from tests.lm_envs.envs.customer_service.world import Play


def test_what_happened_is_kept_in_order():
    play = Play(intent="cancel", order="1001", slots={"order": "#1001"}, wish="cancel", facts=[("amount", "29.00")])
    play.tell("wait", "offer_cancel")
    play.call("cancel_order", order_id="1001")
    play.tell("done_cancel", "refuse_exchange", "ask_more", reason="policy")
    play.end()
    record = play.record
    assert [event.kind for event in record.events] == ["said", "said", "call", "text", "call", "text", "end"]
    assert [event.index for event in record.events] == list(range(7))
    assert record.verified == "C1" and record.mismatches == 0
    assert record.deeds == [Deed("cancel", "1001", "", 2900, 4)]
    assert record.offers == {"cancel": 3} and record.refused_at == 5 and record.reasons == {"policy"}
    assert record.quoted == {("amount", "29.00"), ("order", "1001")} and record.given["wish"] == {"cancel"}
    assert record.stated("1001") == {"cancel"} and record.stated("1002") == set()
    assert play.broken == []


def test_the_books_before_a_change_are_kept():
    play = Play(intent="return", order="1004")
    play.call("return_item", order_id="1004", line_id="1")
    event = play.record.events[-1]
    assert event.before.orders["1004"].lines[0].status == "ordered" and play.shop.orders["1004"].lines[0].status == "returned"
    play.call("get_order", order_id="1004")
    assert play.record.events[-1].before is play.shop  # a lookup needs no copy


def test_failed_calls_are_no_deeds():
    play = Play(intent="cancel")
    play.call("cancel_order", order_id="1004")
    play.call("fly", to="the moon")
    play.call("authenticate", customer_id="C1", postcode="X")
    assert play.record.deeds == [] and play.record.verified == "C1" and play.record.mismatches == 1


def test_any_episode_can_be_judged():
    """Random calls, readings and words: nothing raises, the books stay sound, and every violation is of a known rule."""
    rng = np.random.default_rng(3)

    def pick(options):
        return options[int(rng.integers(len(options)))]

    values = [
        "1001", "1002", "2001", "29.00", "05-14", "7", "shipped", "silver", "KB-1", "in", "out", "x", "", "12 mill lane",
        "9" * 50, *REASONS,
    ]  # fmt: skip
    arguments = {
        "order_id": ["1001", "1002", "1003", "1004", "1005", "1006", "1007", "2001", "9", None],
        "line_id": ["1", "2", 1],
        "amount": [29, "14.00", 18, 0, "x"],
        "variant_id": ["kettle-red", "kettle-black", "mirror-tall"],
        "payment_id": ["P1", "P2"],
        "customer_id": ["C1", "C2"],
        "postcode": ["LS1 4AB", "BS3 2XY"],
        "topic": ["billing", "other"],
    }
    broken = set()
    for _ in range(150):
        play = Play(verified=rng.random() < 0.5)
        before = play.shop.copy()
        for _ in range(25):
            kind = rng.random()
            if kind < 0.5:
                tool = TOOLS[pick(list(TOOLS))]
                given = {name: pick(arguments.get(name, ["kettle"])) for name in tool.parameters}
                play._check(play.record.call(play.toolbox, Call(tool.name, given)))
            elif kind < 0.85:
                acts = tuple({pick(AGENT_ACTS): None for _ in range(int(rng.integers(4)))})
                facts = frozenset((pick(FACTS), pick(values)) for _ in range(int(rng.integers(3))))
                play._check(play.record.text(Reading(acts, facts, words=3)))
            else:
                play.said(
                    {pick(["postcode", "evidence", "order"]): pick(["LS1 4AB", "1001"])},
                    intent=pick(INTENTS),
                    order=pick(["", "1001", "1004"]),
                )
        play.end()
        assert play.shop.faults(before) == []
        broken |= {violation.rule for violation in play.broken}
    assert broken <= set(rule_ids()) and len(broken) > 20
