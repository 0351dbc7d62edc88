"""PPO from the start with a KL penalty, as ``python -m agents train`` does it: a run for each beta."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

from agents import checkpoint, cli
from agents.arguments import UsageError
from agents.files import read_json, write_json
from agents.rlhf.arguments import RLHFArgs

CHECKPOINT, METRICS = "checkpoint", "metrics.jsonl"
_SETTINGS, _RUN, _SUMMARY = "settings.json", "run", "summary.json"
_OURS = ("algo", "env", "env_kwargs", "model", "total_tokens", "kl_beta", "kl_target", "seed", "device", "watch", "out", "eval_episodes")


def make_policy(args: RLHFArgs, beta: float, start: Path, reward: str, stamps: dict[str, Any], folder: Path) -> Path:
    """Train a policy, or do what is left of that; returns the run's folder, as ``train`` writes it.

    Args:
        args: of the whole path.
        beta: of the KL penalty.
        start: folder of the model to start from, and to stay near to.
        reward: name or folder of the reward model.
        stamps: what tells this start and this reward model from others.
        folder: of the run and of its settings.

    Raises:
        UsageError: for arguments that ``train`` doesn't take.
    """
    given = _arguments(args, beta, start, reward)
    settings = json.loads(json.dumps({"train": given, **stamps}))
    run = folder / _RUN
    if read_json(folder / _SETTINGS) != settings:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_json(folder / _SETTINGS, settings)
    if (run / _SUMMARY).exists():
        return run
    place = checkpoint.find(run / CHECKPOINT)
    if place is None:
        shutil.rmtree(run, ignore_errors=True)
        cli.train({**given, "out": str(run)})
    elif _tokens(place) < args.tokens:
        cli.train({"resume": str(run)})
    return run


def curve(run: Path) -> list[dict[str, float]]:
    """The course of a run: a row of ``metrics.jsonl`` for each rollout."""
    return [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def _arguments(args: RLHFArgs, beta: float, start: Path, reward: str) -> dict[str, Any]:
    more = dict(args.ppo or {})
    known = {item.name for item in fields(cli.TrainArgs)} - set(_OURS)
    if unknown := set(more) - known:
        raise UsageError(f"--ppo has {', '.join(sorted(map(repr, unknown)))}; it may have {', '.join(sorted(known))}")
    return {
        "algo": "ppo",
        "env": args.env,
        "env_kwargs": {**(args.env_kwargs or {}), "reward": reward},
        "model": str(start),
        "total_tokens": args.tokens,
        "kl_beta": beta,
        "eval_episodes": 0,
        "watch": args.gold,
        "seed": args.seed,
        "device": args.device,
        "tracker": "none",
        **more,
    }


def _tokens(place: Path) -> int:
    return int(json.loads((place / checkpoint.TRAINING / "state.json").read_text(encoding="utf-8"))["counters"]["num_timesteps"])
