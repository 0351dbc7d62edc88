"""The command line: train, evaluate, transcript, chat, reward-model, rlhf, annotate. Bad arguments give one line, not a traceback."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import get_device
from transformers.utils import logging as transformers_logging

from agents import checkpoint
from agents.algorithms import ALGORITHMS, make, make_token_env
from agents.annotation.arguments import AnnotateArgs
from agents.annotation.pairs import Pair
from agents.arguments import UsageError, add, arg, json_object
from agents.evaluation import Divergence, Evaluation, Sampling, evaluate, kl_from, policy_for
from agents.kl import ReferenceKL
from agents.parting import UnknownMetric, Watch
from agents.policy import CausalLMPolicy
from agents.reward_model.arguments import RewardModelArgs
from agents.rlhf.arguments import RLHFArgs
from agents.tracking import TRACKERS, EpisodeMetrics, ProgressBar, progress_bar, run_logger
from lm_envs.assets import AssetError
from lm_envs.rendering import printable
from lm_envs.rewards import RewardModelError
from lm_envs.tokens import TokenEnv

_COMPLETIONS = 3  # completions that are shown
_ANNOTATE_ENVS = 16  # side by side
_CHECKPOINT, _ARGS, _SUMMARY, _BEFORE = "checkpoint", "args.json", "summary.json", "before.json"


@dataclass(frozen=True)
class TrainArgs:
    """Train a language model on a token environment."""

    algo: str = arg("ppo", "algorithm", choices=sorted(ALGORITHMS))
    env: str = arg("lm_envs/SentimentTokens-v0", "id of a token environment")
    env_kwargs: dict[str, Any] = arg(None, "its keyword arguments, as JSON", type=json_object)
    model: str = arg("tiny", "tiny, smollm2-135m, a folder, a checkpoint's folder, or a hub's name")
    total_tokens: int = arg(50_000, "tokens to sample, all environments together")
    n_envs: int = arg(16, "environments side by side")
    lr: float | None = arg(None, "learning rate of the language model (default: the algorithm's)", type=float)
    value_lr: float | None = arg(None, "learning rate of the value head (default: 1e-3)", type=float)
    n_steps: int | None = arg(None, "tokens of a rollout in each environment (default: four replies)", type=int)
    temperature: float = arg(1.0, "of sampling and of the distribution that is trained")
    lora: bool = arg(False, "train LoRA adapters only (needs the extra lora)")
    checkpointing: bool = arg(False, "keep the layers' inputs alone for backward: less memory, about a third more time")
    kl_beta: float | None = arg(
        None, "reward a token loses for each nat it moved away from the model that training began with (default: none)", type=float
    )
    kl_target: float | None = arg(None, "nats a token that --kl-beta is adapted to hold (default: it stays as it is)", type=float)
    dtype: str = arg("float32", "type of the weights", choices=["float32", "bfloat16"])
    autocast: str = arg("auto", "bfloat16 arithmetic on float32 weights; auto: where the machine has it", choices=["auto", "on", "off"])
    device: str = arg("auto", "cpu, cuda, or auto")
    set: dict[str, Any] = arg(
        None, "further arguments of the algorithm or the policy, as JSON, such as '{\"n_epochs\": 1}'", type=json_object
    )
    seed: int = arg(0, "of everything that is drawn")
    out: str | None = arg(None, "folder of the run (default: a new one under runs/)", type=str)
    watch: str | None = arg(None, "ground-truth metric: warn when the reward goes on rising while it falls", type=str)
    tracker: str = arg("tensorboard", "where metrics go beside metrics.jsonl and metrics.csv", choices=TRACKERS)
    eval_episodes: int = arg(64, "episodes on the test split before and after; 0 for none")
    checkpoint_every: int = arg(10, "iterations between checkpoints")


@dataclass(frozen=True)
class _WhoAndWhere:
    """Which model plays which environment."""

    model: str = arg("tiny", "tiny, smollm2-135m, a folder, a run's or a checkpoint's folder, or a hub's name")
    env: str = arg("lm_envs/SentimentTokens-v0", "id of a token environment")
    env_kwargs: dict[str, Any] = arg(None, "its keyword arguments, as JSON", type=json_object)
    split: str = arg("test", "scenarios", choices=["train", "test"])


@dataclass(frozen=True)
class EvaluateArgs(_WhoAndWhere):
    """Evaluate a model or a checkpoint on a token environment."""

    episodes: int = arg(100, "how many")
    n_envs: int = arg(16, "environments side by side")
    temperature: float | None = arg(None, "0 takes the most likely token (default: that of training)", type=float)
    top_k: int = arg(0, "choose among so many most likely tokens; 0 for all")
    top_p: float = arg(1.0, "choose among the most likely tokens that hold this share")
    reference: str | None = arg(None, "a model to report the KL divergence from", type=str)
    device: str = arg("auto", "cpu, cuda, or auto")
    seed: int = arg(0, "episode k opens with seed + k")
    json: str | None = arg(None, "file for the results, episodes included", type=str)


@dataclass(frozen=True)
class TranscriptArgs(_WhoAndWhere):
    """Play one episode and write it as a page: one HTML file, with log-probability, value, reward and KL of each token."""

    seed: int = arg(0, "which scenario; also of sampling")
    temperature: float | None = arg(None, "0 takes the most likely token (default: that of training)", type=float)
    top_k: int = arg(0, "choose among so many most likely tokens; 0 for all")
    top_p: float = arg(1.0, "choose among the most likely tokens that hold this share")
    reference: str | None = arg(
        None, "a model to show the KL divergence from (default: the one that the run began with, where it is one)", type=str
    )
    device: str = arg("auto", "cpu, cuda, or auto")
    out: str | None = arg(None, "the file to write", type=str, required=True)


@dataclass(frozen=True)
class ChatArgs:
    """Talk with a model or a checkpoint."""

    model: str = arg("tiny", "tiny, smollm2-135m, a folder, a run's or a checkpoint's folder, or a hub's name")
    system: str = arg("", "a system message")
    temperature: float = arg(1.0, "0 takes the most likely token")
    top_k: int = arg(0, "choose among so many most likely tokens; 0 for all")
    top_p: float = arg(1.0, "choose among the most likely tokens that hold this share")
    max_tokens: int = arg(128, "tokens of a reply")
    seed: int | None = arg(None, "of sampling", type=int)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    transformers_logging.disable_progress_bar()
    args = vars(_parser().parse_args(argv))
    command, traceback = args.pop("command"), args.pop("traceback", False)
    try:
        run = {
            "train": train,
            "evaluate": evaluate_command,
            "transcript": transcript_command,
            "chat": chat,
            "reward-model": reward_model_command,
            "rlhf": rlhf_command,
            "annotate": annotate_command,
        }
        run[command](args)
    except (UsageError, checkpoint.CheckpointError, AssetError, RewardModelError) as error:
        if traceback:
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def train(given: dict[str, Any]) -> None:
    """The command ``train``."""
    resume = given.pop("resume", None)
    args, out = _resumed(Path(resume), given) if resume else _fresh(given)
    console = Console()
    with _usage():
        _device(args.device)
        algo = checkpoint.load(out / _CHECKPOINT, device=args.device) if resume else _algorithm(args)
        kl = _penalty(args, out / _CHECKPOINT if resume else None)
        if algo.num_timesteps >= args.total_tokens:
            raise UsageError(f"the run has {algo.num_timesteps:,} tokens already; ask for more with --total-tokens")
        tokenizer = str(out / _CHECKPOINT) if resume else args.model  # where a resumed run's model first came from may be gone
        test = _test_env(args.env, args.env_kwargs, "test", min(args.n_envs, max(args.eval_episodes, 1)), tokenizer)
        logger, history = run_logger(_prepared(out, args), args.tracker, asdict(args), algo.num_timesteps)
    algo.set_logger(logger)
    if kl:
        held = "fixed" if kl.target is None else f"adapted to {kl.target:g} nats a token"
        console.print(f"KL penalty: beta {kl.beta:g}, {held}", highlight=False)
    policy = cast(CausalLMPolicy, algo.policy)
    before = json.loads((out / _BEFORE).read_text(encoding="utf-8")) if resume and (out / _BEFORE).exists() else None
    if before is None and args.eval_episodes and not resume:
        before = _evaluated(policy, test, args.eval_episodes, args.seed, console, "before")[0].to_json()
        (out / _BEFORE).write_text(json.dumps(before), encoding="utf-8")
    bar = ProgressBar(args.total_tokens, args.algo.upper(), console)
    watch = [Watch(args.watch)] if args.watch else []
    callbacks = [
        EpisodeMetrics(),
        *watch,
        *([kl] if kl else []),
        bar,
        checkpoint.Checkpoints(out / _CHECKPOINT, every=args.checkpoint_every),
    ]
    tokens = algo.num_timesteps
    try:
        algo.learn(args.total_tokens - tokens, callback=callbacks, log_interval=1, reset_num_timesteps=not resume)
    except KeyboardInterrupt:
        there = checkpoint.find(out / _CHECKPOINT)
        raise UsageError(f"interrupted; go on with --resume {out}" if there else "interrupted before the first checkpoint") from None
    except UnknownMetric as error:
        raise UsageError(f"--watch: {error}") from error
    finally:
        bar.close()
        logger.close()
    summary: dict[str, Any] = {
        "args": asdict(args),
        "tokens": algo.num_timesteps,
        "seconds": bar.seconds,
        "tokens_per_second": (algo.num_timesteps - tokens) / bar.seconds,
        "first_rollout": _first_of_each(history.rows),
        "last_rollout": _first_of_each(reversed(history.rows)),
        "before": before,
    }
    if args.eval_episodes:
        reference = kl.reference if kl else _reference(args, test, policy)
        after, moved = _evaluated(policy, test, args.eval_episodes, args.seed, console, "after", reference)
        summary |= {"after": after.to_json(), "kl": asdict(moved) if moved else None}
    (out / _SUMMARY).write_text(json.dumps(summary, indent=1), encoding="utf-8")
    _show(console, args, summary)
    console.print(f"run: {out}", highlight=False, soft_wrap=True)


def evaluate_command(given: dict[str, Any]) -> None:
    """The command ``evaluate``."""
    args = EvaluateArgs(**given)
    console = Console()
    with _usage():
        sampling = Sampling(args.temperature, args.top_k, args.top_p)
        if args.episodes < 1:
            raise UsageError(f"--episodes must be at least 1, got {args.episodes}")
        model = _resolved(args.model)
        env = _test_env(args.env, args.env_kwargs, args.split, min(args.n_envs, args.episodes), model)
        policy = policy_for(env, model).to(_device(args.device))
        reference = policy_for(env, _resolved(args.reference)).to(policy.device) if args.reference else None
    result, kl = _evaluated(policy, env, args.episodes, args.seed, console, "evaluate", reference, sampling)
    table = Table(
        "", "mean", "95 % interval", title=f"{args.model} on {args.env}, {args.split}, {args.episodes} episodes", title_justify="left"
    )
    rows = [("reward", result.reward), *((f"reward: {name}", value) for name, value in result.rewards.items() if len(result.rewards) > 1)]
    rows += [(name, value) for name, value in result.metrics.items()] + [("tokens an episode", result.tokens)]
    if kl:
        rows += [("KL a token, nats", kl.per_token), ("KL an episode, nats", kl.per_episode)]
    for name, value in rows:
        table.add_row(printable(name), f"{value.mean:.3f}", f"{value.low:.3f} … {value.high:.3f}")
    console.print(table)
    _show_completions(console, "", result.to_json())
    if args.json:
        document = {"args": asdict(args), **result.to_json(), "kl": asdict(kl) if kl else None}
        with _usage():
            Path(args.json).write_text(json.dumps(document, indent=1), encoding="utf-8")


def transcript_command(given: dict[str, Any]) -> None:
    """The command ``transcript``."""
    from agents.transcript import policy_of, record, token_env
    from lm_envs import html

    args = TranscriptArgs(**given)
    out = Path(str(args.out))
    if not out.absolute().parent.is_dir():
        raise UsageError(f"--out: there is no folder {out.parent}")
    with _usage():
        sampling = Sampling(args.temperature, args.top_k, args.top_p)
        model = _resolved(args.model)
        env = token_env(args.env, model, {**(args.env_kwargs or {}), "split": args.split})
        policy = policy_of(env, model).to(_device(args.device))
        reference, named = _compared_with(args, env, model, policy)
        details: dict[str, Any] = {"model": args.model, "seed": args.seed, "split": args.split}
        if reference is not None:
            details["reference"] = named
        transcript = record(
            policy,
            env,
            name=args.env,
            seed=args.seed,
            sampling=sampling,
            reference=reference,
            critic=checkpoint.find(model) is not None,
            details=details,
        )
        html.write(transcript, out)
    print(f"reward {transcript.reward:+.3f} in {len(transcript.turns)} turns: {printable(str(out))}")


def chat(given: dict[str, Any]) -> None:
    """The command ``chat``."""
    from agents.chat import Conversation, talk

    args = ChatArgs(**given)
    with _usage():
        sampling = Sampling(args.temperature, args.top_k, args.top_p)
        if args.max_tokens < 1:
            raise UsageError(f"--max-tokens must be at least 1, got {args.max_tokens}")
        conversation = Conversation(
            _resolved(args.model), system=args.system, sampling=sampling, max_tokens=args.max_tokens, seed=args.seed
        )
    print("/reset begins a new conversation; the end of the input (Ctrl-D) leaves.")
    talk(conversation)


def reward_model_command(given: dict[str, Any]) -> None:
    """The command ``reward-model``."""
    from agents.reward_model.command import run

    with _usage():
        run(RewardModelArgs(**given), Console())


def rlhf_command(given: dict[str, Any]) -> None:
    """The command ``rlhf``."""
    from agents.rlhf.command import run

    if "betas" in given:
        given["betas"] = tuple(given["betas"])
    with _usage():
        run(RLHFArgs(**given), Console())


def annotate_command(given: dict[str, Any]) -> None:
    """The command ``annotate``."""
    from agents.annotation import command
    from agents.annotation.pairs import read_pairs, write_pairs

    args = AnnotateArgs(**given)
    console = Console()
    with _usage():
        if args.report:
            return command.print_report(args.report, console, args.json)
        if not args.pairs:
            raise UsageError("--pairs or --report must say which file")
        judgements = Path(args.judgements) if args.judgements else command.beside(args.pairs)
        if args.export:
            return command.write_preferences(args.pairs, args.columns, judgements, args.export, console)
        if args.models:
            write_pairs(_sampled_pairs(args, console), Path(args.pairs))
        pairs = read_pairs(args.pairs, args.columns)
        command.serve(pairs, judgements, console, seed=args.seed, overlap=args.overlap, port=args.port)


# Arguments.


_COMMANDS = {
    "train": TrainArgs,
    "evaluate": EvaluateArgs,
    "transcript": TranscriptArgs,
    "chat": ChatArgs,
    "reward-model": RewardModelArgs,
    "rlhf": RLHFArgs,
    "annotate": AnnotateArgs,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agents", description="Language models as reinforcement-learning agents.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, cls in _COMMANDS.items():
        command = commands.add_parser(name, help=cls.__doc__, description=cls.__doc__, argument_default=argparse.SUPPRESS)
        add(command, cls)
        if cls is TrainArgs:
            command.add_argument(
                "--resume", metavar="RUN", help="go on with the run in this folder; only --total-tokens and --tracker may change"
            )
        command.add_argument("--traceback", action="store_true", help="show where an error comes from")
    return parser


@contextmanager
def _usage() -> Iterator[None]:
    """What set-up refuses is the user's to mend: one line."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError, NotImplementedError, gym.error.Error) as error:
        raise UsageError(str(error)) from error
    except RuntimeError as error:  # torch's, for a device that isn't there
        raise UsageError(str(error).splitlines()[0]) from error


