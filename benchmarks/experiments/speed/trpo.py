"""TRPO's update beside that of sb3-contrib: time, and memory beyond what was held before it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import sb3_contrib
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents.algorithms import TRPO
from agents.buffer import EpisodeRolloutBuffer
from agents.policy import CausalLMPolicy
from benchmarks.experiments.speed.engine import Setting, StandIn, ready, rollout
from benchmarks.experiments.speed.figures import Figure, apart, figure, ratios

SIDES = {"ours": TRPO, "stock": sb3_contrib.TRPO}
CG_STEPS = 10


def prepared(side: str, setting: Setting, device: str = "auto", **options: Any) -> OnPolicyAlgorithm:
    """An algorithm with a full rollout, the same one on both sides; options are the policy's."""
    spec = setting.spec()
    env = StandIn(setting.rows, int(spec.config["vocab_size"]), setting.prompt, lambda: setting.reply, setting.prompt + setting.reply)
    algorithm = SIDES[side](
        CausalLMPolicy,
        env,
        n_steps=setting.reply,
        batch_size=setting.rows * setting.reply,
        gamma=1.0,
        gae_lambda=1.0,
        normalize_advantage=False,
        cg_max_steps=CG_STEPS,
        n_critic_updates=5,
        rollout_buffer_class=EpisodeRolloutBuffer,
        policy_kwargs={"model": spec, "autocast": setting.autocast, "detach_value": True, **options},
        seed=0,
        device=device,
    )
    rollout(algorithm, ready(algorithm))
    torch.manual_seed(1)  # conjugate gradients begin at a random point
    return algorithm


def update(algorithm: OnPolicyAlgorithm) -> dict[str, float]:
    """One update: its seconds, and what tells whether two sides took the same step."""
    assert isinstance(algorithm.policy, CausalLMPolicy)
    before = [parameter.detach().clone() for parameter in algorithm.policy.actor_parameters()]
    began = time.perf_counter()
    algorithm.train()
    seconds = time.perf_counter() - began
    moved = sum(float((p.detach() - b).double().square().sum()) for p, b in zip(algorithm.policy.actor_parameters(), before, strict=True))
    logged = algorithm.logger.name_to_value
    return {
        "seconds": seconds,
        "kl": float(logged["train/kl_divergence_loss"]),
        "objective": float(logged["train/policy_objective"]),
        "step": moved**0.5,
    }


def _apart(side: str, setting: Setting, device: str) -> tuple[dict[str, float], int]:
    return apart(
        f"from benchmarks.experiments.speed import engine, trpo\n"
        f"import torch\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        f"algorithm = trpo.prepared({side!r}, engine.Setting(**{asdict(setting)!r}), {device!r})\n"
        f"mark()\n"
        f"report(trpo.update(algorithm))\n"
    )


def measure(quick: bool = False, device: str = "auto") -> list[Figure]:
    """Time and peak memory of an update of 3.6 million parameters, each side in processes of its own."""
    setting = Setting(rows=2, prompt=4, reply=6, rounds=1) if quick else Setting(rounds=2)
    runs: dict[str, list[tuple[dict[str, float], int]]] = {side: [] for side in SIDES}
    for number in range(setting.rounds):
        for side in list(SIDES) if number % 2 else reversed(list(SIDES)):
            runs[side].append(_apart(side, setting, device))
    seconds = {side: [run["seconds"] for run, _ in results] for side, results in runs.items()}
    rises = {side: [float(rise) for _, rise in results] for side, results in runs.items()}
    steps = {side: [{key: run[key] for key in ("kl", "objective", "step")} for run, _ in results] for side, results in runs.items()}
    shared: dict[str, Any] = {"setting": asdict(setting), "cg_steps": CG_STEPS, "steps": steps}
    return [
        figure("TRPO update: stock / ours, time", ratios(seconds["stock"], seconds["ours"]), at_least=8, seconds=seconds, **shared),
        figure("TRPO update: ours / stock, peak memory", ratios(rises["ours"], rises["stock"]), at_most=0.25, bytes=rises, **shared),
    ]
