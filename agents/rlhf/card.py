"""The model folder, and the card in it: data, reward, algorithm, seeds, scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agents import checkpoint
from agents.rlhf.arguments import RLHFArgs
from agents.rlhf.judge import cells
from agents.rlhf.sweep import Results, factor, spread
from lm_envs.rendering import printable

CARD = "README.md"
_PACKAGES = ("torch", "transformers", "stable-baselines3", "trl")
_SHOWN_CHARS = 300


def write_folder(checkpoint_folder: Path, card: str, folder: Path) -> None:
    """Copy what ``from_pretrained`` needs out of a checkpoint, beside its place, and put it there with its card."""
    beside = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    ours = shutil.ignore_patterns(checkpoint.TRAINING, checkpoint.ADAPTER, checkpoint.VALUE_HEAD, CARD)
    shutil.copytree(checkpoint_folder, beside, ignore=ours)
    (beside / CARD).write_text(card, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)


def card(
    args: RLHFArgs,
    beta: float,
    start: Mapping[str, Any],
    results: Results,
    started: Mapping[str, Any],
    reward: Mapping[str, Any],
    warned: Sequence[str],
) -> str:
    """The card as Markdown. Texts of models and data are shown as code, escaped.

    Args:
        args: of the whole path.
        beta: the chosen one.
        start: of the judge, for the start.
        results: of the judge, by beta.
        started: what was kept of the supervised start.
        reward: what is known of the reward model.
        warned: where proxy and ground truth parted.
    """
    lines = ["---", "pipeline_tag: text-generation", "tags:", "- reinforcement-learning", "- ppo", "---", ""]
    lines += [f"# {_code(Path(args.model).name)}, tuned by PPO on {_code(args.env)}", ""]
    lines += [
        "`AutoModelForCausalLM.from_pretrained` loads this folder. Made by `python -m agents rlhf`; do not use it beyond its task.",
        "",
    ]
    lines += ["## Training", ""]
    if args.start == "none":
        lines += [f"- Start: {_code(args.model)} as it is."]
    else:
        lines += [
            f"- Supervised start: {started['examples']:,} conversations of {_code(args.start)} ({started['tokens']:,} tokens), TRL's SFT "
            f"trainer, learning rate {args.start_lr:g}, {args.start_epochs} epochs, mean loss {started['loss']:.3f} nats a token."
        ]
    lines += [
        f"- Environment: {_code(args.env)}, {_code(json.dumps(args.env_kwargs or {}))}, train split.",
        f"- Reward: {_code(json.dumps(reward))}",
        f"- Algorithm: PPO, {args.tokens:,} tokens, {_code(json.dumps(args.ppo or {}))}, beta {beta:g} times the KL "
        "divergence from the start.",
        f"- Seed: {args.seed}, of all stages; one run a beta, so that differences between seeds aren't in the intervals.",
        f"- Versions: {', '.join(_versions())}.",
        "",
        "## Scores",
        "",
        f"{args.episodes} held-out prompts (test split), sampled as in training, 95 % intervals. The judge, {_code(args.gold)}, is a "
        "metric of the environment: nothing was trained on it. Beta was chosen on other prompts, as the one with the best judgement among "
        f"those with at most {args.max_perplexity:g} times the start's perplexity; of the start's own continuations a quarter have at "
        f"least {spread(start, 'held out'):.2f} times as much.",
        "",
        f"| | proxy: reward | judge: {_code(args.gold)} | KL, nats a token | perplexity under the start |",
        "|---|---|---|---|---|",
        _row("start", start["held out"], 1.0),
    ]
    lines += [_row(f"beta {one:g}{' (this)' if one == beta else ''}", results[one]["held out"], factor(results[one], start, "held out"))
              for one in sorted(results)]  # fmt: skip
    lines += ["", "## Where proxy and ground truth parted", "", *([f"- {line}" for line in warned] or ["Nowhere in this sweep."])]
    lines += ["", "## Samples", "", "Held-out prompts and what the model wrote.", ""]
    for sample in results[beta]["held out"]["samples"]:
        text = " / ".join([sample["prompt"], *sample["replies"]])
        lines += ["    " + " ".join(printable(text).split())[:_SHOWN_CHARS], ""]
    lines += ["## Arguments", "", "    " + json.dumps(asdict(args)), ""]
    return "\n".join(lines)


def _versions() -> Iterator[str]:
    """Of what is installed: without a stage that needs it, TRL may be missing."""
    for name in _PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def _row(name: str, found: Mapping[str, Any], times: float) -> str:
    return f"| {name} | {' | '.join(cells(found))} | {found['perplexity']['mean']:.2f} ({times:.2f} times) |"


def _code(text: str) -> str:
    """Text as code on one line that nothing in it can end."""
    shown = " ".join(printable(text).split()).replace("`", "'").replace("|", "/")
    return f"`{shown}`"
