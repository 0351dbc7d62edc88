"""Environments from the command line.

    python -m lm_envs list                                   all environments
    python -m lm_envs play lm_envs/CustomerService-v0        write the agent's replies yourself
    python -m lm_envs transcript lm_envs/CustomerService-v0 --out episode.html
                                                             an episode of the expert's as a page
    python -m lm_envs check my_package:MyEnv                 run every invariant on anyone's environment
    python -m lm_envs validate lm_envs/Sentiment-v0          expert, silence and chance, with 95 % intervals
    python -m lm_envs validate lm_envs/CustomerService-v0 --gold    gold scripts, their mutations and variations
    python -m lm_envs assets fetch smollm2-135m              models and data sets

Exit codes: 0 when all is well, 1 when a check failed or an asset can't be had, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import inspect
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import gymnasium as gym
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from lm_envs import assets
from lm_envs.core import TextEnv
from lm_envs.registration import FAMILIES
from lm_envs.rendering import printable
from lm_envs.testing import run
from lm_envs.tokens import TokenEnv
from lm_envs.types import SPLITS
from lm_envs.validation import PLAYERS, Estimate, HasGold, play, text_env, validate, validate_gold

_NAMESPACE = "lm_envs/"


class _UsageError(Exception):
    """Wrong arguments; the message is one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
        return int(options.command(options))
    except _UsageError as error:
        print(f"lm_envs: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except assets.AssetError as error:
        print(f"lm_envs: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m lm_envs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(metavar="command", required=True)

    def command(name: str, function: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(command=function)
        return added

    command("list", _list, "list all environments")

    playing = command("play", _play, "play the agent: type one reply a line; end of file or Ctrl-C leaves")
    checking = command("check", _check, "run every invariant on an environment; exit code 1 when one fails")
    writing = command("transcript", _transcript, "play one episode and write it as a page: one HTML file that needs nothing else")
    validating = command("validate", _validate, "score the scripted expert, the no-op and the random player")
    for added in (playing, checking, writing, validating):
        added.add_argument("id", help="a registered id, module:id, or module:Class")
    for added in (playing, writing, validating):
        added.add_argument("--split", choices=SPLITS, default="test", help="which scenarios (default: %(default)s)")
        added.add_argument(
            "--set",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help="a keyword argument of the environment; the value is JSON or text",
        )
    for added in (playing, writing):
        added.add_argument("--env-kwargs", metavar="JSON", default="{}", help="keyword arguments of the environment, as a JSON object")
    writing.add_argument("--player", choices=PLAYERS, default="expert", help="who plays the agent (default: %(default)s)")
    writing.add_argument("--seed", type=int, default=0, help="which scenario (default: %(default)s)")
    writing.add_argument("--out", required=True, metavar="FILE", help="the file to write")
    playing.add_argument("--seed", type=int, help="which scenario; another each time by default")
    validating.add_argument("--seed", type=int, default=0, help="the first scenario's seed (default: %(default)s)")
    validating.add_argument("--episodes", type=int, default=100, help="episodes of each player (default: %(default)s)")
    validating.add_argument("--json", action="store_true", help="print JSON instead of a table")
    validating.add_argument(
        "--gold",
        action="store_true",
        help="check gold scripts instead: they and harmless variations must succeed, silence and mutations fail; else exit code 1",
    )

    asset = command("assets", _assets, "list, fetch or locate models and data sets")
    asset.set_defaults(action="list")
    actions = asset.add_subparsers(metavar="action")
    for name, about in (
        ("list", "what there is, and what is here"),
        ("fetch", "fetch what isn't here, and print its folder"),
        ("path", "print the folder of what is here"),
    ):
        action = actions.add_parser(name, help=about, description=about)
        action.set_defaults(action=name)
        if name != "list":
            action.add_argument("name", help=", ".join(assets.NAMES))
    return parser


# Commands.


def _list(options: argparse.Namespace) -> int:
    table = Table("id", "what it is", title="Environments")
    table.columns[0].no_wrap = True
    for name, target in FAMILIES.items():
        module, attribute = target.split(":")
        table.add_row(f"{_NAMESPACE}{name}-v0", (inspect.getdoc(getattr(importlib.import_module(module), attribute)) or "").split("\n")[0])
        choices = f"{_NAMESPACE}{name}Acts-v0"
        table.add_row(f"{_NAMESPACE}{name}Tokens-v0", "the same, one token at a time", end_section=choices not in gym.registry)
        if choices in gym.registry:
            table.add_row(choices, "the same as a choice of acts", end_section=True)
    Console().print(table)
    return 0


def _play(options: argparse.Namespace) -> int:
    from lm_envs.play import play as play_in_terminal

    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):  # no bytes that are typed, and no text that is shown, end the game
            stream.reconfigure(errors="backslashreplace" if stream is sys.stdout else "replace")
    play_in_terminal(text_env(_make(options.id, split=options.split, **_keywords(options))), name=options.id, seed=options.seed)
    return 0


def _transcript(options: argparse.Namespace) -> int:
    from lm_envs import html  # it reads tool calls as the service desk does, which is slow to import
    from lm_envs.transcripts import Transcript

    env = _make(options.id, split=options.split, **_keywords(options))
    details: dict[str, str | int | float] = {"player": options.player, "seed": options.seed, "split": options.split}
    transcript = Transcript.of(play(env, options.player, seed=options.seed), env=options.id, details=details)
    try:
        html.write(transcript, options.out)
    except OSError as error:
        raise _UsageError(f"can't write {options.out}: {error.strerror or error}") from error
    print(f"reward {transcript.reward:+.3f} in {len(transcript.turns)} turns: {printable(options.out)}")
    return 0


def _check(options: argparse.Namespace) -> int:
    _make(options.id)
    maker = options.id if options.id in gym.registry or not (found := _class_of(options.id)) else found
    console = Console()
    table = Table("check", "result", "what holds, or what was expected", title=f"Checks of {options.id}")
    failed = count = 0
    with Console(stderr=True).status("checking") as status:
        for finding in run(maker):
            count += 1
            failed += finding.problem is not None
            status.update(f"checking: {finding.name}")
            result = Text("passed", "green") if finding.problem is None else Text("FAILED", "bold red")
            table.add_row(finding.name, result, Text(printable(finding.problem or finding.expects).replace("``", "")))
    console.print(table)
    console.print(f"{count - failed} of {count} checks passed")
    return int(failed > 0)


def _validate(options: argparse.Namespace) -> int:
    if options.episodes < 1:
        raise _UsageError(f"--episodes must be at least 1, got {options.episodes}")
    env = _make(options.id, split=options.split, **_settings(options.set))
    if options.gold:
        return _validate_gold(options, text_env(env))
    with _progress("episodes", options.episodes * len(PLAYERS)) as advance:
        scores = validate(env, episodes=options.episodes, seed=options.seed, on_episode=advance)
    if options.json:
        players = {player: {name: score._asdict() for name, score in named.items()} for player, named in scores.items()}
        print(
            json.dumps({"id": options.id, "split": options.split, "episodes": options.episodes, "seed": options.seed, "players": players})
        )
        return 0
    table = Table("", *PLAYERS, title=f"{options.id}, {options.split} split, {options.episodes} episodes: mean and 95 % interval")
    names = [
        "reward",
        *sorted({name for named in scores.values() for name in named} - {"reward"}, key=lambda name: (name != "metrics.success", name)),
    ]
    for name in names:
        table.add_row(printable(name), *(_shown(scores[player].get(name)) for player in PLAYERS), end_section=name == "reward")
    Console().print(table)
    return 0


def _validate_gold(options: argparse.Namespace, env: TextEnv) -> int:
    if not isinstance(env, HasGold):
        raise _UsageError(f"{options.id!r} has no gold scripts")
    with _progress("scenarios", options.episodes) as advance:
        tallies = validate_gold(env, episodes=options.episodes, seed=options.seed, on_episode=advance)
    wrong = sum(len(tally.wrong) for tally in tallies.values())
    kinds = ("gold", "no-op", "mutation", "variation")
    rows = sorted(tallies.items(), key=lambda item: (kinds.index(item[0][0]), item[0][1]))
    if options.json:
        cases = [{"kind": kind, "name": name, **tally._asdict()} for (kind, name), tally in rows]
        print(json.dumps({"id": options.id, "split": options.split, "episodes": options.episodes, "seed": options.seed, "cases": cases}))
        return int(wrong > 0)
    title = f"{options.id}, {options.split} split, {options.episodes} scenarios: gold scripts and what was done to them"
    table = Table("kind", "case", "cases", "success", "not as it must be", title=title)
    for (kind, name), tally in rows:
        seeds = f"{len(tally.wrong)} (seeds {', '.join(map(str, tally.wrong[:3]))}…)" if tally.wrong else "0"
        table.add_row(kind, printable(name), str(tally.cases), f"{tally.succeeded / tally.cases:.3f}", seeds)
    Console().print(table)
    return int(wrong > 0)


@contextmanager
def _progress(label: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error where that is a terminal; gives what advances it."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=total)
        yield lambda: progress.advance(task)


def _assets(options: argparse.Namespace) -> int:
    if options.action == "list":
        table = Table("name", "what it is, licence and source", "download", "here", title="Models and data sets")
        for item in assets.listing():
            download = f"{item.download / 1e6:.1f} MB" if item.download else "-"
            here = f"{item.size / 1e6:.1f} MB" if item.folder else "no"
            table.add_row(item.name, f"{item.about}; {item.licence}; {item.source}", download, here)
        for column in (0, 2, 3):
            table.columns[column].no_wrap = True
        Console().print(table)
        print(f"Fetched ones are kept in {assets.cache_folder()}")
        return 0
    if options.name not in assets.NAMES:
        raise _UsageError(f"no asset {options.name!r}{_near(options.name, assets.NAMES)}; known: {', '.join(assets.NAMES)}")
    print(assets.fetch(options.name, progress=True) if options.action == "fetch" else assets.path(options.name, download=False))
    return 0


# Environments by name.


def _make(name: str, **kwargs: Any) -> TextEnv | TokenEnv:
    """A new environment without wrappers; whatever keeps it from being made is a usage error."""
    try:
        if name not in gym.registry and (found := _class_of(name)):
            env = found(**kwargs).unwrapped
        else:
            env = gym.make(name, disable_env_checker=True, **kwargs).unwrapped
    except (gym.error.NameNotFound, gym.error.NamespaceNotFound, gym.error.VersionNotFound, gym.error.DeprecatedEnv) as error:
        raise _UsageError(f"no environment {name!r}{_near(name, gym.registry)}; `python -m lm_envs list` shows all") from error
    except (gym.error.Error, TypeError, ValueError, ImportError) as error:
        raise _UsageError(f"can't make {name!r}: {error}") from error
    if not isinstance(env, (TextEnv, TokenEnv)):
        raise _UsageError(f"{name!r} is a {type(env).__name__}; expected a text or token environment of lm_envs")
    return env


def _class_of(name: str) -> Callable[..., Any] | None:
    """What ``module:Class`` names, if it is of that form."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute, None) if attribute.isidentifier() else None


def _near(name: str, known: Iterable[str]) -> str:
    """``; did you mean …?``, or nothing."""

    def bare(text: str) -> str:
        return text.split(":")[-1].split("/")[-1].split("-v")[0].lower()

    known = list(known)
    ours = sorted(known, key=lambda one: not one.startswith(_NAMESPACE))
    names = [
        one
        for close in difflib.get_close_matches(bare(name), {bare(one) for one in ours}, n=3, cutoff=0.6)
        for one in ours
        if bare(one) == close
    ]
    return f"; did you mean {' or '.join(names[:3])}?" if names else ""


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise _UsageError(f"--set takes NAME=VALUE, got {pair!r}")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def _keywords(options: argparse.Namespace) -> dict[str, Any]:
    """Those of ``--env-kwargs``, and over them those of ``--set``."""
    try:
        given = json.loads(options.env_kwargs)
    except (ValueError, RecursionError) as error:
        raise _UsageError(f"--env-kwargs {options.env_kwargs[:80]!r} is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise _UsageError(f"--env-kwargs takes a JSON object, got {options.env_kwargs[:80]!r}")
    return {**given, **_settings(options.set)}


def _shown(score: Estimate | None) -> str:
    return "-" if score is None else f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]"


if __name__ == "__main__":
    sys.exit(main())
