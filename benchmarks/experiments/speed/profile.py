"""Where the time of one iteration of stock PPO on the engine goes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import torch
from stable_baselines3.common.utils import get_device
from torch.profiler import ProfilerActivity, profile

from agents.models import bf16_is_fast
from benchmarks.experiments.speed.engine import Setting, ppo, ready, rollout
from benchmarks.experiments.speed.figures import Figure, figure

_KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear", "aten::matmul"),
    "attention": ("aten::_scaled_dot_product", "aten::scaled_dot_product", "aten::_flash", "aten::_efficient"),
    "optimizer": ("aten::_fused_adam", "Optimizer.step", "aten::_foreach"),
    "keys and values": ("aten::_index_put", "aten::index_put"),
}


def shares(work: Callable[[], object]) -> tuple[float, dict[str, float]]:
    """Seconds of some work without the profiler, and the share of each kind of operation in them.

    The last share is what no operation accounts for: Python, and the environment.
    """
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities) as seen:
        work()
    found = dict.fromkeys((*_KINDS, "other operations"), 0.0)
    for event in seen.key_averages():
        kind = next((kind for kind, names in _KINDS.items() if event.key.startswith(names)), "other operations")
        if event.key.startswith("aten::") or kind != "other operations":
            found[kind] += max(event.self_cpu_time_total, getattr(event, "self_device_time_total", 0)) / 1e6
    found = {kind: value / seconds for kind, value in found.items()}
    return seconds, {**found, "Python and the rest": max(0.0, 1 - sum(found.values()))}


def measure(quick: bool = False, device: str = "auto", model: str = "3.6M") -> list[Figure]:
    """Shares of a rollout and of an update, in per cent."""
    small = model == "3.6M"
    half = not small and bf16_is_fast(get_device(device))
    setting = Setting(model=model, epochs=1, minibatches=1, reply=96 if small else 32, autocast=half)
    if quick:
        setting = dataclasses.replace(setting, rows=2, prompt=4, reply=6)
    algorithm = ppo(setting, setting.spec(), device)
    callback = ready(algorithm)
    rollout(algorithm, callback)
    algorithm.train()
    figures = []
    for name, work in (("rollout", lambda: rollout(algorithm, callback)), ("update", algorithm.train)):
        seconds, found = shares(work)
        for kind, share in found.items():
            figures.append(
                figure(f"{name}, {model}: {kind}", [100 * share], unit="%", seconds=seconds, setting=dataclasses.asdict(setting))
            )
    return figures
