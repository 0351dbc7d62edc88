"""The command ``rlhf``: five stages, each kept as it is done, so that the same command goes on where it was killed.

out/start/          1. supervised start: a Hugging Face folder
out/reward-model/   2. reward model, unless one is named
out/ppo/beta-…/     3. PPO, a run for each beta
out/judged/         4. what the judge says of the start and of each policy
out/model/          5. the chosen policy, with its card; beside it results.json, overoptimization.png
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agents.arguments import UsageError
from agents.files import read_json, write_json
from agents.parting import PartingWarning
from agents.reward_model import command as reward_model
from agents.reward_model.arguments import RewardModelArgs
from agents.rlhf import card, plot, sweep
from agents.rlhf.arguments import RLHFArgs
from agents.rlhf.judge import cells, judged
from agents.rlhf.ppo import CHECKPOINT, curve, make_policy
from agents.rlhf.start import make_start
from lm_envs.rewards import resolve
from lm_envs.rewards.trained import FILE, is_trained

ARGS, RESULTS, PLOT, MODEL = "args.json", "results.json", "overoptimization.png", "model"


def run(args: RLHFArgs, console: Console | None = None) -> dict[str, Any]:
    """Go the whole path, or what is left of it; returns what ``results.json`` holds.

    Raises:
        UsageError: for arguments that don't fit, or a folder that holds something else.
        AssetError: when data or a model can't be had.
        ValueError: for data that can't be used.
    """
    console = console or Console()
    out = _folder(args)
    betas = sorted(set(args.betas))
    _say(console, "1. supervised start" if args.start != "none" else "1. start")
    started = make_start(args, out / "start")
    _say(console, "2. reward model")
    reward, about = _reward(args, out / "reward-model", console)
    stamps = {"start": started["fingerprint"], "reward_model": _stamp(reward)}
    start = judged(args, out / "start", out / "start", reward, {**stamps, "beta": None}, out / "judged" / "start.json")
    results, curves = {}, {}
    for beta in betas:
        _say(console, f"3. PPO, beta {beta:g}")
        folder = make_policy(args, beta, out / "start", reward, stamps, out / "ppo" / f"beta-{beta:g}")
        _say(console, f"4. judge, beta {beta:g}")
        of = {**stamps, "beta": beta, "tokens": args.tokens, "ppo": args.ppo}
        results[beta] = judged(args, folder / CHECKPOINT, out / "start", reward, of, out / "judged" / f"beta-{beta:g}.json")
        curves[beta] = curve(folder)
    _say(console, "5. model")
    warned = sweep.parted(results)
    for line in warned:
        warnings.warn(line, PartingWarning, stacklevel=2)
    chosen, fluent = sweep.choose(results, start, args.max_perplexity)
    if not fluent:
        least = min(sweep.factor(result, start, "choosing") for result in results.values())
        warnings.warn(f"no beta keeps perplexity within {args.max_perplexity:g} times the start's; the least is {least:.2f}", stacklevel=2)
    plot.draw(curves, results, start, args.gold, out / PLOT)
    text = card.card(args, chosen, start, results, started, about, warned)
    card.write_folder(out / "ppo" / f"beta-{chosen:g}" / "run" / CHECKPOINT, text, out / MODEL)
    found = {"args": asdict(args), "chosen": chosen, "fluent": fluent, "parted": warned, "reward": about, "start": start}
    found["betas"] = {f"{beta:g}": result for beta, result in results.items()}
    write_json(out / RESULTS, found)
    _show(console, args, chosen, start, results)
    console.print(f"{out}: {MODEL}/ with its card, {RESULTS}, {PLOT}", highlight=False, soft_wrap=True)
    return found


def _folder(args: RLHFArgs) -> Path:
    """The folder of the run. Stages know by themselves what they depend on, so that arguments may change from one call to the next."""
    if not args.betas:
        raise UsageError("--betas needs at least one")
    for name in ("tokens", "episodes", "start_examples", "start_epochs"):
        if getattr(args, name) < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(args, name)}")
    if not args.max_perplexity >= 1:
        raise UsageError(f"--max-perplexity must be at least 1, got {args.max_perplexity}")
    if "reward" in (args.env_kwargs or {}):
        raise UsageError("the reward is named by --reward, not by --env-kwargs")
    if args.reward is not None and args.reward_model is not None:
        raise UsageError("--reward names a reward model, --reward-model says how to train one: give one of them")
    out = Path(args.out)
    if out.exists() and any(out.iterdir()) and read_json(out / ARGS) is None:
        raise UsageError(f"{out} is not empty; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / ARGS, asdict(args))
    return out


def _reward(args: RLHFArgs, folder: Path, console: Console) -> tuple[str, dict[str, Any]]:
    """Name or folder of the reward model, and what the card says of it."""
    if args.reward is not None:
        resolve(args.reward)  # an unknown name shows here
        spec = read_json(Path(args.reward) / FILE) if is_trained(args.reward) else {}
        return args.reward, {"reward": args.reward, **({"about": spec["about"]} if spec else {})}
    given = dict(args.reward_model or {})
    known = {item.name for item in fields(RewardModelArgs)} - {"out"}
    if unknown := set(given) - known:
        raise UsageError(f"--reward-model has {', '.join(sorted(map(repr, unknown)))}; it may have {', '.join(sorted(known))}")
    reward_model.run(RewardModelArgs(**{"seed": args.seed, "device": args.device, **given}, out=str(folder)), console)
    return str(folder), dict(read_json(folder / FILE)["about"])


def _stamp(reward: str) -> str:
    """Tells a trained reward model from another in the same folder; a registered one by its name."""
    return hashlib.sha256((Path(reward) / FILE).read_bytes()).hexdigest()[:16] if is_trained(reward) else reward


def _say(console: Console, text: str) -> None:
    console.print(text, style="bold", highlight=False)


def _show(console: Console, args: RLHFArgs, chosen: float, start: dict[str, Any], results: dict[float, dict[str, Any]]) -> None:
    table = Table("", "proxy: reward", f"judge: {args.gold}", "KL a token", "perplexity", title="held-out prompts, 95 % intervals")
    for name, result in (("start", start), *((f"beta {beta:g}", results[beta]) for beta in results)):
        found = result["held out"]
        times = sweep.factor(result, start, "held out")
        table.add_row(
            f"{name}{' *' if name == f'beta {chosen:g}' else ''}", *cells(found), f"{found['perplexity']['mean']:.2f} (x{times:.2f})"
        )
    console.print(table)
    console.print("* chosen", highlight=False)
