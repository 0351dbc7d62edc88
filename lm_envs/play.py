"""Play the agent in a terminal, or with replies from a pipe.

    user: Hi, my kettle arrived broken.
    > /find_customer 4411                       commands begin with a slash; /help lists them
    > I'm sorry to hear that.                   all else is the reply; //like this one that begins with a slash

A family may add panels and commands of its own: a :class:`Viewer`, named in :data:`VIEWERS`.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol, cast

import gymnasium as gym
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lm_envs.core import TextEnv, TextState
from lm_envs.rendering import print_turns, printable, reward_line
from lm_envs.rewards import Score
from lm_envs.transcripts import Transcript
from lm_envs.types import Message, Messages
from lm_envs.validation import Episode, say

VIEWERS = {"lm_envs.envs.customer_service.env:CustomerServiceEnv": "lm_envs.envs.customer_service.viewer:Viewer"}
"""``"module:Class"`` of viewers, by that of environments; a viewer serves subclasses too."""

SIDE_BY_SIDE = 96  # columns of a terminal that has room for two panels beside each other

_COMMANDS = {
    "help": "/help                 this list",
    "hint": "/hint                 what the scripted expert would say now",
    "undo": "/undo                 take the last reply back",
    "save": "/save FILE.html       the conversation as a page",
    "quit": "/quit                 leave",
}
_ENDED = "the episode has ended: /undo, /save FILE.html, or /quit"


class CommandError(ValueError):
    """A command that can't be carried out, and why."""


class Viewer(Protocol):
    """What a family shows beside the conversation, and its commands. Everything it returns is shown as it is."""

    commands: Mapping[str, str]  # a line of help by name

    def __init__(self, env: Any, /) -> None: ...

    def panels(self) -> Sequence[RenderableType]:
        """What has changed by the last turn."""
        ...

    def reply(self, command: str, rest: str) -> str:
        """The reply that a command stands for; raises :class:`CommandError`."""
        ...

    def shown(self, message: Message) -> Message:
        """A message as it is easier to read."""
        ...


def play(env: TextEnv, *, name: str, seed: int | None = None, read: Callable[[str], str] | None = None) -> None:
    """Play one episode; returns when it is left or has ended and nothing more is asked for.

    Args:
        env: the environment; its own rendering isn't used.
        name: its id.
        seed: which scenario.
        read: gets a prompt and gives a line, as ``input``, which it is by default.
    """
    console = Console(highlight=False)
    print("Type the agent's reply and press Enter; /help lists commands. Ctrl-D (end of file) or Ctrl-C leaves.\n")
    table = _Table(env, name, seed, console)
    with _line_editing([*_COMMANDS, *(table.viewer.commands if table.viewer else ())]):
        while True:
            try:
                line = (read or input)(_prompt(table.over))
            except (EOFError, KeyboardInterrupt):
                if _interactive():
                    print()
                break
            try:
                if not table.take(line):
                    break
            except (CommandError, gym.error.InvalidAction) as error:
                console.print(Text(printable(str(error)), "red"), soft_wrap=True)
    if not table.over:
        print("Left before the end.")


