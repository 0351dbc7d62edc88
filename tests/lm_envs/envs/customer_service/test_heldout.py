import json
import re
from collections import Counter
from importlib.resources import files

import pytest

from lm_envs.envs.customer_service import heldout
from lm_envs.envs.customer_service.acts import AGENT_ACTS, FACTS, REASONS, Reading

SHAPES = {
    "order": r"\d{4,5}",
    "amount": r"\d+\.\d\d",
    "date": r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])",
    "days": r"[1-9]\d{0,2}",
    "points": r"\d+",
    "article": r"KB-\d+",
    "email": r"[a-z0-9._]+@[a-z0-9.]+",
    "address": r"[^.!?\n]*[^ .!?\n]",
}


@pytest.fixture(scope="module")
def replies():
    return heldout.load()


def test_there_are_enough_of_each_source(replies):
    sizes = Counter(reply.source for reply in replies)
    assert sizes["hand"] >= 220 and sizes["template"] >= 180 and sizes["rewrite"] >= 160
    assert len(replies) >= 560


def test_every_label_occurs_often_enough(replies):
    acts = Counter(act for reply in replies for act in reply.acts)
    kinds = Counter(kind for reply in replies for kind, _ in reply.facts)
    reasons = Counter(value for reply in replies for kind, value in reply.facts if kind == "reason")
    assert {act: acts[act] for act in AGENT_ACTS if acts[act] < 6} == {}
    assert {kind: kinds[kind] for kind in FACTS if kinds[kind] < 10} == {}
    assert {reason: reasons[reason] for reason in REASONS if reasons[reason] < 5} == {}


def test_replies_vary(replies):
    assert sum(len(reply.acts) >= 2 for reply in replies) >= 150
    assert sum(len(reply.acts) >= 3 for reply in replies) >= 30
    assert sum(not reply.acts and not reply.facts for reply in replies) >= 20
    assert sum(len(reply.text.split()) >= 25 for reply in replies) >= 20
    openings = Counter(" ".join(re.findall(r"[\w']+", reply.text.lower())[:3]) for reply in replies)
    assert max(openings.values()) <= 12


def test_facts_are_written_as_the_vocabulary_says(replies):
    for reply in replies:
        for kind, value in reply.facts:
            assert kind not in SHAPES or re.fullmatch(SHAPES[kind], value), (reply.id, kind, value)


def test_literal_facts_stand_in_the_text(replies):
    for reply in replies:
        text = " ".join(reply.text.lower().split())
        for kind, value in reply.facts:
            if kind in ("order", "email", "address", "tier"):
                assert value in text, (reply.id, kind, value)


def test_reasons_come_with_refusals_only(replies):
    for reply in replies:
        if any(kind == "reason" for kind, _ in reply.facts):
            assert any(act.startswith("refuse") for act in reply.acts), reply.id


def test_lines_are_in_order_and_complete():
    lines = (files(heldout.__package__) / "data" / "heldout" / "replies.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == len(heldout.load())
    counts = Counter()
    for line in lines:
        entry = json.loads(line)
        assert list(entry) == ["id", "text", "acts", "facts", "source"]
        counts[entry["source"]] += 1
        assert entry["id"] == f"{entry['source']}-{counts[entry['source']]:03d}"


def oracle(replies):
    by_text = {reply.text: reply for reply in replies}
    return lambda text: Reading(acts=by_text[text].acts, facts=by_text[text].facts)


def test_a_perfect_reader_scores_one(replies):
    report = heldout.evaluate(oracle(replies))
    assert report.macro_f1 == report.exact == 1.0
    assert report.by_source == {"hand": 1.0, "template": 1.0, "rewrite": 1.0}
    assert report.size == len(replies)
    assert set(report.labels) == set(heldout.LABELS)
    assert all(score.precision == score.recall == score.f1 == 1.0 for score in report.labels.values())


def test_a_deaf_reader_scores_what_is_empty(replies):
    report = heldout.evaluate(lambda text: Reading())
    assert report.macro_f1 == 0.0
    assert report.exact == sum(not r.acts and not r.facts for r in replies) / len(replies)


def reply(number, acts=(), facts=(), source="hand"):
    return heldout.Reply(f"{source}-{number}", str(number), tuple(acts), frozenset(facts), source)


TOY = (
    reply(1, ["greet", "ask_order"]),
    reply(2, ["inform"], [("order", "4411"), ("days", "5")]),
    reply(3, ["greet"], source="template"),
    reply(4, source="template"),
)


def test_scores_of_a_reader_that_errs():
    readings = {
        "1": Reading(acts=("ask_order", "greet")),  # the order of acts doesn't count
        "2": Reading(acts=("inform",), facts=frozenset({("order", "4412"), ("days", "5")})),  # a wrong value is missed and invented
        "3": Reading(),
        "4": Reading(acts=("greet", "bye")),
    }
    report = heldout.evaluate(readings.__getitem__, TOY)
    assert report.labels["greet"] == heldout.Score(precision=0.5, recall=0.5, f1=0.5, support=2)
    assert report.labels["ask_order"] == heldout.Score(1.0, 1.0, 1.0, 1)
    assert report.labels["fact_order"] == heldout.Score(0.0, 0.0, 0.0, 1)
    assert report.labels["fact_days"].f1 == 1.0
    assert report.labels["bye"] == heldout.Score(0.0, 0.0, 0.0, 0)  # doesn't occur, so it isn't in the mean
    assert report.macro_f1 == pytest.approx((0.5 + 1 + 1 + 0 + 1) / 5)
    assert report.by_source == {"hand": pytest.approx(4 / 5), "template": 0.0}
    assert report.exact == 1 / 4 and report.size == 4


def test_no_replies_are_refused():
    with pytest.raises(ValueError, match="no replies"):
        heldout.evaluate(lambda text: Reading(), [])


GOOD = {"id": "hand-001", "text": "Hi", "acts": ["greet"], "facts": [], "source": "hand"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"acts": ["wave"]}, "unknown acts"),
        ({"acts": ["greet", "greet"]}, "twice"),
        ({"facts": [["colour", "red"]]}, "unknown kind"),
        ({"facts": [["reason", "mood"]]}, "can't be 'mood'"),
        ({"facts": [["days", 3]]}, "can't be 3"),
        ({"facts": [["order", "4411"], ["order", "4411"]]}, "twice"),
        ({"facts": [["order"]]}, "line 1"),
        ({"source": "web"}, "source must be one of"),
        ({"text": 3}, "must be a string"),
        ({"note": "x"}, "with the fields"),
    ],
)
def test_malformed_lines_are_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        heldout.parse(json.dumps(GOOD | change))


def test_broken_and_repeated_lines_are_refused():
    with pytest.raises(ValueError, match="line 2"):
        heldout.parse(json.dumps(GOOD) + "\n{")
    with pytest.raises(ValueError, match="line 1: must be an object"):
        heldout.parse("[]")
    with pytest.raises(ValueError, match="line 2: the id or the text was there before"):
        heldout.parse(json.dumps(GOOD) + "\n" + json.dumps(GOOD | {"id": "hand-002"}))
    assert len(heldout.parse(json.dumps(GOOD) + "\n" + json.dumps(GOOD | {"id": "hand-002", "text": "Hey"}))) == 2
