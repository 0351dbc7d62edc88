import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.annotation.agreement import Z, cohen_kappa, table, wilson

COHEN_1960 = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]])  # the paper's table of 200 cases, as counts
ANSWERS = st.lists(st.tuples(st.sampled_from("abt"), st.sampled_from("abt")), min_size=1, max_size=40)


def test_published_values():
    found = cohen_kappa(COHEN_1960)
    assert (found.pairs, found.observed) == (200, pytest.approx(0.70)) and found.kappa == pytest.approx(0.492, abs=5e-4)
    assert (found.high - found.low) / (2 * Z) == pytest.approx(0.051, abs=5e-4), "the standard error of 1969"
    fleiss = cohen_kappa(np.array([[75, 1, 4], [5, 4, 1], [0, 0, 10]]))
    assert fleiss.kappa == pytest.approx(0.68, abs=5e-3) and (fleiss.high - fleiss.low) / (2 * Z) == pytest.approx(0.087, abs=1e-3)


def test_the_interval_is_about_that_of_the_bootstrap():
    rng = np.random.default_rng(0)
    resampled = rng.multinomial(200, COHEN_1960.ravel() / 200, size=4000).reshape(-1, 3, 3)
    low, high = np.quantile([cohen_kappa(counts).kappa for counts in resampled], [0.025, 0.975])
    found = cohen_kappa(COHEN_1960)
    assert (found.low, found.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


@pytest.mark.parametrize(
    ("counts", "kappa"),
    [
        ([[5, 0], [0, 5]], 1.0),
        ([[0, 5], [5, 0]], -1.0),
        ([[4, 4], [4, 4]], 0.0),
        ([[7, 0], [0, 0]], None),
        ([[0, 0], [0, 0]], None),
        ([[0, 7], [0, 0]], 0.0),
    ],
)
def test_limits(counts, kappa):
    found = cohen_kappa(np.array(counts))
    assert found.kappa == (None if kappa is None else pytest.approx(kappa))
    assert (found.low is None) == (found.high is None) == (kappa is None)


@given(ANSWERS)
def test_kappa_is_symmetric_and_in_its_range(answers):
    first, second = zip(*answers, strict=True)
    one, other = cohen_kappa(table(first, second, "abt")), cohen_kappa(table(second, first, "tba"))
    assert one.pairs == len(answers) and one.observed == pytest.approx(sum(x == y for x, y in answers) / len(answers))
    if one.kappa is None:
        assert other.kappa is None and len(set(first) | set(second)) == 1
    else:
        assert one.kappa == pytest.approx(other.kappa) and -1 - 1e-9 <= one.low <= one.kappa + 1e-9 <= one.high + 2e-9 <= 1 + 3e-9


def test_wilson():
    assert wilson(8, 10) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))
    assert wilson(0, 0) == (0.0, 1.0) and wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == pytest.approx(1.0)


@given(st.integers(0, 300), st.integers(1, 300))
def test_a_share_lies_in_its_interval(successes, n):
    low, high = wilson(min(successes, n), n)
    assert 0 <= low <= min(successes, n) / n + 1e-12 and min(successes, n) / n - 1e-12 <= high <= 1
