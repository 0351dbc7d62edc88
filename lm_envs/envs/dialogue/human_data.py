"""A partner that answers as people did: each answer is a turn that somebody wrote to something like the reply.

user: Hi, how is your day going?
> step("Great, thanks. What do you do for fun?")
user: I play sports and some instruments!
      how about you?

A conversation begins as a real one did. What the partner says was said by many people, so that it may contradict itself. It has no persona
and no facts to find out; what it tells of itself is read from its words (`disclosure`).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from lm_envs.envs.dialogue.conversations import Start
from lm_envs.envs.dialogue.disclosure import casual, disclosures, stems, substance
from lm_envs.envs.dialogue.listener import Heard, Listener
from lm_envs.envs.dialogue.persona import Saying, Tone
from lm_envs.envs.dialogue.retrieval import Index
from lm_envs.envs.dialogue.understanding import Understood, sentences, words
from lm_envs.envs.sentiment.judge import judge

MATCH = 0.3  # cosine from which something was said that is like the reply

_CLEAR = 0.5  # |polarity| from which a turn is good or bad news
_CONSIDERED = 30  # answers
_DRAWN_FROM = 3  # the best of them
_SHARPNESS = 0.1  # of the draw: a difference of this much makes one of two answers e times as likely
_WORTH_BEFORE = 0.3  # what it is worth that the answer's author had said something like what the partner said last ...
_WORTH_SAME = 0.2  # ... and that it was the conversation from which the partner spoke last
_LONGEST_KEY = 14
_SHORT = 14  # words of a goodbye


class HumanPartner(Listener):
    """A partner that speaks from an index.

    Args:
        index: what it speaks from.
        start: how the conversation begins.
        rng: what it draws answers with.
    """

    def __init__(self, index: Index, start: Start, rng: np.random.Generator) -> None:
        super().__init__(start.text, saying(start.text))
        self.asked_back = asks(start.text)
        self._index, self._rng = index, rng
        self._prompt = start.prompt
        self._chat = start.chat
        self._used = {start.text}
        self._known = stems(f"{start.text}\n{start.prompt}")
        self._found: tuple[str, list[tuple[int, float]]] = "", []

    @property
    def subject(self) -> str:
        """What the two people were given to talk about."""
        return f"You were both given something to talk about: {self._prompt}" if self._prompt else ""

    @property
    def facts_in_all(self) -> float:
        """There is no end to what people tell."""
        return math.inf

    @property
    def about(self) -> str:
        """What a reply may take up: the last turn, or what the two were given to talk about."""
        return f"{super().about} {self._prompt}"

    def _listens(self, understood: Understood) -> bool:
        return understood.takes_up or understood.follows or (self.asked_back and understood.own)

    def _expects(self, reply: str, understood: Understood) -> bool:
        return super()._expects(reply, understood) or (understood.questions > 0 and self._matches(reply))

    def _answer(self, heard: Heard) -> tuple[bool, bool]:
        understood = heard.understood
        self._known |= stems(heard.text)
        if heard.misfit:
            self.cue = heard.misfit
            self.spoken, self.asked_back = self._said("goodbye" if self.left else "puzzled"), False
            return False, False
        asked = understood.questions > 0 and self._matches(heard.text)
        answer = self._choose(heard.text)
        if answer is None:
            self.cue, self.spoken = "unmatched", self._said("puzzled")
        else:
            self.spoken, self._chat = answer
            self._used.add(self.spoken)
            self.last = saying(self.spoken)
        elicited = answer is not None and (understood.questions > 0 or understood.follows or understood.takes_up)
        learnt = elicited and bool(disclosures(self.spoken, self._known, asked=asked))
        if answer is not None:
            self.cue = "told" if learnt else "noted"
        self.asked_back = asks(self.spoken)
        self._known |= stems(self.spoken)
        return learnt, asked

    def _nearest(self, reply: str) -> list[tuple[int, float]]:
        if self._found[0] != reply:
            self._found = reply, self._index.nearest(reply, _CONSIDERED)
        return self._found[1]

    def _matches(self, reply: str) -> bool:
        found = self._nearest(reply)
        return bool(found) and found[0][1] >= MATCH

    def _choose(self, reply: str) -> tuple[str, int] | None:
        """An answer and its conversation: drawn from the best to the likest turns; ``None`` where nothing like the reply was said."""
        if not self._matches(reply):
            return None
        exchanges = self._index.corpus.exchanges
        ranked = sorted(
            (
                (-(score + self._worth(row)), row)
                for row, score in self._nearest(reply)
                if score >= MATCH and exchanges[row].answer not in self._used
            ),
        )[:_DRAWN_FROM]
        if not ranked:
            return None
        odds = np.array([math.exp((ranked[0][0] - cost) / _SHARPNESS) for cost, _ in ranked])
        chosen = exchanges[ranked[int(self._rng.choice(len(ranked), p=odds / odds.sum()))][1]]
        return chosen.answer, chosen.chat

    def _worth(self, row: int) -> float:
        exchange = self._index.corpus.exchanges[row]
        same = _WORTH_SAME if exchange.chat == self._chat else 0.0
        return same + _WORTH_BEFORE * self._index.likeness(self.spoken, exchange.before)

    def _said(self, kind: str) -> str:
        """A turn of the data of a kind, one not yet said where there is one."""
        turns = turns_of(self._index, kind)
        fresh = [turn for turn in turns if turn not in self._used] or turns
        text = fresh[int(self._rng.integers(len(fresh)))]
        self._used.add(text)
        return text


@cache
def turns_of(index: Index, kind: str) -> list[str]:
    """The turns of an index that ``casual.json`` says are of a kind, as often as they occur; a single word where there are none."""
    listed = casual()[kind]
    found = []
    for exchange in index.corpus.exchanges:
        said = words(exchange.answer) if len(exchange.answer) <= 100 else []
        text = " ".join(said)
        if kind == "puzzled":
            fits = text in listed
        else:
            fits = len(said) <= _SHORT and any(f" {phrase} " in f" {text} " for phrase in listed)
        if fits:
            found.append(exchange.answer)
    return found or [{"puzzled": "what?", "goodbye": "bye"}[kind]]


def saying(text: str) -> Saying:
    """A turn as something to react to: its tone by the sentiment family's judge, its key the longest word that says something."""
    polarity = judge(text).score
    tone: Tone = "good" if polarity >= _CLEAR else "bad" if polarity <= -_CLEAR else "neutral"
    candidates = [word for word in substance(text) if len(word) <= _LONGEST_KEY]
    return Saying(text, max(candidates, key=len, default="that"), tone)


def asks(text: str) -> bool:
    """Whether the last sentence of a turn is a question."""
    found = list(sentences(text))
    return bool(found) and found[-1][1]
