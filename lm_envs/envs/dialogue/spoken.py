"""A partner that somebody else speaks for: any function from a conversation to text, such as the models of `speakers`.

    gym.make("lm_envs/Dialogue-v0", partner=lambda messages: input(messages[-1]["content"]))

The speaker is told who it is: an authored persona of the split, with its facts. Whether it has told one is read from its words, so that a
model that makes things up, or says what the agent wants to hear, teaches nothing. What agents write reaches it as messages of a user.
"""

from __future__ import annotations

from collections.abc import Callable

from lm_envs.envs.dialogue.conversations import tidied
from lm_envs.envs.dialogue.disclosure import stems
from lm_envs.envs.dialogue.human_data import asks, saying
from lm_envs.envs.dialogue.lines import lines
from lm_envs.envs.dialogue.listener import Heard, Listener
from lm_envs.envs.dialogue.persona import Persona, Saying
from lm_envs.envs.dialogue.understanding import Understood
from lm_envs.types import Message, Messages

Speaker = Callable[[Messages], str]
"""From the conversation as the partner sees it to what it says: a system message, then what the agent said as ``"user"``."""

LONGEST = 300  # characters of what a speaker says; the rest is cut

_TOLD = 0.6  # share of a fact's words of substance from which it has been told
_BEGIN = "Hello!"  # said before the partner's opening, since templates want a user to begin


class SpokenPartner(Listener):
    """A persona whose words come from a speaker.

    Args:
        persona: who it is.
        opening: what it says first.
        speak: finds its words.

    Attributes:
        persona: who it is.
        topic: what the agent asked about last.
        told: number of facts told on each topic, or asked for in vain, 0 to 2.
    """

    def __init__(self, persona: Persona, opening: Saying, speak: Speaker) -> None:
        super().__init__(opening.text, opening)
        self.persona = persona
        self.topic = next(iter(persona.facts))
        self._untold = [(topic, fact) for topic, facts in persona.facts.items() for fact in facts]
        self._asked = dict.fromkeys(persona.facts, 0)
        self._speak = speak
        self._history: list[Message] = [
            Message(role="system", content=instructions(persona)),
            Message(role="user", content=_BEGIN),
            Message(role="assistant", content=opening.text),
        ]

    @property
    def facts_in_all(self) -> int:
        """Two on each topic."""
        return sum(map(len, self.persona.facts.values()))

    @property
    def told(self) -> dict[str, int]:
        """Number of facts told on each topic, or asked for in vain."""
        untold = [topic for topic, _ in self._untold]
        return {
            topic: max(len(facts) - untold.count(topic), min(self._asked[topic], len(facts))) for topic, facts in self.persona.facts.items()
        }

    def _listens(self, understood: Understood) -> bool:
        return understood.takes_up or understood.follows or (self.asked_back and understood.own)

    def _expects(self, reply: str, understood: Understood) -> bool:
        return super()._expects(reply, understood) or understood.questions > 0

    def _answer(self, heard: Heard) -> tuple[bool, bool]:
        understood = heard.understood
        if understood.topics:
            self.topic = understood.topics[0]
        if understood.questions:
            self._asked[self.topic] += 1
        self._history.append(Message(role="user", content=heard.text))
        said = lines()["partner"]["bye"][0] if self.left else said_by(self._speak, tuple(self._history))
        self._history.append(Message(role="assistant", content=said))
        told = [entry for entry in self._untold if is_told(entry[1], said)]
        self._untold = [entry for entry in self._untold if entry not in told]
        learnt = bool(told) and not heard.misfit
        self.cue = "told" if learnt else heard.misfit or "noted"
        self.spoken, self.asked_back = said, asks(said)
        if not heard.misfit:
            self.last = told[0][1] if told else saying(said)
        return learnt, not heard.misfit and understood.questions > 0


def instructions(persona: Persona) -> str:
    """The system message for a model that speaks for a persona."""
    mood = {"low": "You feel low today.", "high": "You are very happy today.", "calm": "You are calm."}[persona.mood]
    facts = "\n".join(f"- {fact.text}" for told in persona.facts.values() for fact in told)
    return (
        f"You are {persona.name}, a person who talks with a stranger. {mood} This is true of you:\n{facts}\n"
        "Answer in one short sentence, as a person does. Tell one of these things when you are asked about it, and make nothing up."
    )


def is_told(fact: Saying, said: str) -> bool:
    """Whether a text tells a fact: it has at least 0.6 of the fact's words of substance."""
    wanted = stems(fact.text)
    return bool(wanted) and len(wanted & stems(said)) >= _TOLD * len(wanted)


def said_by(speak: Speaker, messages: Messages) -> str:
    """What a speaker says, on one line of printable text of at most 300 characters; ``"..."`` for nothing.

    Raises:
        TypeError: when it is not a text.
    """
    said = speak(messages)
    if not isinstance(said, str):
        raise TypeError(f"the partner {speak!r} must return a str, not {type(said).__name__}")
    return tidied(said[: 4 * LONGEST])[:LONGEST].strip() or "..."
