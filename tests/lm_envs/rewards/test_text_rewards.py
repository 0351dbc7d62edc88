"""Tables of replies and the scores they get."""

import pytest

from lm_envs import rewards
from tests.lm_envs.rewards.exchanges import exchange

# VADER's compound of words whose lexicon values are known: great 3.1, horrible -2.5; x / sqrt(x² + 15).
GREAT, HORRIBLE = 0.6249, -0.5423


@pytest.mark.parametrize(
    ("reply", "scenario", "target", "expected"),
    [
        ("great", {}, None, GREAT),
        ("horrible", {}, None, HORRIBLE),
        ("great", {"target": "positive"}, None, GREAT),
        ("great", {"target": "negative"}, None, -GREAT),
        ("horrible", {"target": "negative"}, None, -HORRIBLE),
        ("great", {"target": "negative"}, "positive", GREAT),
        ("great", {}, "negative", -GREAT),
        ("", {}, None, 0.0),
        ("the table", {"target": "negative"}, None, 0.0),
        ("\ud800 great", {}, None, GREAT),
    ],
)
def test_vader(reply, scenario, target, expected):
    assert rewards.VaderSentiment(target)([exchange(reply, user="horrible", scenario=scenario)]) == pytest.approx([expected], abs=1e-4)


def test_vader_refuses_other_targets():
    with pytest.raises(ValueError, match="target must be 'positive' or 'negative'; got 'neutral'"):
        rewards.VaderSentiment("neutral")
    with pytest.raises(rewards.RewardModelError, match="'vader' raised ValueError: target must be"):
        rewards.score(rewards.VaderSentiment(), [exchange("x", scenario={"target": "neutral"})])


def test_vader_reads_the_first_10000_characters():
    scores = rewards.VaderSentiment()([exchange("x" * 9_000 + " great"), exchange("x" * 10_000 + " great")])
    assert scores == pytest.approx([GREAT, 0.0], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "reply", "expected"),
    [
        ({"target": 4, "tolerance": 0}, "a b c d", 0.0),
        ({"target": 4, "tolerance": 0}, "a b c", -0.25),
        ({"target": 4, "tolerance": 0}, "a b c d e", -0.25),
        ({"target": 4, "tolerance": 0.25}, "a b c", 0.0),
        ({"target": 4, "tolerance": 0.25}, "a b", -0.25),
        ({"target": 4, "tolerance": 0}, "", -1.0),
        ({"target": 4, "tolerance": 0}, "w " * 100, -1.0),
        ({"target": 4, "tolerance": 0, "unit": "characters"}, "abcd", 0.0),
        ({"target": 4, "tolerance": 0, "unit": "characters"}, "ab", -0.5),
        ({}, "w " * 30, 0.0),
        ({}, "", -0.5),
    ],
)
def test_length(arguments, reply, expected):
    assert rewards.Length(**arguments)([exchange(reply)]) == pytest.approx([expected])


@pytest.mark.parametrize("arguments", [{"target": 0}, {"target": -1}, {"tolerance": -0.1}, {"target": float("nan")}, {"unit": "tokens"}])
def test_length_refuses(arguments):
    with pytest.raises(ValueError):
        rewards.Length(**arguments)


@pytest.mark.parametrize(
    ("arguments", "said", "reply", "expected"),
    [
        ({"n": 1}, (), "a b c", 0.0),
        ({"n": 1}, (), "a b A c", -1 / 4),
        ({"n": 1}, (), "ha, HA! ha.", -2 / 3),
        ({"n": 3}, (), "ha ha ha ha ha", -2 / 3),
        ({"n": 3}, (), "ha ha", 0.0),
        ({"n": 3}, (), "", 0.0),
        ({"n": 2}, ("how are you",), "how are they", -1 / 2),
        ({"n": 2}, ("how are you", "fine thanks"), "how are you", -1.0),
        ({"n": 2, "across_turns": False}, ("how are you",), "how are you", 0.0),
    ],
)
def test_repetition(arguments, said, reply, expected):
    assert rewards.Repetition(**arguments)([exchange(reply, said=said)]) == pytest.approx([expected])


def test_repetition_does_not_count_the_users_words():
    assert rewards.Repetition(2)([exchange("how are you", user="how are you")]) == [0.0]
    with pytest.raises(ValueError):
        rewards.Repetition(0)


def test_signals_are_weighted_components():
    model = rewards.Signals({"learnt": 2, "annoyed": -0.5})
    (judged,) = rewards.score(model, [exchange("x", signals={"learnt": 0.5, "annoyed": 1.0, "other": 9.0})])
    assert judged == rewards.Score(0.5, {"learnt": 1.0, "annoyed": -0.5})


def test_a_missing_signal_lists_the_known():
    with pytest.raises(rewards.RewardModelError, match="no signal learnt; known signals: annoyed, other"):
        rewards.score(rewards.Signals({"learnt": 1}), [exchange("x", signals={"other": 0.0, "annoyed": 1.0})])
    with pytest.raises(ValueError):
        rewards.Signals({})
    with pytest.raises(ValueError, match="learnt: expected a finite number"):
        rewards.Signals({"learnt": float("inf")})
