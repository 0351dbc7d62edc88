import json

import pytest

from lm_envs.envs.twenty_questions import table as module
from lm_envs.envs.twenty_questions.env import lines, with_article
from lm_envs.envs.twenty_questions.table import table
from lm_envs.types import SPLITS


def test_size_and_splits():
    found = table()
    assert len(found.things) >= 200 and len(found.attributes) >= 60
    assert found.answers.shape == (len(found.things), len(found.attributes))
    train, test = (set(found.splits[split]) for split in SPLITS)
    assert not train & test and len(train | test) == len(found.things) and min(len(train), len(test)) > 100
    assert not set(lines()["opening"]["train"]) & set(lines()["opening"]["test"])


@pytest.mark.parametrize(
    ("attribute", "yes", "no"),
    [
        ("alive", "dog oak·tree ant", "car river violin"),
        ("manmade", "bread castle coin", "apple horse moon"),
        ("fly", "eagle bee airplane bat", "penguin ostrich snake car"),
        ("mammal", "whale dolphin bat", "shark penguin frog"),
        ("eggs", "penguin crocodile bee", "dog whale scorpion"),
        ("electric", "television kettle drill", "hammer piano candle"),
        ("person", "elephant house sun", "cat coin chair"),
        ("pocket", "coin key match", "sofa dog guitar"),
        ("metal", "sword key car", "book pillow apple"),
        ("on_trees", "apple cherry coconut", "carrot strawberry potato"),
        ("old", "sword bread moon", "television helicopter microwave"),
    ],
)
def test_what_everyone_knows(attribute, yes, no):
    for answer, things in (("yes", yes), ("no", no)):
        for thing in things.split():
            assert table().answer(thing.replace("·", " "), attribute) == answer, thing


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        *((kind, "animal") for kind in ("mammal", "bird", "fish", "reptile", "bug")),
        ("animal", "alive"), ("flower", "plant"), ("tree", "plant"), ("vehicle", "manmade"),
        ("furniture", "manmade"), ("building", "manmade"),
        ("house", "breadbox"), ("person", "breadbox"), ("pocket", "carry"), ("building", "place"),
        ("tool", "manmade"), ("screen", "electric"),
    ],
)  # fmt: skip
def test_what_follows_from_something_holds_too(narrow, wide):
    for thing in table().things:
        if table().answer(thing, narrow) == "yes":
            assert table().answer(thing, wide) == "yes", thing


@pytest.mark.parametrize(
    ("one", "other"),
    [("pocket", "person"), ("animal", "manmade"), ("plant", "manmade"), ("mammal", "bird"), ("pocket", "breadbox"), ("alive", "electric")],
)
def test_what_excludes_something(one, other):
    for thing in table().things:
        assert (table().answer(thing, one), table().answer(thing, other)) != ("yes", "yes"), thing


def test_articles():
    assert [with_article(thing) for thing in ("cat", "owl", "moon", "rice", "ice cream")] == [
        "a cat",
        "an owl",
        "the moon",
        "rice",
        "ice cream",
    ]


def changed(monkeypatch, **changes):
    """Read the real files with some things changed."""
    real = module._read

    def read(name):
        data = real(name)
        return {**data, **{k: {**data[k], **v} for k, v in changes.items()}} if name == "things.json" else data

    monkeypatch.setattr(module, "_read", read)
    return table.__wrapped__


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cat": {"yes": "alive purrs"}}, "cat: unknown attributes purrs; known: alive"),
        ({"cat": {"yes": "alive", "sometimes": "alive"}}, "cat: an attribute is listed twice"),
        ({"cat": {"split": "dev"}}, "cat: expected"),
        ({"cat": {"colour": "grey"}}, "cat: expected"),
        ({"cat": {"also": ["dog"]}}, "'dog' is the name of both"),
    ],
)
def test_the_things_are_checked(monkeypatch, changes, says):
    with pytest.raises(ValueError, match=says):
        changed(monkeypatch, **changes)()


def test_things_that_no_question_tells_apart_are_refused(monkeypatch):
    dog = json.loads((module.Path(module.__file__).with_name("things.json")).read_text())["dog"]
    with pytest.raises(ValueError, match="no question tells dog and cat apart"):
        changed(monkeypatch, cat={"yes": dog["yes"], "sometimes": dog["sometimes"]})()


def test_the_attributes_are_checked():
    with pytest.raises(ValueError, match="alive: expected texts no, question, yes"):
        module._attribute("alive", {"question": "?", "yes": "it is"})