def _fresh(given: Mapping[str, Any]) -> tuple[TrainArgs, Path]:
    args = TrainArgs(**given)
    if args.eval_episodes < 0:
        raise UsageError(f"--eval-episodes must be at least 0, got {args.eval_episodes}")
    for name in ("total_tokens", "n_envs", "checkpoint_every"):
        if getattr(args, name) < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(args, name)}")
    if args.out is not None:
        out = Path(args.out)
        if out.exists() and any(out.iterdir()):
            raise UsageError(f"{out} is not empty; choose another folder, or go on with that run: --resume {out}")
        return args, out
    name = "-".join([args.algo, args.env.rpartition("/")[2], Path(args.model).name, f"seed{args.seed}"])
    numbers = range(1, 10_000)
    return args, next(p for p in (Path("runs") / (name if i == 1 else f"{name}-{i}") for i in numbers) if not p.exists())


def _resumed(out: Path, given: Mapping[str, Any]) -> tuple[TrainArgs, Path]:
    if extra := set(given) - {"total_tokens", "tracker", "traceback"}:
        flags = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in extra))
        raise UsageError(f"a resumed run keeps its arguments; {flags} cannot change")
    if checkpoint.find(out / _CHECKPOINT) is None or not (out / _ARGS).is_file():
        raise UsageError(f"{out} holds no run with a checkpoint")
    return TrainArgs(**{**json.loads((out / _ARGS).read_text(encoding="utf-8")), **given}), out


