import numpy as np
import pytest

from benchmarks.experiments.speed import environments, rewards
from benchmarks.experiments.speed.environments import Setting, record

QUICK = Setting(rows=4, warm_up=5, steps=120, rounds=1)


@pytest.mark.parametrize("stream", environments.STREAMS)
def test_streams_hold_allowed_tokens_and_end_replies(stream):
    actions, replies = record("CustomerService", stream, QUICK, 0)
    assert actions.shape == (125, 4) and replies > 0
    forbidden = list(environments._make("CustomerService", QUICK).chat.forbidden_ids)
    assert not np.isin(actions, forbidden).any()
    assert np.array_equal(actions, record("CustomerService", stream, QUICK, 0)[0])
    assert not np.array_equal(actions, record("CustomerService", stream, QUICK, 1)[0])


def test_environments_are_measured_each_with_both_streams():
    figures = environments.measure(quick=True)
    assert len(figures) == len(environments.TARGETS) * len(environments.STREAMS)
    assert all(one.value > 0 for one in figures)


def test_a_classifier_gives_the_same_scores_batched_and_one_by_one():
    (one,) = rewards.measure(quick=True)
    assert one.detail["largest_difference"] < 1e-4
