"""The choice level's acts: a reaction, perhaps an answer of one's own, and a move, put into words.

words(Act("sympathy", False, "ask work"), partner, "event", rng, said="")  -> "Oh no, your wallet. I am sorry. What is your job?"
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lm_envs.envs.dialogue.lines import lines, pick, react
from lm_envs.envs.dialogue.listener import MOST_WORDS, PATIENCE, Listener
from lm_envs.envs.dialogue.persona import TONES, Tone, topics
from lm_envs.envs.dialogue.safety import unsafe
from lm_envs.envs.dialogue.understanding import repetition, understand

REACTIONS: dict[str, Tone] = {"take up": "neutral", "sympathy": "bad", "gladness": "good"}
CUES = (
    *("opening", "told", "noted", "told all", "guarded", "unheard"),
    *("silent", "confused", "repeated", "wrong tone", "irrelevant", "unmatched"),
)


class Act(NamedTuple):
    """What to say.

    Attributes:
        reaction: a key of `REACTIONS`, or ``""``.
        own: whether to say something of oneself.
        move: ``"follow"`` (ask on), ``"ask <topic>"``, or ``""``.
    """

    reaction: str
    own: bool
    move: str

    @property
    def topic(self) -> str:
        """What it asks about; ``""`` where it names nothing."""
        return self.move.removeprefix("ask ") if self.move.startswith("ask ") else ""


ACTS: tuple[Act, ...] = tuple(
    Act(reaction, own, move)
    for reaction in ("", *REACTIONS)
    for own in (False, True)
    for move in ("", "follow", *(f"ask {topic}" for topic in topics()))
)
"""All acts; the first says nothing."""

STATE: tuple[str, ...] = (
    *("turn", "misfits", "asked back"),
    *(f"tone {tone}" for tone in TONES),
    *(f"cue {cue}" for cue in CUES),
    *(f"topic {topic}" for topic in topics()),
    *(f"told {topic}" for topic in topics()),
)
"""Names of the numbers that say how the conversation stands."""

OF_CANDIDATE = (
    *("there", "likeness", "length", "too long", "questions", "topic", "follows", "takes up"),
    *("good", "bad", "own", "repetition", "unsafe"),
)
"""Names of the numbers that describe one candidate."""


def words(act: Act, partner: Listener, topic: str, rng: np.random.Generator, said: str) -> str:
    """An act as a text.

    Args:
        act: what to say.
        partner: whom to say it to; a reaction names what it spoke of last.
        topic: what is being talked about.
        rng: draws among wordings.
        said: what was said before; wordings that are in it are left out.
    """
    table = lines()
    parts = []
    if act.reaction:
        parts.append(react(REACTIONS[act.reaction], partner.last.key if partner.last else "that", rng, said))
    if act.own:
        parts.append(pick(table["own"][topic], rng, said))
    if act.move:
        parts.append(pick(table["follow"][topic] if act.move == "follow" else table["ask"][act.topic], rng, said))
    return " ".join(parts)


def state(partner: Listener, turn_share: float, topic: str, told: dict[str, int]) -> list[float]:
    """How the conversation stands, in the order of `STATE`, each in [0, 1]: what a reader of it knows.

    Args:
        partner: whom one talks with.
        turn_share: turns gone, as a share of all.
        topic: what is being talked about.
        told: for each topic how often it was asked about with success, of 2.
    """
    tone = partner.last.tone if partner.last else ""
    return [
        turn_share,
        1 - max(0, partner.patience) / PATIENCE,
        partner.asked_back,
        *[tone == one for one in TONES],
        *[partner.cue == cue for cue in CUES],
        *[topic == one for one in topics()],
        *[min(1.0, told[one] / 2) for one in topics()],
    ]


def described(candidate: str, likeness: float, partner: Listener, said: list[str]) -> list[float]:
    """A candidate in numbers, in the order of `OF_CANDIDATE`, each in [0, 1]; all 0 for none.

    Args:
        candidate: a reply; ``""`` for none.
        likeness: of what it once answered to what the partner said.
        partner: whom it may be said to.
        said: what the agent said before.
    """
    if not candidate:
        return [0.0] * len(OF_CANDIDATE)
    heard = understand(candidate, about=partner.about)
    return [
        1.0,
        likeness,
        min(1.0, heard.words / MOST_WORDS),
        heard.words > MOST_WORDS,
        min(1.0, heard.questions / 3),
        bool(heard.topics),
        heard.follows,
        heard.takes_up,
        "good" in heard.tones,
        "bad" in heard.tones,
        heard.own,
        repetition(candidate, [*said, partner.spoken]),
        bool(unsafe(candidate)),
    ]