def _prepared(out: Path, args: TrainArgs) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    (out / _ARGS).write_text(json.dumps(asdict(args), indent=1), encoding="utf-8")
    return out


def _algorithm(args: TrainArgs) -> OnPolicyAlgorithm:
    overrides: dict[str, Any] = {"autocast": {"auto": "auto", "on": True, "off": False}[args.autocast], "temperature": args.temperature}
    overrides["checkpointing"] = args.checkpointing
    given = {"learning_rate": args.lr, "value_lr": args.value_lr, "n_steps": args.n_steps}
    overrides |= {name: value for name, value in given.items() if value is not None}
    return make(
        args.algo,
        args.env,
        model=_resolved(args.model),
        n_envs=args.n_envs,
        env_kwargs=args.env_kwargs,
        seed=args.seed,
        lora=args.lora,
        dtype=cast(Any, args.dtype),
        device=args.device,
        **{**overrides, **(args.set or {})},
    )


def _penalty(args: TrainArgs, resumed: Path | None) -> ReferenceKL | None:
    if args.kl_beta is None and args.kl_target is None:
        return None
    if resumed is not None:
        return checkpoint.load_kl(resumed)
    return ReferenceKL(target=args.kl_target) if args.kl_beta is None else ReferenceKL(args.kl_beta, target=args.kl_target)


