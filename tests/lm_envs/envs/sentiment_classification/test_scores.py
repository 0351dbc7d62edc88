import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_envs.envs.sentiment_classification.scores import from_metrics, scores


def test_scores_of_a_small_table():
    found = scores([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, -1, 0])
    assert (found.count, found.accuracy, found.answered) == (6, 0.5, 5 / 6)
    assert found.precision == {"negative": 1 / 2, "neutral": 1 / 2, "positive": 1}
    assert found.recall == {"negative": 1 / 2, "neutral": 1, "positive": 1 / 3}
    assert found.f1 == {"negative": 1 / 2, "neutral": 2 / 3, "positive": 1 / 2}
    assert found.macro_f1 == pytest.approx(5 / 9)
    assert found.macro_precision == pytest.approx(2 / 3) and found.macro_recall == pytest.approx(11 / 18)


def test_one_label_for_all_is_chance():
    labels = np.repeat([0, 1, 2], 10)
    found = scores(labels, np.full(30, 2))
    assert found.accuracy == pytest.approx(1 / 3) and found.macro_f1 == pytest.approx(1 / 6) and found.precision["negative"] == 0


@settings(max_examples=100, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2)), min_size=1, max_size=40))
def test_scores_agree_with_their_definitions(pairs):
    labels, predicted = zip(*pairs, strict=True)
    found = scores(labels, predicted)
    assert found.accuracy == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    assert scores(labels, labels).macro_f1 == 1
    for number, name in enumerate(("negative", "neutral", "positive")):
        if number in labels:
            both, called = sum(a == b == number for a, b in pairs), predicted.count(number)
            assert found.recall[name] == pytest.approx(both / labels.count(number))
            assert found.precision[name] == pytest.approx(both / called if called else 0)
            assert min(found.precision[name], found.recall[name]) <= found.f1[name] + 1e-12
        else:
            assert name not in found.f1


def test_scores_of_episodes():
    episodes = [{"label": 0.0, "predicted": 0.0}, {"label": 2.0, "predicted": -1.0}]
    assert from_metrics(episodes) == scores([0, 2], [0, -1])
    with pytest.raises(ValueError, match="hasn't terminated"):
        from_metrics([{"label": -1.0, "predicted": -1.0}])
    for labels, predicted in (([], []), ([0], [0, 1]), ([3], [0]), ([0], [-2]), ([-1], [0])):
        with pytest.raises(ValueError, match="labels"):
            scores(labels, predicted)
