import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_envs.envs.twenty_questions import heldout, understanding
from lm_envs.envs.twenty_questions.env import lines, with_article
from lm_envs.envs.twenty_questions.table import table
from lm_envs.envs.twenty_questions.understanding import LONGEST, Understood, understand


def question(name, opposite=False):
    return Understood("question", name, opposite)


def guess(name):
    return Understood("guess", name)


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("Is it an animal?", question("animal")),
        ("does it live in water", question("water")),
        ("IS IT WATER?", guess("water")),
        ("can you eat it", question("food")),
        ("Would I find it in a kitchen?", question("kitchen")),
        ("is it bigger than a breadbox", question("breadbox")),
        ("Is it smaller than a breadbox?", question("breadbox", True)),
        ("isn't it alive?", question("alive")),
        ("Isn\u2019t it alive?", question("alive")),
        ("Is it not alive?", question("alive")),
        ("It isn't alive, is it?", question("alive", True)),
        ("Is it something that can't fly?", question("fly", True)),
        ("Is it something that is not harmless?", question("dangerous")),
        ("It's metal, isn't it?", question("metal")),
        ("Okay, so does it have wheels?", question("wheels")),
        ("Hmm. Let me think. Does it have wheels?", question("wheels")),
        ("Is it a cat?", guess("cat")),
        ("I think it's a violin", guess("violin")),
        ("kitten!", guess("cat")),
        ("Is it a fly?", guess("fly")),
        ("Can it fly?", question("fly")),
        ("Is it glass?", question("glass")),
        ("Is it a glass?", guess("drinking glass")),
        ("Is it toilet paper?", guess("toilet paper")),
        ("Is it a cat or a dog?", Understood("several")),
        ("Is it alive? Is it big?", question("alive")),
        ("Is it alive? Is it red?", Understood("several")),
        ("Is it a cat? Is it a dog?", Understood("several")),
        ("Is it made of wood, glass or metal?", Understood("several")),
        ("How many legs has it?", Understood("nothing")),
        ("I have a cat and a dog", Understood("nothing")),
        ("", Understood("nothing")),
        ("?!...", Understood("nothing")),
        ("not", Understood("nothing")),
        ("is it", Understood("nothing")),
        ("isn't", Understood("nothing")),
        ("🙂 🐈", Understood("nothing")),
        ("¿Dónde está?", Understood("nothing")),
    ],
)
def test_readings(text, heard):
    assert understand(text) == heard


def test_what_the_players_say_is_understood():
    for name, attribute in table().attributes.items():
        assert understand(attribute.question) == question(name)
    for thing in table().things:
        for pattern in lines()["guess"]:
            assert understand(pattern.format(thing=with_article(thing))) == guess(thing)
    assert {understand(text).kind for text in lines()["aside"]} == {"nothing"}


def test_every_name_of_a_thing_is_understood():
    for name, thing in table().names.items():
        assert understand(f"Is it a {name}?") == guess(thing)


@pytest.mark.parametrize("unit", ["is it alive ", "not ", "?", ".", "a, ", "or ", "'", "n't", "🙂", "\u202e", "a" * 50, "\ud800"])
@pytest.mark.parametrize("length", [LONGEST, 100_000])
def test_any_text_is_safe(unit, length):
    heard = understand((unit * length)[:length])
    assert length == LONGEST or heard == Understood("nothing")


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=300), st.lists(st.sampled_from("is it not isn't a an cat or , . ? fly made of never can't".split())).map(" ".join)
    )
)
def test_readings_are_always_of_the_table(text):
    heard = understand(text)
    names = {"question": table().attributes, "guess": table().things}.get(heard.kind, ("",))
    assert heard.name in names


def test_the_phrases_are_checked(monkeypatch):
    real = json.loads(understanding.Path(understanding.__file__).with_name("understanding.json").read_text())
    table()
    for change, says in (
        ({"attributes": {"alive": {}}}, "differ in"),
        ({"attributes": {**real["attributes"], "alive": {"means": ["an animal"], "opposite": []}}}, "means animal and alive"),
        ({"attributes": {**real["attributes"], "alive": {"means": ["it is"], "opposite": []}}}, "empty"),
    ):
        monkeypatch.setattr(understanding.json, "loads", lambda text, change=change: {**real, **change})
        with pytest.raises(ValueError, match=says):
            understanding.phrases.__wrapped__()


# Held-out questions.


def test_there_are_enough_held_out_questions():
    asked = [one for one in heldout.questions() if one.kind != "oblique"]
    assert len(asked) >= 300
    assert {one.label for one in asked if one.kind in ("plain", "negative", "opposite")} == set(table().attributes)


def test_accuracy_as_published(capsys):
    counts = heldout.tally()
    assert counts["all"].right / sum(counts["all"]) >= 0.95
    assert counts["none"].misread == 0
    heldout.main()
    assert capsys.readouterr().out.splitlines()[0].startswith("all        96.7% of 423")


def test_the_accuracy_depends_on_the_reader():
    deaf = heldout.tally(lambda text: Understood("nothing"))
    assert deaf["plain"].right == 0 and deaf["plain"].misread == 0 and deaf["none"].refused == 0
    assert heldout.tally(lambda text: guess("cat"))["guess"].right == 1


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "plain", "text": "?", "label": "cat"},
        {"kind": "guess", "text": "?", "label": "alive"},
        {"kind": "none", "text": "?", "label": "alive"},
        {"kind": "other", "text": "?", "label": "alive"},
    ],
)
def test_held_out_questions_are_checked(monkeypatch, line):
    monkeypatch.setattr(heldout.json, "loads", lambda text: line)
    with pytest.raises(ValueError, match="line 1: unknown kind or label"):
        heldout.questions.__wrapped__()
