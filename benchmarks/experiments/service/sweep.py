"""What runs: a supervised start for each arm, then PPO from it with every seed, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.experiments.service.study import Study
from benchmarks.experiments.service.supervised import make_start, started
from benchmarks.experiments.service.training import make_run, ran
from benchmarks.runs import in_process

Result = dict[str, Any]
Report = Callable[[str], None]


def run_all(study: Study, arms: Sequence[str], seeds: Sequence[int], out: Path, jobs: int, report: Report) -> list[Result]:
    """Everything that isn't there yet; results in the order of arms and seeds.

    Args:
        study: what all share.
        arms: names of :data:`~benchmarks.experiments.service.study.ARMS`.
        seeds: of PPO and of the customers that judge.
        out: folder of the results.
        jobs: processes at a time.
        report: prints a line.

    Raises:
        Exception: of the first task that fails, once those that had begun are over.
    """
    found = {arm: started(study, arm, _start(out, arm)) for arm in arms}  # not in threads: they can't load models side by side

    def start(arm: str) -> None:
        made = found[arm] or in_process(make_start, study, arm, _start(out, arm))
        report(f"start, {arm}: {made['rows']:,} rows, loss {made['loss']:.3f}, {made['seconds']:.0f} s")

    def run(arm: str, seed: int) -> Result:
        what = study, arm, seed, _start(out, arm), out / f"{_slug(arm)}-{seed}"
        result = ran(*what) or in_process(make_run, *what)
        report(_line(result))
        return result

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(start, arms))
        futures = [pool.submit(run, arm, seed) for seed in seeds for arm in arms]
        try:
            results = [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sorted(results, key=lambda result: arms.index(result["what"]["arm"]))


def _start(out: Path, arm: str) -> Path:
    return out / f"start-{_slug(arm)}"


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def _line(result: Result) -> str:
    def success(when: str) -> float:
        episodes = result[when]["ordinary"]
        return float(sum(episode["success"] for episode in episodes) / len(episodes))

    what = result["what"]
    return (
        f"{what['arm']}, seed {what['seed']}: success {success('before'):.2f} -> {success('after'):.2f}, {result['seconds']:.0f} s of PPO"
    )
