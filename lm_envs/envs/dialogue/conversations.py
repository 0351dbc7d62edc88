"""The `chitchat` asset's conversations as a partner uses them: who said what to what, cleaned, in parts that share no conversation.

    part_of("7a49c0c7-…")        -> "train", "test" or "agent"
    read("test").exchanges[0]    -> Exchange(chat=…, before="im doing good", said="did you go to bed late?", answer="Yeah, about 3")

People wrote these to each other. Turns in which `safety` finds offence or personal data, and very long ones, are not passed on, neither as
an opening nor as an answer; what it doesn't find is, first names among it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from lm_envs.assets.chitchat import Chat
from lm_envs.envs.dialogue.safety import unsafe
from lm_envs.spaces import well_formed

Part = Literal["train", "test", "agent"]
PARTS: tuple[Part, ...] = ("train", "test", "agent")

LONGEST = 240  # characters of a turn
VERSION = 1  # raised when what is read from the asset changes: a cached index of an earlier one isn't used

_SHARES = (0.2, 0.4)  # up to here "test", up to here "agent", from here "train"
_FEWEST_TURNS = 6  # of a conversation that opens an episode
_OPENING_WORDS = range(2, 31)
_DISTINCTIVE = 5  # words from which the same turn in two parts is given to one of them alone


class Turn(NamedTuple):
    """What one of the two said before the other spoke again.

    Attributes:
        speaker: 0 for the one who wrote first, else 1.
        text: their messages, one a line.
    """

    speaker: int
    text: str


class Exchange(NamedTuple):
    """A turn and what came before it.

    Attributes:
        chat: the conversation's number in its part.
        before: what the one who answers had said; ``""`` at the beginning.
        said: what the other said.
        answer: what was answered to it.
    """

    chat: int
    before: str
    said: str
    answer: str


class Start(NamedTuple):
    """How a conversation began.

    Attributes:
        chat: its number in its part.
        id: a UUID.
        text: its first turn.
        prompt: what the two were given to talk about, or ``""``.
    """

    chat: int
    id: str
    text: str
    prompt: str


class Corpus(NamedTuple):
    """One part of the data."""

    exchanges: tuple[Exchange, ...]
    starts: tuple[Start, ...]


def read(part: Part) -> Corpus:
    """One part of the asset, fetched on first use.

    Raises:
        AssetError: when the data can't be had.
    """
    from lm_envs import assets  # here, because the authored partner needs none

    return corpus(assets.chitchat_chats(), part)


def left_out() -> bytes:
    """What decides, beside this module, which turns are left out: when it changes, an index made before doesn't hold any more."""
    return Path(__file__).with_name("unsafe.json").read_bytes()


def part_of(chat_id: str) -> Part:
    """Which part a conversation is in, by a checksum of its id: a fifth each for the test partner and for agents' candidates."""
    share = int.from_bytes(hashlib.sha256(chat_id.encode()).digest()[:8], "big") / 2**64
    return "test" if share < _SHARES[0] else "agent" if share < _SHARES[1] else "train"


def corpus(chats: Sequence[Chat], part: Part) -> Corpus:
    """The exchanges and openings of one part.

    No conversation is in two parts. A turn of five words or more that occurs in several is kept in one: in ``"test"``, else in ``"agent"``.
    """
    order: tuple[Part, ...] = ("test", "agent", "train")
    taken = {
        turn.text.casefold()
        for chat in chats
        if order.index(part_of(chat.id)) < order.index(part)
        for turn in turns(chat)
        if len(turn.text.split()) >= _DISTINCTIVE
    }
    exchanges: list[Exchange] = []
    starts: list[Start] = []
    mine = [chat for chat in chats if part_of(chat.id) == part]
    for number, chat in enumerate(mine):
        spoken = [(turn, _passes(turn.text, taken)) for turn in turns(chat)]
        if len(spoken) >= _FEWEST_TURNS and spoken[0][1] and len(spoken[0][0].text.split()) in _OPENING_WORDS:
            starts.append(Start(number, chat.id, spoken[0][0].text, " ".join((chat.prompt or "").split())))
        for at in range(1, len(spoken)):
            answer, passes = spoken[at]
            if passes:
                exchanges.append(Exchange(number, spoken[at - 2][0].text if at > 1 else "", spoken[at - 1][0].text, answer.text))
    return Corpus(tuple(exchanges), tuple(starts))


def turns(chat: Chat) -> Iterator[Turn]:
    """A conversation turn by turn: the messages that somebody wrote in a row are one."""
    speaker, lines = -1, [""]
    for who, message in chat.turns:
        if who != speaker:
            if speaker >= 0 and any(lines):
                yield Turn(speaker, "\n".join(filter(None, lines)))
            speaker, lines = who, []
        lines.append(tidied(message))
    if speaker >= 0 and any(lines):
        yield Turn(speaker, "\n".join(filter(None, lines)))


def _passes(text: str, taken: Collection[str]) -> bool:
    return len(text) <= LONGEST and text.casefold() not in taken and not unsafe(text)


def tidied(message: str) -> str:
    """One line of printable, well-formed text."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in well_formed(message)).split())
