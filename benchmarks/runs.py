"""What experiments share: a process for each run, and files that are there whole or not at all."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def in_process(task: Callable[..., T], *arguments: Any) -> T:
    """A task in a process of its own: one leaves nothing to the next."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(task, *arguments).result()
