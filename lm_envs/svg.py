"""Small charts as inline SVG, without scripts and styles of their own; colours come from the page's classes.

Numbers may be anything: what isn't finite is left out. Labels are escaped here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import isfinite

from lm_envs.rendering import printable

COLOURS = 8  # classes f0 to f7; what comes after them shares the last

_WIDTH, _HEIGHT = 300, 110  # small enough that a phone shows the letters in about their size
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 8, 18
_WIDE, _LOW = 1000, 80


def safe(text: str) -> str:
    """Text for HTML, in elements and attributes alike: markup is escaped, controls and direction overrides are shown."""
    return escape(printable(text), quote=True)


def number(value: float, sign: bool = False) -> str:
    """A number in at most four digits; ``-0.0`` is 0."""
    if not isfinite(value):
        return str(value)
    value = round(value, 3) + 0.0
    text = f"{value:+.3f}" if sign else f"{value:.3f}"
    if abs(value) >= 1000:
        text = f"{value:+,.0f}" if sign else f"{value:,.0f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "+0" else text


def curve(values: Sequence[float], *, low: float | None = None, high: float | None = None, label: str = "") -> str:
    """A line through one value a turn, the first of them before the first reply.

    Args:
        values: in order.
        low: the bottom of the scale; by default the least value.
        high: its top.
        label: what is drawn, for those who can't see it.
    """
    x, y, ticks = _frame(len(values), values, low, high)
    runs = _runs([(x(place), value) for place, value in enumerate(values)])
    parts = [*ticks]
    for run in runs:
        points = " ".join(f"{_n(a)},{_n(y(b))}" for a, b in run)
        base = _n(_HEIGHT - _BOTTOM)
        parts.append(f'<polygon class="area" points="{_n(run[0][0])},{base} {points} {_n(run[-1][0])},{base}"/>')
        parts.append(f'<polyline class="curve" points="{points}"/>')
    for place, value in enumerate(values):
        if isfinite(value):
            when = f"after turn {place}" if place else "at the start"
            parts.append(
                f'<circle class="dot" cx="{_n(x(place))}" cy="{_n(y(value))}" r="3"><title>{when}: {number(value)}</title></circle>'
            )
    return _svg(parts, label, _WIDTH, _HEIGHT)


def bars(turns: Sequence[Mapping[str, float]], names: Sequence[str], label: str = "") -> str:
    """A stack of components for each turn: what adds above the line, what costs below it."""
    tops = [sum(value for value in turn.values() if isfinite(value) and value > 0) for turn in turns]
    bottoms = [sum(value for value in turn.values() if isfinite(value) and value < 0) for turn in turns]
    x, y, ticks = _frame(len(turns) + 1, [*tops, *bottoms, 0.0], None, None)
    step = x(1) - x(0) if turns else 0.0
    width = min(26.0, step * 0.7)
    parts = [*ticks, f'<line class="zero" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_n(y(0))}" y2="{_n(y(0))}"/>']
    for place, turn in enumerate(turns):
        above = below = 0.0
        for rank, name in enumerate(names):
            value = turn.get(name, 0.0)
            if not isfinite(value) or not value:
                continue
            begin = above if value > 0 else below
            above, below = (above + value, below) if value > 0 else (above, below + value)
            top, bottom = y(max(begin, begin + value)), y(min(begin, begin + value))
            colour = min(rank, COLOURS - 1)
            parts.append(
                f'<rect class="f{colour}" x="{_n(x(place + 1) - step / 2 - width / 2)}" y="{_n(top)}" width="{_n(width)}" '
                f'height="{_n(max(bottom - top, 0.6))}"><title>turn {place + 1}, {safe(name)}: {number(value, sign=True)}</title></rect>'
            )
    return _svg(parts, label, _WIDTH, _HEIGHT)


def strip(values: Sequence[float], cuts: Sequence[int], colour: str, label: str = "") -> str:
    """A narrow bar for each of many values; it stretches to any width. ``cuts`` are the places where a new reply begins."""
    finite = [value for value in values if isfinite(value)] or [0.0]
    low, high = min(*finite, 0.0), max(*finite, 0.0)
    span = high - low or 1.0

    def y(value: float) -> float:
        return 2 + (high - value) / span * (_LOW - 4)

    width = _WIDE / max(1, len(values))
    parts = [f'<line class="cut" x1="{_n(cut * width)}" x2="{_n(cut * width)}" y1="0" y2="{_LOW}"/>' for cut in cuts if cut]
    for place, value in enumerate(values):
        if isfinite(value) and value:
            top, bottom = sorted((y(value), y(0)))
            size = f'width="{_n(width * 0.85)}" height="{_n(max(bottom - top, 0.6))}"'
            parts.append(f'<rect class="{colour}" x="{_n(place * width)}" y="{_n(top)}" {size}/>')
    parts.append(f'<line class="zero" x1="0" x2="{_WIDE}" y1="{_n(y(0))}" y2="{_n(y(0))}"/>')
    return _svg(parts, label, _WIDE, _LOW, ' class="strip" preserveAspectRatio="none"')


def swatch(colour: int) -> str:
    """A square in the colour of a component."""
    return f'<svg viewBox="0 0 10 10" aria-hidden="true"><rect class="f{min(colour, COLOURS - 1)}" width="10" height="10" rx="2"/></svg>'


def _frame(
    count: int, values: Sequence[float], low: float | None, high: float | None
) -> tuple[Callable[[int], float], Callable[[float], float], list[str]]:
    """Scales of the two axes, and the lines and letters behind the data."""
    finite = [value for value in values if isfinite(value)] or [0.0]
    bottom = min(finite) if low is None else low
    top = max(finite) if high is None else high
    if top <= bottom:
        bottom, top = bottom - 0.5, bottom + 0.5
    last = max(1, count - 1)

    def x(place: int) -> float:
        return _LEFT + place / last * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        share = (min(max(value, bottom), top) - bottom) / (top - bottom)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for value in (bottom, top):
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_n(y(value))}" y2="{_n(y(value))}"/>')
        parts.append(f'<text x="{_LEFT - 4}" y="{_n(y(value) + 3.5)}" text-anchor="end">{_tick(value)}</text>')
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 4}">start</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">turn {count - 1}</text>')
    return x, y, parts


def _runs(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Points in their order, split where a value is missing."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if isfinite(point[1]):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _svg(parts: Sequence[str], label: str, width: int, height: int, more: str = "") -> str:
    name = f' role="img" aria-label="{safe(label)}"' if label else ' aria-hidden="true"'
    return f'<svg viewBox="0 0 {width} {height}"{more}{name}>{"".join(parts)}</svg>'


def _tick(value: float) -> str:
    return f"{value:.0f}" if 10 <= abs(value) < 10_000 else f"{value + 0.0:.2g}"


def _n(value: float) -> str:
    """A coordinate; a tenth of a pixel is enough."""
    return f"{value:.1f}".removesuffix(".0")
