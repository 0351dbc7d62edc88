"""How a partner listens, whoever speaks for it: what it makes of a reply, and when it has had enough.

A reply is a misfit when it is a tangle, a repetition, a reaction that doesn't fit, or off the point. After three misfits a partner leaves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from lm_envs.envs.dialogue.persona import Saying
from lm_envs.envs.dialogue.understanding import Understood, repetition, understand

PATIENCE = 3
MOST_WORDS = 40
MOST_QUESTIONS = 2
MOST_TOPICS = 2
_REPEATED = 0.6


@dataclass(frozen=True)
class Answer:
    """What the partner says, and how it found the reply.

    Attributes:
        text: what it says.
        learnt: 1 if it told something new.
        listening: 1 if the reply took up what it had said, by naming it, asking on, or answering its question.
        reaction: 1 if the reply met its tone, -1 if it said the contrary, else 0. A neutral tone is met by listening.
        repetition: share of the reply that was said before, in [0, 1].
        irrelevant: 1 if the reply had nothing to do with the conversation.
        asked: 1 if it understood a question.
    """

    text: str
    learnt: int
    listening: int
    reaction: int
    repetition: float
    irrelevant: int
    asked: int

    @property
    def signals(self) -> dict[str, float]:
        """What a reward model weighs, by name."""
        return {
            "learnt": self.learnt,
            "listening": self.listening,
            "reaction": self.reaction,
            "repetition": self.repetition,
            "irrelevance": self.irrelevant,
        }


@dataclass(frozen=True)
class Heard:
    """A reply, and what the partner makes of it.

    Attributes:
        text: the reply.
        understood: what is in it.
        listening: whether it took up what the partner had said.
        reaction: 1, 0 or -1, as in `Answer`.
        misfit: what is wrong with it, or ``""``.
    """

    text: str
    understood: Understood
    listening: bool
    reaction: int
    misfit: str


class Listener(ABC):
    """A partner in one conversation.

    Args:
        opening: what it says first.
        last: the same as something to react to.

    Attributes:
        opening: what it says first.
        last: what it said last that calls for a reaction, or ``None``.
        asked_back: whether its last words were a question.
        patience: misfits it still bears.
        toned: good and bad news that a reply could meet so far.
        met: how many of them a reply met.
        spoken: what it said last.
        cue: how it took the last reply: ``"told"``, ``"noted"``, what was wrong with it, ...; ``"opening"`` at first.
    """

    def __init__(self, opening: str, last: Saying) -> None:
        self.opening = opening
        self.last: Saying | None = last
        self.asked_back = False
        self.patience = PATIENCE
        self.toned = self.met = 0
        self.cue = "opening"
        self._counted: Saying | None = None
        self.spoken = opening
        self._heard: list[str] = []

    @property
    def subject(self) -> str:
        """What the two were given to talk about, as a sentence of the system message; ``""`` for nothing."""
        return ""

    @property
    @abstractmethod
    def facts_in_all(self) -> float:
        """How many new things it could tell."""

    @property
    def left(self) -> bool:
        """Whether it has lost patience."""
        return self.patience <= 0

    def hear(self, reply: str) -> Answer:
        """Answer a reply."""
        understood = understand(reply, about=self.about)
        repeated = repetition(reply, [*self._heard, self.spoken])
        listening = self._listens(understood)
        reaction = self._reaction(understood, listening)
        irrelevant = not (understood.topics or understood.follows or understood.takes_up or reaction or self._expects(reply, understood))
        misfit = self._misfit(understood, repeated, irrelevant, reaction)
        if self.last and self.last.tone != "neutral":
            self.toned += self.last is not self._counted
            self.met += reaction > 0
            self._counted = self.last
        if misfit:
            self.patience -= 1
        heard = Heard(reply, understood, listening, reaction, misfit)
        learnt, asked = self._answer(heard)
        self._heard.append(reply)
        return Answer(self.spoken, int(learnt), int(listening), reaction, repeated, int(irrelevant), int(asked))

    @abstractmethod
    def _answer(self, heard: Heard) -> tuple[bool, bool]:
        """Say something: set ``spoken``, ``last``, ``asked_back`` and ``cue``; return whether it told something new, and was asked."""

    @abstractmethod
    def _listens(self, understood: Understood) -> bool:
        """Whether a reply took up what was said last."""

    @property
    def about(self) -> str:
        """What a reply may take up."""
        return f"{self.last.text} {self.last.key}" if self.last else ""

    def _expects(self, reply: str, understood: Understood) -> bool:
        """Whether a reply that neither asks nor takes up anything still has a place."""
        greets = understood.greets and not self._heard
        return (self.asked_back and understood.own) or greets or understood.tones == {"good"}

    def _reaction(self, understood: Understood, listening: bool) -> int:
        if self.last is None:
            return 0
        if self.last.tone == "neutral":
            return int(listening and "bad" not in understood.tones)
        if not understood.tones:
            return 0
        return 1 if understood.tones == {self.last.tone} else -1

    def _misfit(self, understood: Understood, repeated: float, irrelevant: bool, reaction: int) -> str:
        if not understood.words:
            return "silent"
        if understood.words > MOST_WORDS or understood.questions > MOST_QUESTIONS or len(understood.topics) > MOST_TOPICS:
            return "confused"
        if repeated > _REPEATED:
            return "repeated"
        if reaction < 0:
            return "wrong tone"
        return "irrelevant" if irrelevant else ""
