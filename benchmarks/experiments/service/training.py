"""One run: judge the start by customers it hasn't met, train it with PPO, judge again."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from gymnasium.vector import VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from agents.algorithms import make
from agents.checkpoint import save
from agents.evaluation import Episode, evaluate, policy_for
from agents.files import keep, kept
from agents.kl import ReferenceKL
from agents.policy import CausalLMPolicy
from benchmarks.experiments.service.study import ARMS, CUSTOMERS, Arm, Study, token_envs

METRICS = (
    "success", "satisfaction", "progress", "violations", "critical_violations", "facts_wrong", "left", "calls", "failed_calls", "turns",
    "attack_success",
)  # fmt: skip
"""Ground truth that is kept of each episode."""

_ROWS = 64  # episodes side by side when judged
_FIRST_TEST_SEED = 10_000  # times 1, 2, ... for the seeds 0, 1, ...: each run has its own customers, the same in all arms


class Curve(BaseCallback):
    """Keeps tokens, mean reward and share of successes of the training episodes that ended in each rollout."""

    def __init__(self) -> None:
        super().__init__()
        self.points: list[tuple[int, float, float]] = []
        self._ended: list[tuple[float, float]] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self._ended.append((float(info["episode"]["r"]), float(info["metrics"]["success"])))
        return True

    def _on_rollout_end(self) -> None:
        if self._ended:
            rewards, successes = zip(*self._ended, strict=True)
            self.points.append((self.num_timesteps, sum(rewards) / len(rewards), sum(successes) / len(successes)))
        self._ended = []


def ran(study: Study, arm: str, seed: int, start: Path, folder: Path) -> dict[str, Any] | None:
    """What :func:`make_run` returned for these settings and this start, if it has been run."""
    return kept(folder / "result.json", _what(study, arm, seed, start))


def make_run(study: Study, arm: str, seed: int, start: Path, folder: Path) -> dict[str, Any]:
    """Run an arm with a seed.

    Returns:
        What was run, with ``"before"`` and ``"after"``: episodes by :func:`judge`; ``"curve"``: of :class:`Curve`; ``"tokens"`` and
        ``"seconds"`` of PPO. The trained model stays in ``folder / "model"``.
    """
    torch.set_num_threads(study.threads)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    chosen = ARMS[arm]
    customers = {"split": "train", "adversarial": chosen.adversarial, "shaping": study.shaping}
    envs = token_envs(study, chosen.memory, start, study.n_envs, **customers)
    before = judge(study, chosen, seed, start, policy_for(envs, start))
    algorithm = make("ppo", envs, model=start, seed=seed, **study.ppo)
    curve = Curve()
    began = time.perf_counter()
    algorithm.learn(study.tokens, callback=[curve, *([ReferenceKL(study.kl, exact=False)] if study.kl else [])])
    seconds = time.perf_counter() - began
    after = judge(study, chosen, seed, start, algorithm)
    save(algorithm, folder / "model")
    found = {"tokens": algorithm.num_timesteps, "seconds": seconds, "curve": curve.points, "before": before, "after": after}
    return keep(folder / "result.json", _what(study, arm, seed, start), found)


def judge(study: Study, arm: Arm, seed: int, start: Path, policy: CausalLMPolicy | BaseAlgorithm) -> dict[str, list[dict[str, Any]]]:
    """Episodes by kind of customers; replies are sampled as in training.

    The same seed meets the same customers, before and after training and in every arm.
    """
    judged = {}
    for kind, customers in CUSTOMERS.items():
        envs: VectorEnv[Any, Any, Any] = token_envs(study, arm.memory, start, min(_ROWS, study.episodes), **customers._asdict())
        done = evaluate(policy, envs, study.episodes, seed=_FIRST_TEST_SEED * (seed + 1))
        judged[kind] = [_plain(episode) for episode in done.episodes]
    return judged


def _plain(episode: Episode) -> dict[str, Any]:
    metrics = {name: episode.metrics[name] for name in METRICS}
    return {"seed": episode.seed, "reward": episode.reward, **metrics, "tokens": len(episode.positions), "replies": episode.replies}


def _what(study: Study, arm: str, seed: int, start: Path) -> dict[str, Any]:
    begun = json.loads((start / "start.json").read_text(encoding="utf-8"))
    return {"arm": arm, "seed": seed, "study": asdict(study), "start": begun["fingerprint"]}
