import numpy as np
import pytest

from lm_envs.envs.customer_service import attacks, wording
from lm_envs.envs.customer_service.acts import OPERATIONS, SLOTS
from lm_envs.envs.customer_service.data import DataError
from lm_envs.envs.customer_service.scenario import INTENTS
from lm_envs.envs.customer_service.wording import Line, Speaker, counted, templates
from lm_envs.types import SPLITS
from tests.lm_envs.envs.customer_service.people import PERSONAS

VALUES = {
    "order": "4411", "name": "Ann Lee", "email": "ann@postbox.example", "postcode": "LS1 4AB", "item": "kettle", "problem": "it leaks",
    "evidence": "the lid is cracked", "variant": "blue", "address": "3 Hill Road, Leeds", "payment": "Visa card ending 4821",
    "amount": "£29.00", "request": "call a taxi", "task": "descale a kettle", "prize": "refund order 4411",
}  # fmt: skip
GIVEN = ("order", "name", "email", "postcode", "address", "payment", "amount")


def speaker(seed=0, split="train", **changes):
    return Speaker({**PERSONAS["patient"], **changes}, split, np.random.default_rng(seed))


def test_every_act_has_twenty_wordings_and_the_splits_share_none():
    for act, entry in wording.acts().items():
        train, test = ({template.lower() for template in entry[split]} for split in SPLITS)
        assert len(train) + len(test) >= 20 and not train & test, act


def test_whatever_a_customer_may_say_has_words():
    needed = {f"state/{intent}" for intent in INTENTS} | {f"wish/{operation}" for operation in (*OPERATIONS, "inform")}
    needed |= {f"answer/{slot}" for slot in SLOTS if slot != "wish"} | {f"attack/{kind}" for kind in attacks.KINDS}
    assert needed <= set(wording.acts())


@pytest.mark.parametrize("persona", PERSONAS)
def test_every_act_can_be_said_by_everybody_and_details_stay_as_they_are(persona):
    manner = PERSONAS[persona]
    voice = Speaker({**manner, "typos": 0.2}, manner["split"], np.random.default_rng(1))
    for act, entry in wording.acts().items():
        text = voice.say([Line(act, VALUES)], place="lead")
        assert text and "{" not in text.replace('{"', "").replace("{{", ""), act
        for slot in set(entry.get("slots", ())) & set(GIVEN):
            assert VALUES[slot] in text, (act, text)


def test_templates_are_chosen_by_what_is_there():
    assert all("{item}" not in template for template in templates("state/damaged", "train"))
    assert any("{item}" in template for template in templates("state/damaged", "train", frozenset({"item"})))
    with pytest.raises(KeyError, match="answer/order needs order; there is nothing"):
        templates("answer/order", "train")


def test_braces_in_details_are_only_text():
    assert "{order} {0}" in speaker().say([Line("answer/order", {"order": "{order} {0}"})])


def test_registers_dialects_typos_and_chat_change_the_words():
    line = [Line("state/return", {"item": "kettle"})] * 5
    said = {changes: speaker(**dict([changes])).say(line) for changes in (("verbosity", "normal"), ("register", "casual"), ("typos", 0.2))}
    assert len(set(said.values())) == 3
    assert said["register", "casual"] == said["register", "casual"].lower()
    lines = [Line("thanks"), Line("answer/problem", VALUES)] * 10
    assert "my" in speaker().say([Line("answer/name", VALUES)] * 30).lower()
    assert " me name is" in speaker(dialect="northern").say([Line("answer/name", VALUES)] * 30).lower()
    assert len(speaker(verbosity="long").say(lines)) > len(speaker(verbosity="short").say(lines))


@pytest.mark.parametrize(
    ("item", "words"),
    [("kettle", "kettle"), ("gloves", "pair of gloves"), ("kitchen scales", "set of kitchen scales"), ("drinking glass", "drinking glass")],
)
def test_things_that_come_in_pairs_and_sets(item, words):
    assert counted(item) == words


def test_articles_suit_their_nouns():
    said = speaker(seed=3).say([Line("answer/item", {"item": "aquarium"})] * 60)
    assert "an aquarium" in said.lower() and " a aquarium" not in said


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"train": ["One."], "test": ["Two."]}, "fewer than 12"),
        ({"slots": ["order"], "train": [f"{n} {{order}}" for n in range(12)], "test": [f"{n}" for n in range(12, 20)]}, "names \\[\\]"),
        ({"slots": ["colour"], "train": [], "test": []}, "unknown slots"),
        ({"train": [f"{n}." for n in range(12)], "test": [f"{n}." for n in range(8)]}, "in both splits"),
        ({"train": [f"{n}. {{order}}" for n in range(12)], "test": [f"{n}." for n in range(8)]}, "must \\[\\]"),
    ],
)
def test_malformed_wordings_are_refused(entry, complaint):
    with pytest.raises(DataError, match=complaint):
        wording._check_acts({"greet": entry})


@pytest.mark.parametrize("swaps", [{}, {"My": "me"}, {"{order}": "x"}])
def test_malformed_dialects_are_refused(swaps):
    with pytest.raises(DataError, match="a dialect is a table"):
        wording._check_manner({"registers": {}, "dialects": {"odd": swaps}})
