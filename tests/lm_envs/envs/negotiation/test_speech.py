import numpy as np
import pytest

from lm_envs.envs.negotiation import speech
from lm_envs.envs.negotiation.opponent import GREEDIEST
from lm_envs.envs.negotiation.speech import ACTS, goods, money, personalities
from lm_envs.types import SPLITS


def test_there_are_enough_manners_of_speaking():
    assert len(personalities()) >= 6
    assert {each.split for each in personalities()} == set(SPLITS)
    for each in personalities():
        for act in ACTS:
            said = each.paraphrases(act)
            assert len(set(said)) >= 15, (each.name, act)


def test_no_two_personalities_share_a_line():
    seen = {}
    for each in personalities():
        for act in ACTS:
            for line in each.lines[act]:
                if len(line) > 20:
                    assert seen.setdefault(line, each.name) == each.name, line


def test_what_is_said_names_the_price_and_only_it():
    rng = np.random.default_rng(0)
    for each in personalities():
        for act in ACTS:
            for _ in range(20):
                said = each.say(act, "£430", "the sofa", rng)
                assert said[0].isupper() or not said[0].isalpha()
                assert ("£430" in said) == (act not in ("leave", "bye")) and "{" not in said
                assert not any(character.isdigit() for character in said.replace("£430", ""))
                assert act != "last" or any(word in said.lower() for word in ("last", "final"))


def test_last_offers_alone_say_so():
    for each in personalities():
        for act in ("open", "counter", "hold", "unclear"):
            for line in each.paraphrases(act):
                assert not {"last", "final"} & set(line.lower().replace(",", " ").split()), line


def test_goods_are_disjoint_and_leave_room():
    assert not {each.good for each in goods()["train"]} & {each.good for each in goods()["test"]}
    assert sum(map(len, goods().values())) == 30
    assert all(good.least > GREEDIEST for each in goods().values() for good in each)


@pytest.mark.parametrize(("amount", "written"), [(5, "£5"), (1234.5, "£1,234.50"), (0.25, "£0.25"), (1e6, "£1,000,000")])
def test_money(amount, written):
    assert money(amount) == written


ENTRY = {
    "split": "train",
    "starts": {"open": [], "answer": [], "end": []},
    "lines": {act: ["x" if act in ("leave", "bye") else "{price}"] for act in ACTS},
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"split": "dev"}, "rude.json: expected split"),
        ({"colour": "red"}, "rude.json: expected split"),
        ({"starts": {"open": []}}, "expected starts for answer, end, open and lines for open, counter"),
        ({"lines": {**ENTRY["lines"], "counter": ["no"]}}, "counter: lines of open.* name {price}"),
        ({"lines": {**ENTRY["lines"], "bye": ["{price}"]}}, "bye: lines of open"),
    ],
)
def test_personalities_are_checked(change, says):
    assert speech._personality("rude", ENTRY).paraphrases("bye") == ["x"]
    with pytest.raises(ValueError, match=says):
        speech._personality("rude", {**ENTRY, **change})


@pytest.mark.parametrize(
    ("change", "says"), [({"good": "b"}, "lists b twice"), ({"least": 5}, "a: expected"), ({"step": 0}, "a: expected")]
)
def test_goods_are_checked(monkeypatch, change, says):
    entry = {"good": "a", "detail": "an a", "step": 1, "least": 20, "most": 30}
    monkeypatch.setattr(speech, "_read", lambda name: {"train": [{**entry, **change}], "test": [{**entry, "good": "b"}]})
    with pytest.raises(ValueError, match=says):
        goods.__wrapped__()