class _Table:
    """An episode that is being played; it is opened and shown at once.

    Args:
        env: the environment.
        name: its id.
        seed: of the scenario.
        console: where it is shown.
    """

    def __init__(self, env: TextEnv, name: str, seed: int | None, console: Console) -> None:
        self.env, self.name, self.seed, self.console = env, name, seed, console
        opening, info = env.reset(seed=seed)
        self.episode = Episode(opening, info, [])
        self.viewer = _viewer(env)
        self._states = [cast(TextState, env.get_state())]  # before each reply, and now
        self._show(opening)
        self._show_panels()

    @property
    def over(self) -> bool:
        """Whether the episode has ended."""
        turns = self.episode.turns
        return bool(turns) and (turns[-1].terminated or turns[-1].truncated)

    def take(self, line: str) -> bool:
        """Carry out what was typed; false to leave."""
        if line.startswith("/") and not line.startswith("//"):
            word, _, rest = line[1:].strip().partition(" ")
            return self._command(word, rest.strip())
        if self.over:
            if line.strip():
                raise CommandError(_ENDED)
            return not _interactive()  # an empty line leaves; in a pipe more may follow
        self._send(line[1:] if line.startswith("//") else line)
        return True

    def _command(self, word: str, rest: str) -> bool:
        own = self.viewer.commands if self.viewer else {}
        name = _full(word, [*_COMMANDS, *own])
        if name == "quit":
            return False
        if name == "help":
            self._help(own)
        elif name == "hint":
            if self.over:
                raise CommandError("the episode has ended")
            self.console.print(Text(f"the expert: {printable(self.env.expert_reply())}", "dim"), soft_wrap=True)
        elif name == "undo":
            self._undo()
        elif name == "save":
            self._save(rest)
        elif self.over:
            raise CommandError(_ENDED)
        else:
            assert self.viewer is not None
            self._send(self.viewer.reply(name, rest))
        return True

    def _send(self, reply: str) -> None:
        before = len(self.env.messages)
        turns = self.episode.turns
        earlier = (turns[-1].info if turns else self.episode.info).get("metrics", {})
        turn = say(self.env, reply)
        turns.append(turn)
        self._states.append(cast(TextState, self.env.get_state()))
        score = Score(turn.reward, {name: value for name, value in turn.info.get("rewards", {}).items() if value})
        if not _interactive():
            self._show(turn.messages[before:], score)
        else:  # what was typed stands there already, and most turns bring nothing
            self._show(turn.messages[before + 1 :])
            if turn.reward or score.components:
                self.console.print(reward_line(score), soft_wrap=True)
        for name in _broken(earlier, self.episode.metrics):
            self.console.print(Text(f"    broken rule: {printable(name)}", "red"), soft_wrap=True)
        self._show_panels()
        if self.over:
            self._summary()

    def _undo(self) -> None:
        if not self.episode.turns:
            raise CommandError("there is nothing to undo")
        self._states.pop()
        undone = self.episode.turns.pop().messages
        self.env.set_state(self._states[-1])
        messages = self.env.messages
        self.console.print(Text(f"Taken back: {printable(' '.join(undone[len(messages)]['content'].split()))[:70]}", "dim"), soft_wrap=True)
        self._show(messages[-1:])
        self._show_panels()

    def _save(self, path: str) -> None:
        from lm_envs import html  # slow to import, as it knows the service desk's calls

        if not path:
            raise CommandError("/save needs a file's name, such as episode.html")
        details: dict[str, str | int | float] = {"player": "person", "split": self.env.split}
        if self.seed is not None:
            details["seed"] = self.seed
        try:
            html.write(Transcript.of(self.episode, env=self.name, details=details), path)
        except (OSError, ValueError) as error:
            raise CommandError(f"can't write {path}: {getattr(error, 'strerror', None) or error}") from error
        self.console.print(Text(f"saved: {printable(path)}"), soft_wrap=True)

    # How it looks.

    def _show(self, messages: Messages, score: Score | None = None) -> None:
        viewed = tuple(self.viewer.shown(message) for message in messages) if self.viewer else messages
        print_turns(viewed, {0: score} if score else None, console=self.console)

    def _show_panels(self) -> None:
        if self.viewer is None or not (panels := self.viewer.panels()):
            return
        if len(panels) == 1 or self.console.width < SIDE_BY_SIDE:
            self.console.print(Group(*panels))
            return
        row = Table.grid(padding=(0, 1), expand=True)
        for _ in panels:
            row.add_column(ratio=1)
        row.add_row(*panels)
        self.console.print(row)

    def _summary(self) -> None:
        # Metrics are many; those at 0 that count mistakes say nothing.
        shown = {name: value for name, value in self.episode.metrics.items() if value or not name.startswith("rule_")}
        table = Table.grid(padding=(0, 2))
        table.add_row(Text("reward", "bold magenta"), Text(f"{self.episode.reward:+.3f}", "bold magenta"))
        for name, value in shown.items():
            table.add_row(Text(printable(name)), Text(f"{value:.4g}"))
        self.console.print(table)
        print("The episode has ended.")

    def _help(self, own: Mapping[str, str]) -> None:
        self.console.print(Text("Anything else is the reply; // begins one that begins with a slash.", "dim"), soft_wrap=True)
        for line in [*own.values(), *_COMMANDS.values()]:
            self.console.print(Text(line), soft_wrap=True)


def _viewer(env: TextEnv) -> Viewer | None:
    for cls in type(env).__mro__:
        if found := VIEWERS.get(f"{cls.__module__}:{cls.__qualname__}"):
            module, _, attribute = found.partition(":")
            return cast(Viewer, getattr(importlib.import_module(module), attribute)(env))
    return None


def _broken(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """Rules broken in between, where the family counts them."""
    return [name.removeprefix("rule_") for name, value in after.items() if name.startswith("rule_") and value > before.get(name, 0.0)]


def _full(word: str, known: Sequence[str]) -> str:
    """The command that a word means: its name, or a beginning that only one has."""
    if word in known:
        return word
    begun = [name for name in known if word and name.startswith(word)]
    if len(begun) == 1:
        return begun[0]
    near = begun or difflib.get_close_matches(word, known, n=3)
    guess = f"; did you mean {' or '.join(f'/{name}' for name in near)}?" if near else ""
    raise CommandError(f"no command /{word[:40]}{guess or '; /help lists them'}")


def _interactive() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _prompt(over: bool) -> str:
    """Nothing in a pipe, where nobody reads it."""
    if not _interactive():
        return ""
    return "/undo, /save FILE.html, or Enter to leave> " if over else "your reply> "


@contextmanager
def _line_editing(names: Sequence[str]) -> Iterator[None]:
    """Arrow keys, and Tab for commands, where Python has readline."""
    readline: Any = None
    with suppress(ImportError):
        import readline  # not on Windows
    if readline is None or not _interactive():
        yield
        return
    before, delimiters = readline.get_completer(), readline.get_completer_delims()
    options = [f"/{name} " for name in sorted(names)]

    def complete(text: str, state: int) -> str | None:
        found = [option for option in options if text.startswith("/") and option.startswith(text)]
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(before)
        readline.set_completer_delims(delimiters)
