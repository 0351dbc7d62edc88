"""Command line of the experiments, ``python -m benchmarks``.

``demo``, ``service``, ``service-players``, ``service-voices``, ``speed``, ``versus-trl``, ``sentiment-judge``,
``sentiment-classification``, ``judges``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from lm_envs.extras import explained

SERVICE_ARMS = ("ordinary", "adversaries", "last message")
SERVICE_PLAYERS = ("expert", "careless expert", "unfair expert", "random", "no reply")
SENTIMENT_CLASSIFIERS = ("majority", "vader", "judge", "tf-idf", "minilm")
JUDGES = ("vader", "similarity", "judge")
SPEED_PARTS = ("engine", "scaling", "profile", "trpo", "environments", "rewards", "smollm2")


def main(argv: Sequence[str] | None = None) -> int:
    """Run an experiment; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="train the bundled model with PPO, A2C and TRPO and compare")
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for results (default: %(default)s)")
    demo.add_argument("--algorithms", nargs="+", choices=("ppo", "a2c", "trpo"), default=["trpo", "ppo", "a2c"])
    demo.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    demo.add_argument("--tokens", type=_positive, default=None, help="tokens of a run")
    demo.add_argument("--episodes", type=_positive, default=None, help="test episodes before and after each run")
    demo.add_argument("--jobs", type=_positive, default=2, help="runs at a time, a thread each (default: %(default)s)")
    demo.set_defaults(run=_demo)
    judge = commands.add_parser("sentiment-judge", help="how well the sentiment family's ground truth agrees with people")
    judge.add_argument("--out", type=Path, help="file for the results, as JSON")
    judge.set_defaults(run=_sentiment_judge)
    classes = commands.add_parser("sentiment-classification", help="classifiers on human-rated texts by domain, and how they transfer")
    classes.add_argument(
        "--out", type=Path, default=Path("runs/sentiment-classification"), help="folder for results (default: %(default)s)"
    )
    classes.add_argument("--data", choices=("hutto", "bundled"), default="hutto", help="the environment's (default: %(default)s)")
    classes.add_argument("--labels", type=int, choices=(2, 3), default=3, help="how many (default: %(default)s)")
    classes.add_argument("--episodes", type=_positive, default=2000, help="test episodes of each domain (default: %(default)s)")
    classes.add_argument(
        "--classifiers", nargs="+", choices=SENTIMENT_CLASSIFIERS, default=list(SENTIMENT_CLASSIFIERS), help="default: all"
    )
    classes.set_defaults(run=_sentiment_classification)
    judges = commands.add_parser("judges", help="rewards without training beside people's ratings, and by the principles of a constitution")
    judges.add_argument("--out", type=Path, default=Path("runs/judges"), help="folder for results (default: %(default)s)")
    judges.add_argument("--scorers", nargs="+", choices=JUDGES, default=list(JUDGES), help="default: all")
    judges.add_argument("--model", default="smollm2-135m", help="the judge's (default: %(default)s)")
    judges.add_argument("--pairs", type=_positive, default=100, help="of texts in each domain (default: %(default)s)")
    judges.add_argument("--seed", type=int, default=0, help="of their choice (default: %(default)s)")
    judges.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the judge's weights (default: %(default)s)")
    judges.set_defaults(run=_judges)
    versus = commands.add_parser("versus-trl", help="time to mean VADER 0.9 with SmolLM2-135M, beside TRL's GRPO")
    versus.add_argument("--out", type=Path, default=Path("runs/versus-trl"), help="folder for results (default: %(default)s)")
    versus.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    versus.add_argument("--trials", type=_positive, default=None, help="tuning trials of each side (default: all in the table)")
    versus.add_argument("--cap-seconds", type=_positive, default=600, help="a run that takes longer has failed (default: %(default)s)")
    versus.add_argument("--sides", nargs="+", choices=("ours", "unshaped", "trl"), default=["ours", "unshaped", "trl"])
    versus.add_argument("--float32", action="store_true", help="instead of bfloat16 autocast, which is the default where the device has it")
    versus.set_defaults(run=_versus_trl)
    service = commands.add_parser("service", help="a service desk: supervised start, PPO with adversaries and without, no memory")
    service.add_argument("--out", type=Path, default=Path("runs/service"), help="folder for results (default: %(default)s)")
    service.add_argument("--arms", nargs="+", choices=SERVICE_ARMS, default=list(SERVICE_ARMS), help="default: all")
    service.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    service.add_argument("--tokens", type=_positive, default=None, help="tokens that an agent writes in PPO")
    service.add_argument("--transcripts", type=_positive, default=None, help="of the expert, for the supervised start")
    service.add_argument("--episodes", type=_positive, default=None, help="test episodes of each kind before and after each run")
    service.add_argument("--jobs", type=_positive, default=2, help="runs at a time, a thread each (default: %(default)s)")
    service.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works; the figures mean nothing")
    service.set_defaults(run=_service)
    players = commands.add_parser("service-players", help="the service desk's scripted players: pass^k, and success by name, dialect, tier")
    players.add_argument("--out", type=Path, default=Path("runs/service-players"), help="folder for results (default: %(default)s)")
    players.add_argument("--split", choices=("train", "test"), default="test", help="which scenarios (default: %(default)s)")
    players.add_argument("--players", nargs="+", choices=SERVICE_PLAYERS, default=list(SERVICE_PLAYERS), help="default: all")
    players.add_argument("--tasks", type=_positive, default=100, help="scenarios for pass^k (default: %(default)s)")
    players.add_argument("--trials", type=_positive, default=8, help="of each scenario (default: %(default)s)")
    players.add_argument("--customers", type=_positive, default=100, help="scenarios for fairness (default: %(default)s)")
    players.set_defaults(run=_service_players)
    voices = commands.add_parser("service-voices", help="the service desk's expert before customers with a language model's voice")
    voices.add_argument("--out", type=Path, default=Path("runs/service-voices"), help="folder for results (default: %(default)s)")
    voices.add_argument("--model", default="smollm2-135m", help="a model's name or folder, or its name at --url (default: %(default)s)")
    voices.add_argument("--url", help="root of an endpoint that speaks the chat-completions protocol, such as http://localhost:8000/v1")
    voices.add_argument("--episodes", type=_positive, default=20, help="with the voice, and as many without (default: %(default)s)")
    voices.add_argument("--max-needs", type=int, choices=(1, 2, 3), default=1, help="requests of a customer (default: %(default)s)")
    voices.add_argument("--jobs", type=_positive, default=1, help="episodes at a time, a process each (default: %(default)s)")
    voices.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="of --model here (default: its own)")
    voices.add_argument("--timeout", type=_positive, default=120, help="seconds that the endpoint may take (default: %(default)s)")
    voices.set_defaults(run=_service_voices)
    speed = commands.add_parser("speed", help="what the engine costs beside plain policies, generate, hand-written loops, stock TRPO")
    speed.add_argument("--parts", nargs="+", choices=SPEED_PARTS, default=list(SPEED_PARTS), help="default: all")
    speed.add_argument("--threads", type=_positive, default=None, help="of torch (default: torch's)")
    speed.add_argument("--device", default="auto", help="cpu, cuda, or auto (default)")
    speed.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works; the figures mean nothing")
    speed.add_argument("--out", type=Path, default=Path("runs/speed"), help="folder for speed.json and table.md (default: %(default)s)")
    speed.set_defaults(run=_speed)
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except ImportError as error:
        print(f"error: {explained(error)}", file=sys.stderr)
        return 1
    return status


