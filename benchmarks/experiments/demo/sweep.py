"""What runs: every algorithm with every seed, each in a process of its own."""

from __future__ import annotations

import json
import multiprocessing
import queue
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Report = Callable[[str, int, float], None]  # run, tokens so far, mean reward of the last rollout


@dataclass(frozen=True)
class Study:
    """The settings of a demo."""

    algorithms: tuple[str, ...] = ("trpo", "ppo", "a2c")
    """the slowest first, so that the others fill the time beside it"""
    seeds: tuple[int, ...] = (0, 1)
    env: str = "lm_envs/SentimentTokens-v0"
    target: str = "positive"
    model: str = "tiny"
    tokens: int = 16_384
    """tokens the agent writes in a run, about"""
    n_envs: int = 16
    episodes: int = 128
    """test episodes before and after each run"""
    jobs: int = 2
    """runs at a time"""
    threads: int = 1
    """threads of a run"""
    overrides: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            "ppo": {"learning_rate": 3e-4, "target_kl": None},
            "a2c": {"learning_rate": 5e-4},
            "trpo": {"target_kl": 0.1, "cg_max_steps": 5},
        }
    )
    """arguments of an algorithm that differ from ``make``'s, which are for larger models and longer runs"""


def run(algorithm: str, seed: int, study: Study, out: Path, report: Report) -> dict[str, Any]:
    """One run: evaluate, train, evaluate; the trained model and ``result.json`` go to ``out``."""
    import torch
    import transformers
    from stable_baselines3.common.callbacks import BaseCallback

    from agents.algorithms import make, make_token_env
    from agents.checkpoint import save
    from agents.evaluation import evaluate, kl_from, policy_for
    from agents.policy import CausalLMPolicy

    torch.set_num_threads(study.threads)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    name = run_name(algorithm, seed)
    curve: list[tuple[int, float]] = []

    class Curve(BaseCallback):
        """Keeps the mean reward of the episodes that ended in each rollout."""

        def __init__(self) -> None:
            super().__init__()
            self.rewards: list[float] = []

        def _on_step(self) -> bool:
            self.rewards += [float(info["episode"]["r"]) for info in self.locals["infos"] if "episode" in info]
            return True

        def _on_rollout_end(self) -> None:
            if self.rewards:
                curve.append((self.num_timesteps, sum(self.rewards) / len(self.rewards)))
            self.rewards = []
            report(name, self.num_timesteps, curve[-1][1] if curve else float("nan"))

    test = make_token_env(study.env, study.n_envs, study.model, {"split": "test", "target": study.target})
    start = policy_for(test, study.model)
    first = 10_000 * (seed + 1)
    before = evaluate(start, test, study.episodes, seed=first)
    overrides = study.overrides.get(algorithm, {})
    env_kwargs = {"split": "train", "target": study.target}
    trained = make(algorithm, study.env, model=study.model, n_envs=study.n_envs, seed=seed, env_kwargs=env_kwargs, **overrides)
    began = time.perf_counter()
    trained.learn(study.tokens, callback=Curve())
    seconds = time.perf_counter() - began
    after = evaluate(trained, test, study.episodes, seed=first)
    result = {
        "algorithm": algorithm,
        "seed": seed,
        "tokens": trained.num_timesteps,
        "seconds": seconds,
        "curve": curve,
        "before": before.to_json(),
        "after": after.to_json(),
        "kl": asdict(kl_from(cast(CausalLMPolicy, trained.policy), start, after.episodes)),
    }
    save(trained, out / "model")
    (out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    report(name, study.tokens, curve[-1][1] if curve else float("nan"))
    return result


def run_all(study: Study, out: Path) -> list[dict[str, Any]]:
    """All runs, with a progress bar each; results in the order of algorithms and seeds.

    The first error ends the others and is raised.
    """
    names = [(algorithm, seed) for algorithm in study.algorithms for seed in study.seeds]
    for algorithm, seed in names:
        (out / run_name(algorithm, seed)).mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    columns = (
        TextColumn("{task.description:8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("tokens  reward {task.fields[reward]:+.2f}"),
    )
    with (
        Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress,
        context.Manager() as manager,
        ProcessPoolExecutor(study.jobs, mp_context=context) as pool,
    ):
        news = manager.Queue()
        bars = {run_name(*name): progress.add_task(run_name(*name), total=study.tokens, start=False, reward=float("nan")) for name in names}
        futures = [pool.submit(_run_in_process, *name, study, out / run_name(*name), news) for name in names]
        _follow(futures, news, progress, bars)
        return [future.result() for future in futures]


def run_name(algorithm: str, seed: int) -> str:
    """The name of a run, and of its folder."""
    return f"{algorithm}-{seed}"


def _run_in_process(algorithm: str, seed: int, study: Study, out: Path, news: Any) -> dict[str, Any]:
    return run(algorithm, seed, study, out, lambda *what: news.put(what))


def _follow(futures: list[Future[dict[str, Any]]], news: Any, progress: Progress, bars: dict[str, TaskID]) -> None:
    pending = set(futures)
    while pending:
        finished, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
        for future in finished:
            if error := future.exception():
                for other in pending:
                    other.cancel()
                raise error
        try:
            while True:
                name, tokens, reward = news.get_nowait()
                progress.start_task(bars[name])
                progress.update(bars[name], completed=min(tokens, progress.tasks[bars[name]].total or tokens), reward=reward)
        except queue.Empty:
            continue
