"""How a conversation looks in a terminal. Contents are untrusted: control characters are shown, never sent."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from lm_envs.types import Messages

if TYPE_CHECKING:
    from lm_envs.rewards import Score

_STYLES = {"system": "dim", "user": "cyan", "assistant": "green", "tool": "yellow"}


def printable(text: str) -> str:
    """Text that a terminal shows as it is: controls other than line feed and tab, direction overrides and lone surrogates are escaped."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs") or char == "\u200d" else f"\\u{ord(char):04x}"
        for char in text
    )


def transcript(
    messages: Messages, scores: Mapping[int, Score] | None = None, *, metrics: Mapping[str, float] | None = None, color: bool = False
) -> str:
    """A readable transcript.

    Args:
        messages: the conversation.
        scores: of replies, by their position in ``messages``.
        metrics: shown at the end, when given.
        color: whether to mark roles by terminal colours.
    """
    console = Console(file=StringIO(), width=100, force_terminal=color, color_system="standard" if color else None, highlight=False)
    _write(console, messages, scores or {}, metrics)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def print_turns(messages: Messages, scores: Mapping[int, Score] | None = None, *, metrics: Mapping[str, float] | None = None) -> None:
    """Print messages to standard output, with colours where it is a terminal."""
    _write(Console(highlight=False), messages, scores or {}, metrics)


def _write(console: Console, messages: Messages, scores: Mapping[int, Score], metrics: Mapping[str, float] | None) -> None:
    for position, message in enumerate(messages):
        style = _STYLES[message["role"]]
        label = f"{message['role']} {printable(message['name'])}" if message["role"] == "tool" else message["role"]
        line = Text(f"{label}: ", style=f"bold {style}")
        line.append(printable(message["content"]), style=style)
        console.print(line)
        if score := scores.get(position):
            parts = " ".join(f"{printable(name)} {value:+.3f}" for name, value in score.components.items())
            console.print(Text(f"    reward {score.total:+.3f}" + (f" ({parts})" if parts else ""), style="magenta"))
    if metrics:
        shown = ", ".join(f"{printable(name)} {value:g}" for name, value in metrics.items())
        console.print(Text(f"    metrics: {shown}", style="bold"))
