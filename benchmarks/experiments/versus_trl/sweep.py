"""What runs: the trials of each side, then its best settings with every seed, each run in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agents.files import write_json
from benchmarks.experiments.versus_trl.task import Task
from benchmarks.experiments.versus_trl.trials import TRIALS, Side
from benchmarks.runs import in_process
from lm_envs import assets
from lm_envs.assets import AssetError

__all__ = [
    "TRIALS",
    "TUNING_SEED",
    "AssetError",
    "Side",
    "Task",
    "check",
    "compare",
    "in_process",
    "run",
    "run_all",
    "train",
    "tune",
]

_MOST_TRIALS = min(map(len, TRIALS.values()))
TUNING_SEED = 100  # of the trials; no run of the comparison has it

Result = dict[str, Any]
Report = Callable[[str], None]


def check(task: Task, sides: Sequence[Side]) -> None:
    """Look for what the runs need before the first of them.

    Raises:
        ImportError: when TRL is missing and one of the sides; it names the extra.
        AssetError: when the model isn't here and can't be fetched.
    """
    if "trl" in sides and find_spec("trl") is None:
        raise ImportError('trl is not installed: pip install "lm-envs[trl]"')
    if task.model in assets.MODELS:
        assets.path(task.model)


def run_all(
    task: Task, sides: Sequence[Side], trials: int | None, seeds: Sequence[int], out: Path, report: Report
) -> tuple[dict[Side, str], list[Result]]:
    """Tune each side, then compare them; returns the names of the best trials, and the results.

    Args:
        task: what the sides share.
        sides: any of them.
        trials: of each side; ``None``: as many as the shorter list has.
        seeds: of the comparison.
        out: folder of the results.
        report: prints a line.
    """
    out.mkdir(parents=True, exist_ok=True)
    count = min(trials or _MOST_TRIALS, _MOST_TRIALS)
    chosen = {side: tune(task, side, count, out, report) for side in sides}
    return chosen, compare(task, chosen, seeds, out, report)


def tune(task: Task, side: Side, count: int, out: Path, report: Report) -> str:
    """The name of a side's best trial: the first to reach the goal, by its clock.

    A trial is ended when it has taken as long as the best before it: it can't win any more.

    Args:
        task: what the sides share.
        side: whose trials.
        count: how many of them.
        out: folder of the results.
        report: told of each trial.

    Raises:
        RuntimeError: when no trial reaches the goal.
    """
    best, cap = "", task.cap_seconds
    for name, settings in list(TRIALS[side].items())[:count]:
        result = run(replace(task, cap_seconds=cap), side, settings, TUNING_SEED, out / f"trial-{side}-{_slug(name)}.json")
        report(_line(f"trial {side} {name}", result))
        if result["seconds"] is not None and result["seconds"] < cap:
            best, cap = name, result["seconds"]
    if not best:
        raise RuntimeError(f"no trial of {side} reached {task.goal} in {task.cap_seconds:.0f} s; raise --cap-seconds")
    return best


def compare(task: Task, chosen: Mapping[Side, str], seeds: Sequence[int], out: Path, report: Report) -> list[Result]:
    """Every seed with each side's chosen settings; the sides take turns, in an order that is turned round every time."""
    results = []
    for number, seed in enumerate(seeds):
        for side in list(chosen) if number % 2 == 0 else reversed(list(chosen)):
            result = run(task, side, TRIALS[side][chosen[side]], seed, out / f"run-{side}-{seed}.json")
            report(_line(f"{side} seed {seed}", result))
            results.append(result)
    return results


def run(task: Task, side: Side, settings: Mapping[str, Any], seed: int, path: Path) -> Result:
    """One run in a process of its own, kept as JSON; one that is there already, with these settings, is not run again.

    Returns:
        What was run, with ``"seconds"``, ``"tokens"`` and ``"iterations"`` to the goal (``None`` where it wasn't reached), the curve's
        ``"points"`` and ``"samples"``.
    """
    what = {"side": side, "seed": seed, "settings": dict(settings), "task": asdict(task)}
    if path.exists():
        kept: Result = json.loads(path.read_text("utf-8"))
        if {name: kept[name] for name in what} == what:
            return kept
    result = what | in_process(train, task, side, settings, seed)
    write_json(path, result)
    return result


def train(task: Task, side: Side, settings: Mapping[str, Any], seed: int) -> Result:
    """One run in this process."""
    import torch
    import transformers

    torch.set_num_threads(task.threads)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if side == "trl":
        from benchmarks.experiments.versus_trl import grpo as way
    else:
        from benchmarks.experiments.versus_trl import ours as way  # type: ignore[no-redef]
    curve = way.run(task, settings, seed)
    last = curve.points[-1]
    reached = {"seconds": last["seconds"], "tokens": last["tokens"], "iterations": len(curve.points)}
    return {
        **(reached if curve.reached else dict.fromkeys(reached)),
        "points": curve.points,
        "samples": curve.samples,
    }


def _slug(name: str) -> str:
    return "-".join(name.replace(",", "").split())


def _line(name: str, result: Result) -> str:
    last = result["points"][-1]
    verdict = "reached" if result["seconds"] is not None else "ended at"
    return f"{name}: {verdict} {last['running']:+.2f} after {last['seconds']:.1f} s, {len(result['points'])} iterations"
