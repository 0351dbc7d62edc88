"""All parts of the benchmark, and how their figures are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module

from rich.table import Table

from benchmarks.experiments.speed.figures import Figure


def run(parts: Sequence[str], quick: bool = False, device: str = "auto") -> Iterator[tuple[str, list[Figure]]]:
    """Measure some parts, one after the other."""
    for part in parts:
        yield part, _measure(part, device)(quick)


def table(figures: Sequence[Figure], title: str) -> Table:
    """Figures with the spread of their rounds."""
    shown = Table(title=title, title_justify="left")
    for column in ("figure", "value", "rounds", "target", "reached"):
        shown.add_column(column, justify="left" if column == "figure" else "right", overflow="fold")
    for one in figures:
        spread = "" if one.low is None or one.high is None or one.low == one.high else f"{_number(one.low)} … {_number(one.high)}"
        reached = "" if one.met is None else "yes" if one.met else "NO"
        shown.add_row(one.name, f"{_number(one.value)} {one.unit}", spread, one.target, reached)
    return shown


def markdown(figures: Sequence[Figure]) -> str:
    """The same as a table for a document."""
    rows = [f"| {f.name} | {_number(f.value)} {f.unit} | {f.target.replace('>=', '≥').replace('<=', '≤')} |" for f in figures]
    return "\n".join(["| figure | measured | target |", "|---|---|---|", *rows, ""])


def _measure(part: str, device: str) -> Callable[[bool], list[Figure]]:
    if part == "smollm2":
        both = [_of(name) for name in ("engine", "profile")]
        return lambda quick: [figure for measure in both for figure in measure(quick, device=device, model="smollm2-135m")]
    return partial(_of(part), device=device) if part in ("engine", "profile", "scaling") else _of(part)


def _of(part: str) -> Callable[..., list[Figure]]:
    return import_module(f"benchmarks.experiments.speed.{part}").measure  # type: ignore[no-any-return]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