def _resolved(model: str) -> str:
    """The checkpoint in a run's folder, or what was named."""
    for folder in (Path(model) / _CHECKPOINT, Path(model)):
        if (place := checkpoint.find(folder)) is not None:
            return str(place)
    return model


def _device(name: str) -> torch.device:
    device = get_device(name)
    if name != "auto" and device.type != torch.device(name).type:  # SB3 takes the CPU without a word
        raise UsageError(f"--device {name}: there is no such device")
    return device


def _test_env(env: str, env_kwargs: Mapping[str, Any] | None, split: str, num_envs: int, model: str) -> Any:
    try:
        made = make_token_env(env, num_envs, _resolved(model), {**(env_kwargs or {}), "split": split})
    except TypeError as error:
        if "split" not in str(error):  # an environment of somebody else's that has no splits
            raise
        made = make_token_env(env, num_envs, _resolved(model), env_kwargs or {})
    made.reset(seed=0)  # a prompt that doesn't fit shows here
    return made


def _sampled_pairs(args: AnnotateArgs, console: Console) -> list[Pair]:
    """Pairs of the first replies of two models in the same scenarios."""
    from agents.annotation.pairs import paired

    if Path(str(args.pairs)).exists() or Path(str(args.pairs)).suffix != ".jsonl":
        raise UsageError(f"--models needs a new .jsonl file, not {args.pairs}; leave --models out to go on with it")
    if args.columns:
        raise UsageError("--columns is for pairs of your own, not for --models")
    if args.episodes < 1:
        raise UsageError(f"--episodes must be at least 1, got {args.episodes}")
    sampling, written = Sampling(args.temperature), []
    for place, model in enumerate(args.models or ()):
        env = _test_env(args.env, args.env_kwargs, args.split, min(_ANNOTATE_ENVS, args.episodes), model)
        policy = policy_for(env, _resolved(model)).to(_device(args.device))
        written.append(evaluate(policy, env, args.episodes, sampling=sampling, seed=args.seed, sampling_seed=args.seed + place).episodes)
    prompts, others = ([episode.prompt for episode in episodes] for episodes in written)
    if prompts != others:
        raise UsageError(f"{args.env} gave the two models different prompts; their replies can't be compared")
    pairs = paired(prompts, *([episode.replies[0] for episode in episodes] for episodes in written))
    if not pairs:
        raise UsageError("the two models wrote the same, or nothing")
    console.print(f"{len(pairs)} pairs of {args.episodes}; the others have the same two replies, or an empty one", highlight=False)
    return pairs


