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


# Joiners shape emoji and several scripts; the other format characters reorder or hide text.
_SHOWN = frozenset("\n\t\u200c\u200d")
_INDENT, _NARROWEST = "    ", 20
_ESCAPED = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def printable(text: str) -> str:
    """Text that a terminal shows as it is: controls other than line feed and tab, direction overrides and lone surrogates are escaped."""
    return "".join(char if char in _SHOWN or unicodedata.category(char) not in _ESCAPED else _escaped(char) for char in text)


def transcript(messages: Messages, scores: Mapping[int, Score] | None = None, *, metrics: Mapping[str, float] | None = None) -> str:
    """A readable transcript, without colours and line breaks of its own; lines that go on a message are indented.

    Args:
        messages: the conversation.
        scores: of replies, by their position in ``messages``.
        metrics: shown at the end, when given.
    """
    written = StringIO()
    _write(Console(file=written, color_system=None, highlight=False), messages, scores or {}, metrics, wrap=False)
    return written.getvalue()


def print_turns(
    messages: Messages,
    scores: Mapping[int, Score] | None = None,
    *,
    metrics: Mapping[str, float] | None = None,
    console: Console | None = None,
) -> None:
    """Print a transcript to standard output or a console, broken to its width, with colours where it is a terminal."""
    _write(console or Console(highlight=False), messages, scores or {}, metrics, wrap=True)


def reward_line(score: Score) -> Text:
    """A reply's reward and what it is made of."""
    parts = " ".join(f"{printable(name)} {value:+.3f}" for name, value in score.components.items())
    return Text(f"{_INDENT}reward {score.total:+.3f}" + (f" ({parts})" if parts else ""), style="magenta")


def _write(console: Console, messages: Messages, scores: Mapping[int, Score], metrics: Mapping[str, float] | None, *, wrap: bool) -> None:
    def write(text: Text) -> None:
        width = max(console.width - len(_INDENT), _NARROWEST)
        first, *rest = text.wrap(console, width) if wrap else text.split("\n", allow_blank=True)
        console.print(first, soft_wrap=True)
        for line in rest:  # indented, so that no content can pass for a message of its own
            console.print(Text(_INDENT) + line, soft_wrap=True)

    for position, message in enumerate(messages):
        style = _STYLES[message["role"]]
        label = f"{message['role']} {printable(message['name'])}" if message["role"] == "tool" else message["role"]
        line = Text(f"{label}: ", style=f"bold {style}")
        line.append(printable(message["content"]), style=style)
        write(line)
        if score := scores.get(position):
            write(reward_line(score))
    if metrics:
        shown = ", ".join(f"{printable(name)} {value:g}" for name, value in metrics.items())
        write(Text(f"{_INDENT}metrics: {shown}", style="bold"))


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
