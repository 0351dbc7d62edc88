"""TRPO's figures at a size that runs in seconds."""

import pytest

from benchmarks.experiments.speed import trpo
from benchmarks.experiments.speed.figures import apart


def test_memory_is_measured_from_the_mark():
    value, rise = apart("junk = bytearray(b'x') * 400_000_000; del junk\nmark()\nkept = bytearray(b'x') * 100_000_000\nreport(len(kept))\n")
    assert value == 100_000_000
    assert 90e6 < rise < 110e6
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        apart("mark(); 1 / 0")


def test_both_sides_take_the_same_step():
    time, memory = trpo.measure(quick=True)
    assert time.value > 0 and memory.value > 0 and (time.target, memory.target) == (">= 8", "<= 0.25")
    (ours,), (stock,) = (time.detail["steps"][side] for side in ("ours", "stock"))
    assert ours["kl"] > 0
    for key in ours:
        assert ours[key] == pytest.approx(stock[key], rel=1e-3)
