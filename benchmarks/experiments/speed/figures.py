"""Figures of the speed benchmark, and how two sides are timed fairly."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: what was measured, in words.
        value: the median over rounds.
        unit: ``"x"`` for ratios, else what the value counts.
        target: what it should reach, such as ``">= 40"``; empty where it is only reported.
        met: whether it does; ``None`` without a target.
        low: the least of the rounds.
        high: the most of the rounds.
        detail: settings and the measurements behind the value.
    """

    name: str
    value: float
    unit: str = "x"
    target: str = ""
    met: bool | None = None
    low: float | None = None
    high: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def figure(
    name: str, values: list[float], unit: str = "x", at_least: float | None = None, at_most: float | None = None, **detail: Any
) -> Figure:
    """The median of some rounds beside its target, if it has one."""
    value = statistics.median(values)
    target = f">= {at_least:,g}" if at_least is not None else f"<= {at_most:,g}" if at_most is not None else ""
    met = value >= at_least if at_least is not None else value <= at_most if at_most is not None else None
    return Figure(name, value, unit, target, met, min(values), max(values), detail)


def interleaved(sides: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each side in each round; the sides take turns, in an order that is turned round every time.

    A busy or throttled machine so slows all sides alike, and a ratio of the same round's times is fair.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-warm_up, rounds):
        for name in list(sides) if number % 2 else reversed(list(sides)):
            began = time.perf_counter()
            sides[name]()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number >= 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def ratios(numerator: list[float], denominator: list[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(numerator, denominator, strict=True)]


def apart(code: str) -> tuple[Any, int]:
    """Run code in a new Python process: what it handed to ``report(value)``, and the bytes by which memory rose after ``mark()``.

    A process of its own per side: a peak is never given back, so that two sides in one process would share the higher one. The rise is
    that of resident memory's peak, over what was resident at the mark; where a system can't set a peak back (other than Linux), over the
    peak until then, so that it may be understated.

    Args:
        code: calls ``mark()`` once, and then ``report(value)`` once with a value that JSON can hold.
    """
    run = subprocess.run([sys.executable, "-c", _PREAMBLE + code + _EPILOGUE], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"a measured process failed:\n{run.stderr}")
    value, rise = json.loads(run.stdout.splitlines()[-1])
    return value, rise


_PREAMBLE = """
import json, resource, sys

def _peak():
    try:  # what getrusage says began, on Linux, at the size of the process that started this one
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

def mark():
    global _before
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak becomes what is resident now
    except OSError:
        pass
    _before = _peak()

def report(value):
    global _value
    _value = value
"""
_EPILOGUE = """
print(json.dumps([_value, _peak() - _before]))
"""
