"""Conversations and indices in files: arrays without pickled objects, made once."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from lm_envs.envs.dialogue.conversations import Corpus, Exchange, Start

Arrays = dict[str, npt.NDArray[Any]]
Read = TypeVar("Read")

_UNREADABLE = (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile)


def load_or_make(path: Path, make: Callable[[], Arrays], read: Callable[[Arrays], Read]) -> Read:
    """What ``read`` makes of a file's arrays; a file that isn't there, or is broken, is made anew, by one process at a time.

    Where the folder can't be written, it is made for this process alone.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(FileLock(path.with_name(f".{path.name}.lock")))
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return read(dict(arrays))
        except _UNREADABLE:
            made = make()
        with contextlib.suppress(OSError):
            part = path.with_name(f".{path.name}-{os.getpid()}.part.npz")
            np.savez(part, allow_pickle=False, **made)
            os.replace(part, path)
    return read(made)


def packed(corpus: Corpus) -> Arrays:
    """A corpus as arrays: each text once, and numbers of texts."""
    numbers: dict[str, int] = {}

    def number(text: str) -> int:
        return numbers.setdefault(text, len(numbers))

    exchanges = [(one.chat, number(one.before), number(one.said), number(one.answer)) for one in corpus.exchanges]
    starts = [(one.chat, number(one.id), number(one.text), number(one.prompt)) for one in corpus.starts]
    return {
        "exchanges": np.array(exchanges, np.int32).reshape(-1, 4),
        "starts": np.array(starts, np.int32).reshape(-1, 4),
        **coded(list(numbers), "texts"),
    }


def unpacked(arrays: Mapping[str, npt.NDArray[Any]]) -> Corpus:
    """The corpus of :func:`packed` arrays."""
    text = texts(arrays, "texts")
    exchanges = (Exchange(chat, text[before], text[said], text[answer]) for chat, before, said, answer in arrays["exchanges"].tolist())
    starts = (Start(chat, text[key], text[first], text[prompt]) for chat, key, first, prompt in arrays["starts"].tolist())
    return Corpus(tuple(exchanges), tuple(starts))


def coded(values: Sequence[str], name: str) -> Arrays:
    """Texts as two arrays: UTF-8 bytes, one text after the other, and where each ends."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([len(value) for value in encoded], dtype=np.int64)
    return {f"{name}_bytes": np.frombuffer(b"".join(encoded), np.uint8), f"{name}_ends": ends}


def texts(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> list[str]:
    """The texts of :func:`coded` arrays."""
    data = arrays[f"{name}_bytes"].tobytes()
    return [data[start:end].decode() for start, end in pairwise([0, *arrays[f"{name}_ends"].tolist()])]
