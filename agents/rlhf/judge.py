"""What a policy is judged by: proxy reward, ground truth, KL from the start, and how its tokens look to the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from agents.algorithms import make_token_env
from agents.arguments import UsageError
from agents.estimates import Estimate, bootstrap
from agents.evaluation import evaluate, kl_from, policy_for, ratio, surprise
from agents.files import keep, kept
from agents.rlhf.arguments import RLHFArgs

PROMPTS = {"choosing": ("train", 2_000_000), "held out": ("test", 0)}
"""Splits, and the seeds that episodes open with: beta is chosen on other prompts than those that results are reported on."""

_ROWS = 32  # episodes side by side
_SAMPLES = 3


def judged(args: RLHFArgs, policy: Path, start: Path, reward: str, stamps: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Results of a policy by kind of prompts, kept in a file.

    Args:
        args: of the whole path.
        policy: its folder: the start's own, or a checkpoint.
        start: folder of the start.
        reward: name or folder of the reward model.
        stamps: what tells this policy, this start and this reward model from others.
        file: where the result is kept.

    Returns:
        For each of :data:`PROMPTS`: ``"proxy"`` (the reward), ``"metrics"``, ``"kl"`` (nats a token), ``"kl_episode"`` and
        ``"perplexity"`` as mean, low and high; ``"episodes"``: proxy, gold and perplexity of each; ``"samples"``.

    Raises:
        UsageError: when the environment doesn't have the judge's metric.
    """
    what = {
        **stamps,
        "episodes": args.episodes,
        "env": args.env,
        "env_kwargs": args.env_kwargs,
        "reward": reward,
        "gold": args.gold,
        "seed": args.seed,
    }
    if found := kept(file, what):
        return found
    return keep(file, what, {kind: _judged(args, policy, start, reward, kind) for kind in PROMPTS})


def _judged(args: RLHFArgs, policy: Path, start: Path, reward: str, kind: str) -> dict[str, Any]:
    split, seed = PROMPTS[kind]
    kwargs = {**(args.env_kwargs or {}), "reward": reward, "split": split}
    env = make_token_env(args.env, min(_ROWS, args.episodes), str(start), kwargs)
    device = None if args.device == "auto" else args.device
    ours, theirs = policy_for(env, policy), policy_for(env, start)
    if device:
        ours, theirs = ours.to(device), theirs.to(device)
    done = evaluate(ours, env, args.episodes, seed=seed + args.seed)
    if args.gold not in done.metrics:
        raise UsageError(f"--gold: {args.env} has no metric {args.gold!r}; it has {', '.join(sorted(done.metrics))}")
    moved = kl_from(ours, theirs, done.episodes)
    sums, counts = surprise(theirs, done.episodes), np.array([len(one.positions) for one in done.episodes])
    perplexity = {name: float(np.exp(value)) for name, value in asdict(ratio(sums, counts, np.random.default_rng(0))).items()}
    return {
        "proxy": asdict(done.reward),
        "gold": asdict(done.metrics[args.gold]),
        "metrics": {name: asdict(value) for name, value in done.metrics.items()},
        "kl": asdict(moved.per_token),
        "kl_episode": asdict(moved.per_episode),
        "perplexity": perplexity,
        "episodes": [
            {"proxy": one.reward, "gold": one.metrics[args.gold], "perplexity": float(np.exp(sums[row] / max(counts[row], 1)))}
            for row, one in enumerate(done.episodes)
        ],
        "samples": [{"prompt": one.prompt, "replies": list(one.replies)} for one in done.episodes[:_SAMPLES]],
    }


def difference(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> Estimate:
    """How much more of ``"proxy"`` or ``"gold"`` the one has, over the same prompts."""
    values = [a[name] - b[name] for a, b in zip(one["episodes"], other["episodes"], strict=True)]
    return bootstrap(values, np.random.default_rng(0))


def cells(found: Mapping[str, Any]) -> list[str]:
    """What tables show of a result of one kind of prompts: proxy, ground truth, and KL a token, each with its interval."""
    return [str(Estimate(**found[name])) for name in ("proxy", "gold", "kl")]
