"""What `python -m agents annotate` does, once its arguments are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from agents.annotation.log import Judgements, Log, read_log
from agents.annotation.pairs import Pair, read_pairs
from agents.annotation.report import export, preferences, report, show
from agents.annotation.study import Study
from lm_envs.extras import explained
from lm_envs.rendering import printable


def beside(pairs: str | Path) -> Path:
    """Where the judgements of a file of pairs are kept by default."""
    return Path(pairs).with_suffix(".judgements.jsonl")


def print_report(judgements: str, console: Console, out: str | None = None) -> None:
    """Print the report of a file of judgements, and write it as JSON when ``out`` is given.

    Raises:
        LogError: when the file can't be read.
        OSError: when ``out`` can't be written.
    """
    records, problems = read_log(judgements)
    found = Judgements(records)
    result = report(found.all(), retracted=found.retracted, problems=problems)
    show(result, console)
    if out:
        Path(out).write_text(json.dumps(result.to_json(), indent=1), encoding="utf-8")


def write_preferences(pairs: str, columns: Mapping[str, str] | None, judgements: Path, out: str, console: Console) -> None:
    """Write what annotators preferred as ``prompt``, ``chosen``, ``rejected``; says how many pairs are left out.

    Raises:
        DataError: for pairs that can't be read.
        LogError: for judgements that can't be read.
        ValueError: when no pair was decided; nothing is written.
        OSError: when ``out`` can't be written.
    """
    known = read_pairs(pairs, columns)
    records, problems = read_log(judgements)
    _warn(problems, judgements, console)
    rows = preferences(known, Judgements(records).all())
    if not rows:
        raise ValueError(f"no pair of {pairs} has a preferred reply in {judgements}")
    export(rows, Path(out))
    rest = len(known) - len(rows)
    console.print(f"{len(rows)} preferences: {printable(out)}; {rest} pairs are undecided", highlight=False, markup=False, soft_wrap=True)


def serve(pairs: list[Pair], judgements: Path, console: Console, *, seed: int, overlap: float, port: int) -> None:
    """Serve the page until the process is interrupted.

    Raises:
        ImportError: when Flask or waitress is missing; says what to install.
        LogError: when the judgements can't be kept there.
        ValueError: for an overlap or a port that can't be.
        OSError: when the port is taken.
    """
    try:
        from agents.annotation.app import Server
    except ImportError as error:
        raise ImportError(explained(error)) from error
    if not 0 <= port < 65_536:
        raise ValueError(f"--port must lie in [0, 65535], got {port}")
    with Log(judgements) as log:
        _warn(log.problems, judgements, console)
        study = Study(pairs, log, seed=seed, overlap=overlap)
        made = study.judgements()
        if strangers := sum(judgement.pair not in study.pairs for judgement in made):
            console.print(f"{strangers} judgements are about pairs that aren't among these; they stay as they are", style="yellow")
        try:
            server = Server(study, port)
        except OSError as error:
            raise OSError(f"--port {port}: {error.strerror}") from error
        with server:
            annotators = len({judgement.annotator for judgement in made})
            console.print(f"{len(pairs)} pairs, {len(made)} judgements by {annotators} annotators so far", highlight=False)
            console.print(f"{server.url} (Ctrl-C ends)", highlight=False, markup=False, soft_wrap=True)
            server.run()
        console.print(f"{len(study.judgements())} judgements: {printable(str(judgements))}", highlight=False, markup=False, soft_wrap=True)


def _warn(problems: list[str], judgements: Path, console: Console) -> None:
    for problem in problems:
        console.print(
            printable(f"{judgements.name}: {problem}; passed over"), highlight=False, markup=False, style="yellow", soft_wrap=True
        )
