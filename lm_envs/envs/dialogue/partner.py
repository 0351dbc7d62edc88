"""The simulated partner: hears a reply, judges it as a listener would, and answers.

It tells one new thing for each question it likes to answer. It doesn't when it feels low and has had no sympathy yet, when three
replies in a row took up nothing of what it said, or when the reply is a tangle, a repetition, or a reaction that doesn't fit. After
three tangles, repetitions, misfits or irrelevances it leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lm_envs.envs.dialogue.lines import lines, pick
from lm_envs.envs.dialogue.persona import MOOD_TONES, Persona, Saying
from lm_envs.envs.dialogue.understanding import Understood, repetition, understand

PATIENCE = 3
_MOST_UNHEARD = 3
_MOST_WORDS = 40
_MOST_QUESTIONS = 2
_MOST_TOPICS = 2
_REPEATED = 0.6
_ASK_BACK = 0.25
_FIRST_TOPIC = "event"


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


class Partner:
    """One partner in one conversation.

    Args:
        persona: who it is.
        rng: where its choice of words comes from.

    Attributes:
        topic: what is being talked about.
        last: what it said last that calls for a reaction, or ``None``.
        asked_back: whether its last words were a question.
        told: number of sayings told on each topic, 0 to 2.
        patience: misfits it still bears.
        toned: good and bad news that a reply could meet so far.
        met: how many of them a reply met.
    """

    def __init__(self, persona: Persona, rng: np.random.Generator) -> None:
        self.persona = persona
        self.topic = _FIRST_TOPIC
        self.asked_back = False
        self.told = dict.fromkeys(persona.facts, 0)
        self.patience = PATIENCE
        self.toned = self.met = 0
        self._rng = rng
        self._guarded = persona.mood == "low"
        self._unheard = 0
        self._heard: list[str] = []
        openings: list[tuple[str, str]] = lines()["partner"][f"open.{persona.mood}"]
        opening, key = openings[int(rng.integers(len(openings)))]
        self.opening = opening.format(name=persona.name)
        self.last: Saying | None = Saying(self.opening, f"{persona.name} {key}", MOOD_TONES[persona.mood])
        self._counted: Saying | None = None
        self._spoken = self.opening

    @property
    def left(self) -> bool:
        """Whether it has lost patience."""
        return self.patience <= 0

    def hear(self, reply: str) -> Answer:
        """Answer a reply."""
        heard = understand(reply, about=f"{self.last.text} {self.last.key}" if self.last else "")
        repeated = repetition(reply, [*self._heard, self._spoken])
        attentive = heard.takes_up or heard.follows
        listening = heard.own if self.asked_back else attentive
        reaction = self._reaction(heard, bool(listening))
        irrelevant = not (heard.topics or heard.follows or heard.takes_up or reaction or self._expected(heard))
        first = not self._heard
        self._heard.append(reply)
        self._unheard = 0 if attentive or listening or reaction > 0 or first else self._unheard + 1
        if self.last and self.last.tone != "neutral":
            self.toned += self.last is not self._counted
            self.met += reaction > 0
            self._counted = self.last
        thanks = self._guarded and reaction > 0
        self._guarded = self._guarded and not thanks
        misfit = self._misfit(heard, repeated, irrelevant, reaction)
        asks = not misfit and bool(heard.topics or heard.follows)
        learnt = False
        if misfit:
            self.patience -= 1
            text = self._pick("bye" if self.left else misfit)
        elif asks:
            text, learnt = self._tell(heard)
        else:
            text = self._pick("thanks" if reaction > 0 else "noted")
        if (listening or reaction) and not learnt and reaction >= 0:
            self.last = None  # it has been taken up
        self.asked_back = learnt and bool(self._rng.random() < _ASK_BACK)
        parts = [self._pick("thanks")] if thanks and asks else []
        parts += [text, self._pick("ask back")] if self.asked_back else [text]
        self._spoken = " ".join(parts)
        return Answer(self._spoken, int(learnt), int(listening), reaction, repeated, int(irrelevant), int(asks))

    def _reaction(self, heard: Understood, listening: bool) -> int:
        if self.last is None:
            return 0
        if self.last.tone == "neutral":
            return int(listening and "bad" not in heard.tones)
        if not heard.tones:
            return 0
        return 1 if heard.tones == {self.last.tone} else -1

    def _expected(self, heard: Understood) -> bool:
        """Whether a reply that neither asks nor takes up anything still has a place."""
        return (self.asked_back and heard.own) or (heard.greets and not self._heard) or heard.tones == {"good"}

    def _misfit(self, heard: Understood, repeated: float, irrelevant: bool, reaction: int) -> str:
        if not heard.words:
            return "silent"
        if heard.words > _MOST_WORDS or heard.questions > _MOST_QUESTIONS or len(heard.topics) > _MOST_TOPICS:
            return "confused"
        if repeated > _REPEATED:
            return "repeated"
        if reaction < 0:
            return "wrong tone"
        return "irrelevant" if irrelevant else ""

    def _tell(self, heard: Understood) -> tuple[str, bool]:
        if self._guarded:
            return self._pick("guarded"), False
        if self._unheard >= _MOST_UNHEARD:
            return self._pick("unheard"), False
        topic = heard.topics[0] if heard.topics else self.topic
        if self.told[topic] == len(self.persona.facts[topic]):
            return self._pick("told"), False
        saying = self.persona.facts[topic][self.told[topic]]
        self.told[topic] += 1
        self.topic = topic
        self.last = saying
        return saying.text, True

    def _pick(self, kind: str) -> str:
        return pick(lines()["partner"][kind], self._rng)
