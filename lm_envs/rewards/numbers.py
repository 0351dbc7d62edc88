"""The check of numbers that reward models are made with."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any


def finite(name: str, value: Any) -> float:
    """``value`` as a float; a ``ValueError`` that names it when it isn't a finite real number."""
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value!r}")
    return float(value)