def _demo(arguments: argparse.Namespace) -> int:
    from lm_envs.shadowing import check_agents

    check_agents()
    from benchmarks.experiments.demo import analysis, sweep
    from benchmarks.machine import machine

    console = Console()
    chosen = {name: getattr(arguments, name) for name in ("tokens", "episodes") if getattr(arguments, name) is not None}
    study = sweep.Study(algorithms=tuple(arguments.algorithms), seeds=tuple(arguments.seeds), jobs=arguments.jobs, **chosen)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    results = sweep.run_all(study, out)
    rows = analysis.summarise(results)
    setting = f"{study.env}, target {study.target}, model {study.model}, test split"
    title = f"{setting}: means with 95 % intervals over seeds and episodes; KL in nats a token"
    console.print(analysis.table(rows, title))
    analysis.plot_curves(results, out / "learning_curves.png")
    (out / "table.md").write_text(analysis.markdown(rows), encoding="utf-8")
    texts = analysis.completions(results)
    (out / "completions.txt").write_text(texts, encoding="utf-8")
    summary = {
        "study": asdict(study),
        "machine": machine(),
        "seconds": time.perf_counter() - began,
        "rows": [_plain(row) for row in rows],
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    console.print(texts, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{summary['seconds']:.0f} s; {out}: summary.json, table.md, learning_curves.png, completions.txt, and a folder a run")
    return 0


def _service(arguments: argparse.Namespace) -> int:
    from lm_envs.shadowing import check_agents

    check_agents()
    from benchmarks.experiments.service import analysis, samples, study, sweep
    from benchmarks.machine import machine

    console = Console()
    chosen = {name: getattr(arguments, name) for name in ("tokens", "transcripts", "episodes") if getattr(arguments, name) is not None}
    settings = study.Study(**{**(study.QUICK if arguments.quick else {}), **chosen})
    out: Path = arguments.out
    results = sweep.run_all(settings, arguments.arms, arguments.seeds, out, arguments.jobs, console.print)
    made = analysis.tables(results, resamples=20 if arguments.quick else 2000)
    table = analysis.markdown(results, made) + "\n" + analysis.by_intent(settings, results)
    (out / "table.md").write_text(table, encoding="utf-8")
    analysis.plot_curves(results, out / "learning_curves.png")
    (out / "samples.txt").write_text(samples.samples(settings, results), encoding="utf-8")
    summary = {
        "study": asdict(settings),
        "machine": machine(),
        "tables": {name: analysis.plain(one) for name, one in made.items()},
        "seconds": {f"{result['what']['arm']}, {result['what']['seed']}": round(result["seconds"]) for result in results},
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    console.print(table, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{out}: summary.json, table.md, learning_curves.png, samples.txt, and a folder a run")
    return 0


def _service_players(arguments: argparse.Namespace) -> int:
    from benchmarks.experiments import service_players
    from benchmarks.machine import machine

    console = Console()
    names = tuple(dict.fromkeys(arguments.players))
    study = service_players.Study(arguments.split, arguments.tasks, arguments.trials, arguments.customers, names)
    began = time.perf_counter()
    results = service_players.measure(study, lambda name: console.print(f"{name}: done", highlight=False))
    for table in service_players.tables(results):
        console.print(table)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text("\n".join(service_players.tables(results, "markdown")), encoding="utf-8")
    seconds = time.perf_counter() - began
    summary = {"study": asdict(study), "machine": machine(), "seconds": seconds, **results.plain()}
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    console.print(f"{seconds:.0f} s; {out}: summary.json, table.md", highlight=False)
    return 0


def _service_voices(arguments: argparse.Namespace) -> int:
    from benchmarks.experiments import service_voices
    from benchmarks.machine import machine
    from lm_envs.assets import AssetError
    from lm_envs.envs.customer_service.llm_customer import EndpointVoice, LocalVoice

    console = Console()
    try:
        voice: Any = (
            EndpointVoice(arguments.url, arguments.model, timeout=arguments.timeout)
            if arguments.url
            else LocalVoice(arguments.model, dtype=arguments.dtype)
        )
        results = service_voices.measure(
            voice,
            episodes=arguments.episodes,
            max_needs=arguments.max_needs,
            jobs=arguments.jobs,
            on_episode=lambda done, of: console.print(f"{done} of {of} episodes", highlight=False),
        )
    except (AssetError, ConnectionError, OSError, ValueError) as error:
        print(f"python -m benchmarks service-voices: {error}", file=sys.stderr)
        return 1
    table = service_voices.markdown(results)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(table, encoding="utf-8")
    summary = {"model": arguments.model, "url": arguments.url, "machine": machine(), **service_voices.plain(results)}
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    console.print(table, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{out}: summary.json, table.md", highlight=False)
    return 0


def _speed(arguments: argparse.Namespace) -> int:
    import torch

    from benchmarks.experiments.speed import suite
    from benchmarks.machine import machine

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    console = Console()
    host = {**machine(), "threads": str(torch.get_num_threads())}
    console.print(", ".join(f"{name} {value}" for name, value in host.items()), highlight=False)
    measured = {}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part, figures in suite.run(arguments.parts, arguments.quick, arguments.device):
        measured[part] = figures
        console.print(suite.table(figures, part))
        results = {name: [asdict(figure) for figure in some] for name, some in measured.items()}
        (arguments.out / "speed.json").write_text(json.dumps({"machine": host, "figures": results}, indent=1) + "\n", encoding="utf-8")
        text = suite.markdown([figure for some in measured.values() for figure in some])
        (arguments.out / "table.md").write_text(text, encoding="utf-8")
    return 0


def _sentiment_judge(arguments: argparse.Namespace) -> int:
    from benchmarks.experiments import sentiment_judge
    from lm_envs.assets import AssetError

    try:
        results = sentiment_judge.measure()
    except AssetError as error:
        print(f"python -m benchmarks sentiment-judge: {error}", file=sys.stderr)
        return 1
    Console().print(sentiment_judge.table(results))
    if arguments.out:
        arguments.out.write_text(json.dumps({"vaderSentiment": version("vaderSentiment"), "results": results}, indent=1) + "\n")
    return 0


def _sentiment_classification(arguments: argparse.Namespace) -> int:
    from benchmarks.experiments.sentiment_classification import analysis, sweep
    from benchmarks.machine import machine
    from lm_envs.assets import AssetError

    console = Console()
    study = sweep.Study(arguments.data, arguments.labels, arguments.episodes, tuple(dict.fromkeys(arguments.classifiers)))
    began = time.perf_counter()
    try:
        results = sweep.run(study, lambda line: console.print(line, highlight=False))
    except AssetError as error:
        print(f"python -m benchmarks sentiment-classification: {error}", file=sys.stderr)
        return 1
    for table in analysis.tables(results, study):
        console.print(table)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(analysis.markdown(results), encoding="utf-8")
    analysis.plot(results, study, out / "classification.png")
    summary = {
        "study": asdict(study),
        "machine": machine(),
        "seconds": time.perf_counter() - began,
        "results": analysis.plain(results),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    console.print(f"{summary['seconds']:.0f} s; {out}: summary.json, table.md, classification.png", highlight=False)
    return 0


def _judges(arguments: argparse.Namespace) -> int:
    from benchmarks.experiments.judges import analysis, sweep
    from benchmarks.machine import machine
    from lm_envs.assets import AssetError

    console = Console()
    study = sweep.Study(arguments.model, tuple(dict.fromkeys(arguments.scorers)), arguments.pairs, arguments.seed, arguments.dtype)
    out: Path = arguments.out
    results: list[sweep.Result] = []
    try:
        for result in sweep.run(study):
            results.append(result)
            console.print(analysis.line(result), highlight=False)
            rows = analysis.with_totals(results)  # written each time: a run that is cut short leaves what it has
            summary = {"study": asdict(study), "machine": machine(), "results": analysis.plain(rows)}
            out.mkdir(parents=True, exist_ok=True)
            (out / "table.md").write_text(analysis.markdown(rows), encoding="utf-8")
            (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    except AssetError as error:
        print(f"python -m benchmarks judges: {error}", file=sys.stderr)
        return 1
    console.print((out / "table.md").read_text("utf-8"), markup=False, highlight=False, soft_wrap=True)
    console.print(f"{out}: summary.json, table.md", highlight=False)
    return 0


def _versus_trl(arguments: argparse.Namespace) -> int:
    from lm_envs.shadowing import check_agents

    check_agents()
    from stable_baselines3.common.utils import get_device

    from agents.models import bf16_is_fast
    from benchmarks.experiments.versus_trl import analysis, sweep
    from benchmarks.machine import machine

    console = Console()
    out: Path = arguments.out
    sides: tuple[sweep.Side, ...] = tuple(arguments.sides)
    bf16 = not arguments.float32 and bf16_is_fast(get_device("auto"))
    task = sweep.Task(cap_seconds=arguments.cap_seconds, bf16=bf16)
    try:
        sweep.check(task, sides)
        chosen, results = sweep.run_all(task, sides, arguments.trials, arguments.seeds, out, console.print)
    except (sweep.AssetError, RuntimeError) as error:
        print(f"python -m benchmarks versus-trl: {error}", file=sys.stderr)
        return 1
    table = analysis.markdown(results, {str(side): name for side, name in chosen.items()})
    analysis.plot(results, out / "curves.png")
    (out / "table.md").write_text(table, encoding="utf-8")
    summary = {
        "task": asdict(task),
        "machine": machine(),
        "chosen": chosen,
        "settings": {side: sweep.TRIALS[side][name] for side, name in chosen.items()},
        "results": [{name: result[name] for name in ("side", "seed", "seconds", "tokens", "iterations")} for result in results],
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    console.print(table, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{out}: summary.json, table.md, curves.png, and a file a run")
    return 0


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: vars(value) if hasattr(value, "low") else value for name, value in row.items()}


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
