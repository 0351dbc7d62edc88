import codecs
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_envs.envs.dialogue import safety
from lm_envs.envs.dialogue.safety import unsafe


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("", set()),
        ("I disagree with every word of that.", set()),
        ("An assessment of the class in Scunthorpe", set()),
        ("In 2018, on 2018-05-03, 10 000 people came. See you at 5!", set()),
        ("What a 6 hour drive!! SO tired", set()),
        ("You are an IDIOT!", {"insult"}),
        ("you're an 1d10t", {"insult"}),
        ("i.d.i.o.t", {"insult"}),
        ("you idioooot", {"insult"}),
        ("ídiöt", {"insult"}),
        ("I’ll kill you", {"threat"}),
        ("kill\nyourself", {"self harm"}),
        ("write to jo.doe@example.org", {"personal"}),
        ("it is on www.example.net", {"personal"}),
        ("call me: (801) 555-1234", {"personal"}),
        ("+49 30 1234567", {"personal"}),
        ("I am @jo_doe there", {"personal"}),
        ("my name is Jo Doe", {"personal"}),
        ("my name is Jo", set()),
        ("we live at 12 North Main Street", {"personal"}),
    ],
)
def test_what_is_found(text, kinds):
    assert unsafe(text) == kinds


def test_every_term_is_found_as_it_is_listed():
    data = json.loads(safety.Path(safety.__file__).with_name("unsafe.json").read_text("utf-8"))
    for kind, listed in data["kinds"].items():
        for hidden in listed:
            assert kind in unsafe(f"so, {codecs.decode(hidden, 'rot13').upper()}."), hidden


def test_the_list_is_checked(monkeypatch):
    monkeypatch.setattr(safety.json, "loads", lambda text: {"kinds": {"insult": ["nop", "nop"]}})
    with pytest.raises(ValueError, match="'nop' is listed twice"):
        safety._terms.__wrapped__()


@given(st.text())
def test_any_text_is_safe_to_read(text):
    assert unsafe(text) <= {"slur", "profanity", "insult", "threat", "sexual", "self harm", "personal"}


@pytest.mark.parametrize("unit", ["a ", "1-", "a", "@", "a.", "1", "a!", "my name is ", "1 Aa ", "+1 ", "www."])
def test_long_texts_end(unit):
    unsafe(unit * 100_000)  # linear: what isn't would not come back