# Results.


def _reference(args: TrainArgs, env: Any, policy: CausalLMPolicy) -> CausalLMPolicy | None:
    """The model that training began with, to measure the KL divergence from; ``None`` for a LoRA policy, which holds it."""
    if args.lora:
        return None
    return _unless_gone(
        lambda: policy_for(env, _resolved(args.model), temperature=args.temperature, autocast=policy.autocast), policy.device
    )


def _compared_with(args: TranscriptArgs, env: TokenEnv, model: str, policy: CausalLMPolicy) -> tuple[CausalLMPolicy | None, str]:
    """The policy to show the KL divergence from, and its name: what was asked for, or else what the run began with if that is known."""
    from agents.transcript import policy_of

    if args.reference:
        return policy_of(env, _resolved(args.reference), temperature=policy.temperature).to(policy.device), args.reference
    if checkpoint.find(model) is None:
        return None, ""
    if policy.spec.lora is not None:
        return policy, "the model without its adapter"
    try:
        began = json.loads((Path(model).absolute().parent / _ARGS).read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, ""
    if not isinstance(began, str):
        return None, ""
    return _unless_gone(lambda: policy_of(env, _resolved(began), temperature=policy.temperature), policy.device), began


def _unless_gone(load: Callable[[], CausalLMPolicy], device: torch.device) -> CausalLMPolicy | None:
    """The model that training began with; ``None``, with a warning, where it isn't there any more."""
    try:
        return load().to(device)
    except (OSError, AssetError) as error:
        warnings.warn(f"no KL divergence from the start: {error}", stacklevel=3)
        return None


def _evaluated(
    policy: CausalLMPolicy,
    env: Any,
    episodes: int,
    seed: int,
    console: Console,
    label: str,
    reference: CausalLMPolicy | None = None,
    sampling: Sampling | None = None,
) -> tuple[Evaluation, Divergence | None]:
    bar = progress_bar(console)
    with bar if console.is_terminal else _nothing():
        task = bar.add_task(label, total=episodes, note="episodes")
        result = evaluate(policy, env, episodes, sampling=sampling, seed=seed, on_episode=lambda _: bar.advance(task))
    measured = reference is not None or (label == "after" and policy.spec.lora is not None)
    return result, kl_from(policy, reference, result.episodes) if measured else None


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _first_of_each(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Each rollout statistic where it first appears: a rollout may see no episode end."""
    found: dict[str, float] = {}
    for row in rows:
        found |= {name: row[name] for name in row if name not in found and name.startswith(("rollout/", "metrics/", "reward/", "kl/"))}
    return found


def _show(console: Console, args: TrainArgs, summary: Mapping[str, Any]) -> None:
    table = Table("", "first", "last", title=f"{args.algo.upper()} on {args.env}, {args.model}", title_justify="left")
    first, last = summary["first_rollout"], summary["last_rollout"]
    for name in first:
        if name in last and name.startswith(("rollout/reward", "metrics/")):
            table.add_row(f"training: {printable(name.split('/', 1)[1])}", f"{first[name]:.3f}", f"{last[name]:.3f}")
    for name, label in (("kl/beta", "KL penalty: beta"), ("kl/exact", "KL penalty: nats a token")):
        if name in first:
            table.add_row(label, f"{first[name]:.4f}", f"{last[name]:.4f}")
    before, after = summary.get("before"), summary.get("after")
    if before and after:
        rows = [("reward", before["reward"], after["reward"])]
        rows += [(name, before["metrics"][name], after["metrics"][name]) for name in after["metrics"] if name in before["metrics"]]
        for name, old, new in rows:
            table.add_row(f"test: {printable(name)}", *(f"{e['mean']:.3f} [{e['low']:.3f}, {e['high']:.3f}]" for e in (old, new)))
    if summary.get("kl"):
        table.add_row("KL from the start, nats a token", "0", f"{summary['kl']['per_token']['mean']:.4f}")
    table.add_row("tokens", "", f"{summary['tokens']:,}")
    table.add_row("time, tokens/s", f"{summary['seconds']:.0f} s", f"{summary['tokens_per_second']:,.0f}")
    console.print(table)
    for label, result in (("before", before), ("after", after)):
        if result:
            _show_completions(console, label, result)


def _show_completions(console: Console, label: str, result: Mapping[str, Any]) -> None:
    for episode in result["episodes"][:_COMPLETIONS]:
        line = Text(f"{label} ".lstrip(), style="bold")
        line.append(f"reward {episode['reward']:+.2f} ", style="magenta")
        line.append(printable(" ".join(episode["prompt"].split())[-80:]), style="cyan")
        line.append(" → ")
        line.append(printable(" / ".join(" ".join(reply.split()) for reply in episode["replies"]))[:400], style="green")
        console.print(line)
