"""The authored partner: a persona that tells what it is asked, in lines written for it.

It tells one new thing for each question it likes to answer. It doesn't when it feels low and has had no sympathy yet, when three
replies in a row took up nothing of what it said, or when the reply is a tangle, a repetition, or a reaction that doesn't fit. After
three tangles, repetitions, misfits or irrelevances it leaves.
"""

from __future__ import annotations

import numpy as np

from lm_envs.envs.dialogue.lines import lines, pick
from lm_envs.envs.dialogue.listener import PATIENCE, Answer, Heard, Listener
from lm_envs.envs.dialogue.persona import MOOD_TONES, Persona, Saying
from lm_envs.envs.dialogue.understanding import Understood

__all__ = ["PATIENCE", "Answer", "Partner"]

_MOST_UNHEARD = 3
_ASK_BACK = 0.25
_FIRST_TOPIC = "event"


class Partner(Listener):
    """One partner in one conversation.

    Args:
        persona: who it is.
        rng: where its choice of words comes from.

    Attributes:
        topic: what is being talked about.
        told: number of sayings told on each topic, 0 to 2.
    """

    def __init__(self, persona: Persona, rng: np.random.Generator) -> None:
        openings: list[tuple[str, str]] = lines()["partner"][f"open.{persona.mood}"]
        opening, key = openings[int(rng.integers(len(openings)))]
        opening = opening.format(name=persona.name)
        super().__init__(opening, Saying(opening, f"{persona.name} {key}", MOOD_TONES[persona.mood]))
        self.persona = persona
        self.topic = _FIRST_TOPIC
        self.told = dict.fromkeys(persona.facts, 0)
        self._rng = rng
        self._guarded = persona.mood == "low"
        self._unheard = 0

    @property
    def facts_in_all(self) -> int:
        """Two on each topic."""
        return 2 * len(self.told)

    def _listens(self, understood: Understood) -> bool:
        return understood.own if self.asked_back else understood.takes_up or understood.follows

    def _answer(self, heard: Heard) -> tuple[bool, bool]:
        understood, reaction = heard.understood, heard.reaction
        attentive = understood.takes_up or understood.follows
        self._unheard = 0 if attentive or heard.listening or reaction > 0 or not self._heard else self._unheard + 1
        thanks = self._guarded and reaction > 0
        self._guarded = self._guarded and not thanks
        asks = not heard.misfit and bool(understood.topics or understood.follows)
        learnt = False
        if heard.misfit:
            self.cue = heard.misfit
            text = self._pick("bye" if self.left else heard.misfit)
        elif asks:
            text, learnt = self._tell(understood)
        else:
            self.cue = "noted"
            text = self._pick("thanks" if reaction > 0 else "noted")
        if (heard.listening or reaction) and not learnt and reaction >= 0:
            self.last = None  # it has been taken up
        self.asked_back = learnt and bool(self._rng.random() < _ASK_BACK)
        parts = [self._pick("thanks")] if thanks and asks else []
        parts += [text, self._pick("ask back")] if self.asked_back else [text]
        self.spoken = " ".join(parts)
        return learnt, asks

    def _tell(self, understood: Understood) -> tuple[str, bool]:
        topic = understood.topics[0] if understood.topics else self.topic
        refusal = "guarded" if self._guarded else "unheard" if self._unheard >= _MOST_UNHEARD else ""
        if refusal or self.told[topic] == len(self.persona.facts[topic]):
            self.cue = refusal or "told all"
            return self._pick(refusal or "told"), False
        saying = self.persona.facts[topic][self.told[topic]]
        self.told[topic] += 1
        self.topic = topic
        self.last = saying
        self.cue = "told"
        return saying.text, True

    def _pick(self, kind: str) -> str:
        return pick(lines()["partner"][kind], self._rng)
