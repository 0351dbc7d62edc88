"""What grows with length and what doesn't: the buffer's memory, and the cost of a token."""

from __future__ import annotations

import dataclasses
import gc
import tracemalloc

import numpy as np

from benchmarks.experiments.speed.engine import Setting, ppo, ready, rollout, small_llama
from benchmarks.experiments.speed.figures import Figure, figure, interleaved


def measure_buffer(setting: Setting, contexts: tuple[int, int] = (128, 4096)) -> Figure:
    """Bytes that a full buffer holds a transition, with observations of up to so many tokens."""
    held = []
    for size in contexts:
        algorithm = ppo(setting, setting.spec(), "cpu", size=size)
        callback = ready(algorithm)
        tracemalloc.start()
        algorithm.rollout_buffer.reset()
        before = tracemalloc.take_snapshot()
        rollout(algorithm, callback)
        gc.collect()
        after = tracemalloc.take_snapshot()
        tracemalloc.stop()
        # What the buffer's own lines allocated and still hold, beside the arrays that its reset made.
        grown = sum(stat.size_diff for stat in after.compare_to(before, "filename") if stat.traceback[0].filename.endswith("buffer.py"))
        arrays = sum(value.nbytes for value in vars(algorithm.rollout_buffer).values() if isinstance(value, np.ndarray))
        held.append((grown + arrays) / (setting.rows * algorithm.n_steps))
    return figure(
        f"buffer bytes a transition, context {contexts[1]:,} / {contexts[0]:,}",
        [held[1] / held[0]],
        at_most=1.1,
        setting=dataclasses.asdict(setting),
        bytes_per_transition=dict(zip(map(str, contexts), held, strict=True)),
    )


def measure_length(setting: Setting, replies: tuple[int, ...], device: str) -> Figure:
    """Seconds a token, rollout and update, with replies of growing length.

    The part of a token's cost that doesn't depend on length is the weights' multiplications, 2 floating-point operations a weight in a
    forward pass; attention adds 4 · layers · hidden size for every token that it looks at.
    """
    parts: dict[str, dict[str, float]] = {"rollout": {}, "update": {}}
    for reply in replies:
        one = dataclasses.replace(setting, reply=reply, minibatches=1, epochs=1)
        algorithm = ppo(one, one.spec(), device)
        callback = ready(algorithm)
        seconds = interleaved(
            {
                "rollout": lambda: rollout(algorithm, callback),  # noqa: B023
                "update": algorithm.train,
            },
            setting.rounds,
        )
        for part in parts:
            parts[part][str(reply)] = float(np.median(seconds[part])) / (setting.rows * reply)
    least, most = str(replies[0]), str(replies[-1])
    config = small_llama()
    weights = sum(parameter.numel() for parameter in algorithm.policy.parameters())

    def operations(reply: int) -> float:
        return 2 * weights + 4 * config.num_hidden_layers * config.hidden_size * (setting.prompt + reply / 2)

    return figure(
        f"cost of a token, replies of {most} / {least} tokens, {setting.model}",
        [sum(parts[part][most] for part in parts) / sum(parts[part][least] for part in parts)],
        setting=dataclasses.asdict(setting),
        seconds_per_token=parts,
        operations_per_token=operations(replies[-1]) / operations(replies[0]),
    )


def measure(quick: bool = False, device: str = "auto") -> list[Figure]:
    """All figures of this file."""
    setting = Setting(rows=2, prompt=4, reply=6, rounds=1) if quick else Setting(rows=4, rounds=3)
    contexts = (16, 512) if quick else (128, 4096)
    buffer = setting if quick else Setting()
    return [measure_buffer(buffer, contexts), measure_length(setting, (6, 12) if quick else (64, 256, 1024), device)]
