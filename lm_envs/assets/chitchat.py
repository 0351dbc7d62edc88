"""The `chitchat` data: conversations of two people who had just met."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Chat(NamedTuple):
    """One conversation.

    Attributes:
        id: a UUID.
        turns: who spoke (0 for the one who wrote first, 1 for the other) and what, message by message, in order; several
            messages in a row may be of one person. Empty messages are left out.
        ratings: how ``"witty"``, ``"interesting"`` and ``"upbeat"`` it was, by one of the two, from 1 to 10 (5 is what the
            form began with); empty for conversations that weren't rated.
        prompt: what they were given to talk about, or ``None``.
    """

    id: str
    turns: tuple[tuple[int, str], ...]
    ratings: Mapping[str, int]
    prompt: str | None


def make(unpacked: Path, folder: Path) -> None:
    """The package's JSON file and its licence, in one folder."""
    (unpacked / "chitchat_dataset" / "dataset.json").rename(folder / "dataset.json")
    (unpacked / "chitchat_dataset-0.9.0.dist-info" / "LICENSE").rename(folder / "LICENSE.txt")


def read(folder: Path) -> tuple[Chat, ...]:
    """All conversations of the folder, in the order of the file."""
    chats = []
    for key, chat in json.loads((folder / "dataset.json").read_text("utf-8")).items():
        messages = [message for turn in chat["messages"] for message in turn if message["text"].strip()]
        first = messages[0]["sender"] if messages else None
        turns = tuple((int(message["sender"] != first), message["text"].strip()) for message in messages)
        ratings = {name: int(value) for name, value in chat.get("ratings", {}).items()}
        chats.append(Chat(key, turns, ratings, chat.get("prompt")))
    return tuple(chats)
