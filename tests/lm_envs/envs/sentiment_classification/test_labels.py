"""What agents write, and the labels that are read from it."""

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_envs.envs.sentiment_classification.labels import LABELS, known_label, of_rating, parse_label, wants_more
from lm_envs.testing.text import HOSTILE


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("positive", "positive"),
        ("Positive.", "positive"),
        ("  NEGATIVE!\n", "negative"),
        ("**neutral**", "neutral"),
        ("_positive_", "positive"),
        ("neg", "negative"),
        ("Pos.", "positive"),
        ("I'd say it's negative", "negative"),
        ("I\u2019d say it isn\u2019t positive. Negative.", "negative"),
        ("The text sounds positive to me.", "positive"),
        ("negative, not positive", "negative"),
        ("Not negative but neutral", "neutral"),
        ("More negative than positive", "negative"),
        ("negative rather than positive", "negative"),
        ("Neither positive nor negative: neutral", "neutral"),
        ("neither positive nor negative", None),
        ("I'm not sure, negative", "negative"),
        ("not positive", None),
        ("it isn't positive", None),
        ("non-negative", None),
        ("positive or negative", None),
        ("negative, neutral or positive", None),
        ("Answer: negative, neutral or positive?", None),
        ("It has positive words. It has negative words. Label: negative", "negative"),
        ("The positive bits are few. So it is negative.", "negative"),
        ("Label: negative. On second thoughts, answer: positive", "positive"),
        ("positive negative", None),
        ('{"label": "Positive"}', "positive"),
        ('{"text": "negative", "Sentiment": "neu"}', "neutral"),
        ('```json\n{"answer": "negative."}\n```', "negative"),
        ('"neutral"', "neutral"),
        ('{"label": "positive or negative"}', None),
        ('{"label": 1}', None),
        ('{"confidence": "positive"}', None),
        ('{"label": "positive"', "positive"),
        ("positively", None),
        ("pos and neg", None),
        ("great", None),
        ("", None),
        ("more", None),
        (":)", None),
    ],
)
def test_labels_are_read(reply, label):
    assert parse_label(reply) == label


@pytest.mark.parametrize("reply", ["[" * 4000, '{"label":' * 1000, "positive " * 100_000, "not " * 100_000, *HOSTILE])
def test_any_reply_is_read_in_no_time(reply):
    assert parse_label(reply) in (*LABELS, None)
    assert wants_more(reply) is False


@settings(max_examples=200, deadline=None)
@given(reply=st.text(), label=st.sampled_from(LABELS), mark=st.sampled_from(["", ".", "!", "?", "\n", " ;", "**"]))
def test_a_label_is_read_whatever_its_case_and_marks_and_nothing_crashes(reply, label, mark):
    assert parse_label(reply) in (*LABELS, None)
    for written in (label, label.upper(), label.title(), json.dumps({"label": label})):
        assert parse_label(f" {written}{mark if written[0] != '{' else ''} ") == label


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=8), max_size=8))
def test_what_names_no_label_has_none(words):
    assert parse_label(" and ".join(word for word in words if word not in ("neg", "neu", "pos", *LABELS))) is None


@pytest.mark.parametrize(
    ("reply", "wants"),
    [
        ("more", True),
        ("More, please!", True),
        ("go on", True),
        ("continue reading", True),
        ("read further", True),
        ("once more I have read the text, and I can't tell", False),
        ("no", False),
        ("", False),
    ],
)
def test_asking_for_more(reply, wants):
    assert wants_more(reply) is wants


def test_labels_of_ratings():
    assert [of_rating(value) for value in (-4, -0.5, -0.49, 0, 0.49, 0.5, 4)] == [
        "negative", "negative", "neutral", "neutral", "neutral", "positive", "positive",
    ]  # fmt: skip


def test_labels_of_users():
    assert known_label("NEG") == known_label("Negative") == "negative"
    with pytest.raises(ValueError, match=r"label must be one of negative, neutral, positive, neg, neu, pos; got '\\x1b5 stars'"):
        known_label("\x1b5 stars")
