"""What experiments share: a process for each run, and files that are there whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def in_process(task: Callable[..., T], *arguments: Any) -> T:
    """A task in a process of its own: one leaves nothing to the next."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(task, *arguments).result()


def write_json(path: Path, value: Any) -> None:
    """Write a file beside its place and rename it into it: a kill leaves the one before it."""
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, path)
