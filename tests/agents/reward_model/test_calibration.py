import numpy as np
import pytest

from agents.reward_model import calibration, heldout


def test_ratings_are_calibrated_by_the_least_squares_line():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=200)
    ratings = 3 * raw - 2 + rng.normal(size=200)
    slope, offset = np.polyfit(raw, ratings, 1)
    assert calibration.of_ratings(raw, ratings) == pytest.approx((slope, offset))


def test_scores_that_tell_nothing_become_the_mean_and_never_turn_round():
    raw, ratings = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    scale, offset = calibration.of_ratings(raw, ratings)
    assert 0 < scale < 0.01 and scale * raw + offset == pytest.approx([2, 2, 2], abs=0.01)
    assert calibration.of_ratings(np.ones(3), ratings).scale > 0


def test_preferences_get_the_scale_of_their_probabilities():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 20_000))
    preferred = rng.random(20_000) < 1 / (1 + np.exp(-2.5 * (first - second)))
    chosen, rejected = np.where(preferred, first, second), np.where(preferred, second, first)
    scale, offset = calibration.of_preferences(chosen, rejected)
    assert scale == pytest.approx(2.5, rel=0.05)
    assert np.mean(scale * np.concatenate([chosen, rejected]) + offset) == pytest.approx(0, abs=1e-9)
    assert calibration.of_preferences(chosen / 100, rejected / 100).scale == pytest.approx(100 * scale, rel=1e-3)


def test_preferences_without_mistakes_or_differences_stay_finite():
    easy = calibration.of_preferences(np.ones(50), np.zeros(50))
    assert 1 / (1 + np.exp(-easy.scale)) == pytest.approx(50 / 51, abs=1e-3)
    assert calibration.of_preferences(np.ones(5), np.ones(5)) == (1.0, -1.0)
    assert calibration.of_preferences(np.zeros(50), np.ones(50)).scale == calibration.LEAST_SCALE


def test_bins_hold_everything_once_and_the_error_is_their_distance():
    predicted = np.repeat([0.1, 0.9], 50)
    observed = np.concatenate([np.arange(50) < 10, np.arange(50) < 45]).astype(float)
    found = calibration.bins(predicted, observed, 2)
    assert [(one.predicted, one.observed, one.size) for one in found] == [(pytest.approx(0.1), 0.2, 50), (pytest.approx(0.9), 0.9, 50)]
    assert calibration.error(found) == pytest.approx(0.05)
    assert all(one.low <= one.observed <= one.high for one in found)


def test_accuracy_over_ratings_counts_all_pairs():
    rng = np.random.default_rng(1)
    ratings, scores = rng.integers(0, 5, 40).astype(float), rng.integers(0, 4, 40).astype(float)
    right = []
    for i in range(40):
        for j in range(i):
            if abs(ratings[i] - ratings[j]) >= 1.5:
                agree = (scores[i] - scores[j]) * (ratings[i] - ratings[j])
                right.append(1.0 if agree > 0 else 0.5 if agree == 0 else 0.0)
    sources = [str(number // 2) for number in range(40)]
    found = heldout.of_ratings({"ours": scores, "truth": ratings, "none": np.zeros(40)}, ratings, sources, 1.5)
    assert found.pairs == len(right) and found.sources == 20
    assert found.by_scorer["ours"].mean == pytest.approx(np.mean(right))
    assert found.by_scorer["ours"].low < found.by_scorer["ours"].mean < found.by_scorer["ours"].high
    assert vars(found.by_scorer["truth"]) == {"mean": 1, "low": 1, "high": 1}
    assert vars(found.by_scorer["none"]) == {"mean": 0.5, "low": 0.5, "high": 0.5}
    assert found.gains["truth"].mean == pytest.approx(np.mean(right) - 1)


def test_intervals_resample_sources_and_not_texts():
    rng = np.random.default_rng(0)
    ratings = rng.normal(size=300)
    scores = {"ours": ratings + rng.normal(size=300)}
    alone = heldout.of_ratings(scores, ratings, [str(n) for n in range(300)], 0.5).by_scorer["ours"]
    together = heldout.of_ratings(scores, ratings, [str(n // 30) for n in range(300)], 0.5).by_scorer["ours"]
    copies = np.repeat(ratings[:10], 30)
    same = heldout.of_ratings({"ours": np.repeat(scores["ours"][:10], 30)}, copies, [str(n // 30) for n in range(300)], 0.5)
    assert alone.mean == pytest.approx(together.mean)
    assert same.by_scorer["ours"].high - same.by_scorer["ours"].low > 2 * (alone.high - alone.low)


def test_accuracy_over_given_pairs():
    chosen, rejected = np.array([1.0, 2.0, 3.0, 0.0]), np.array([0.0, 2.0, 1.0, 1.0])
    found = heldout.of_pairs({"ours": chosen, "flat": np.zeros(4)}, {"ours": rejected, "flat": np.zeros(4)}, list("abcd"))
    assert found.by_scorer["ours"].mean == pytest.approx(2.5 / 4) and found.by_scorer["flat"].mean == 0.5
    assert found.gains["flat"].mean == pytest.approx(2.5 / 4 - 0.5) and found.pairs == found.sources == 4


def test_without_pairs_there_is_no_accuracy():
    with pytest.raises(ValueError, match="no two held-out texts differ by 9"):
        heldout.of_ratings({"ours": np.zeros(3)}, np.arange(3.0), list("abc"), 9.0)
