"""Arguments of commands: a dataclass a command, whose fields carry what ``argparse`` needs."""

from __future__ import annotations

import argparse
import json
from dataclasses import MISSING, field, fields
from typing import Any


class UsageError(Exception):
    """Something the user can mend; shown as one line."""


def arg(default: Any, help: str, **options: Any) -> Any:  # noqa: A002
    """A field with its default and what its option's help says; further options are those of ``add_argument``."""
    made: Any = field(default=default, metadata={"help": help, **options})
    return made


def json_object(text: str) -> dict[str, Any]:
    """An argument in JSON; argparse shows the error."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected an object such as '{{\"name\": 1}}', got {text!r}")
    return value


def add(command: argparse.ArgumentParser, cls: type) -> None:
    """An option for each field of a dataclass; those that aren't given are left out of what is parsed."""
    for item in fields(cls):
        options = dict(item.metadata)
        default = item.default if item.default is not MISSING else None
        if default not in (None, False, "", ()):
            shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
            options["help"] += f" (default: {shown})"
        options["help"] = options["help"].replace("%", "%%")
        flag = f"--{item.name.replace('_', '-')}"
        if isinstance(default, bool):
            command.add_argument(flag, action="store_true", **options)
        else:
            command.add_argument(flag, **{"type": type(default), **options} if default is not None else options)
