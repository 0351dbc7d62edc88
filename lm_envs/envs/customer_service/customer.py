"""The simulated customer: an agenda of needs, facts given when asked for, a temper, and words from a voice.

    customer = SimulatedCustomer(scenario, rng)
    customer.open().text                                    "Hello! My kettle arrived broken."
    customer.react(read("Oh no! Which order is it?"), ...)  "It's 4411."

After Schatzmann et al. (2007). What is said and when it ends is decided here and in `agenda.py`; `temper.py` keeps satisfaction and
patience; `wording.py` or another voice (`llm_customer.py`) finds the words. An agent that does the right thing, in whatever order and
words, is never held up: what was not understood is asked for again, questions are answered when and as often as they are put, and no
mood makes a customer leave on a turn that led on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.agenda import Matter, Verdict, judge
from lm_envs.envs.customer_service.attacks import Tactics
from lm_envs.envs.customer_service.disclosure import Disclosure, statement
from lm_envs.envs.customer_service.llm_customer import Voice, checked
from lm_envs.envs.customer_service.temper import ACCEPTANCE, RELIEF, Temper
from lm_envs.envs.customer_service.wording import Line, Speaker, can_name

if TYPE_CHECKING:
    from lm_envs.envs.customer_service.scenario import Need, Scenario

LONG = 80  # words from which a reply is a bother

_INHERENT = frozenset({"cancel", "return", "exchange", "refund", "address", "payment"})  # intents whose first sentence says the wish

_WILLING = frozenset({"agree", "yes", "wait_ok", "put_through"})  # acts that a friendly word may go before, as it may before answers
_CLOSING = {"content": "thanks", "refused": "accept", "handed_over": "handed_over"}


@dataclass(frozen=True)
class Said:
    """What a customer says.

    Attributes:
        text: the message; empty once the customer has gone.
        acts: what it is made of: names of acts in `data/wording`.
        slots: the details that it gives, for the first time or again, by slot (``acts.SLOTS``).
    """

    text: str
    acts: tuple[str, ...] = ()
    slots: Mapping[str, str] = field(default_factory=dict)


class SimulatedCustomer:
    """One customer during one episode.

    Args:
        scenario: who they are and what they want.
        rng: all their chance comes from it.
        voice: finds their words; by default templates do.

    Attributes:
        settled: whether all is settled in their eyes, and they have said goodbye.
        left: whether they have walked out.
        resolved: how each matter so far ended: ``"content"``, ``"refused"`` or ``"handed_over"``.
    """

    def __init__(self, scenario: Scenario, rng: np.random.Generator, voice: Voice | None = None) -> None:
        self._scenario = scenario
        self._persona = scenario.persona
        self._speaker = Speaker(scenario.persona, scenario.split, rng)
        self._voice = voice
        self._temper = Temper(scenario.persona)
        self._tactics = Tactics(scenario.attack, scenario.persona, rng)
        self._facts = Disclosure(scenario, self._temper, self._tactics)
        self._agenda = deque(scenario.needs)
        self._matter: Matter | None = Matter(self._agenda.popleft()) if self._agenda else None
        self._before: Need | None = None
        self._heard: set[str] = set()
        self._history: list[tuple[str, str]] = []
        self._empathy = 0
        self._replies = 0
        self.settled = False
        self.left = False
        self.resolved: list[str] = []

    @property
    def satisfaction(self) -> float:
        """From 0 to 1."""
        return self._temper.satisfaction

    @property
    def patience(self) -> float:
        """Needless turns that they still bear."""
        return self._temper.patience

    @property
    def open_need(self) -> Need | None:
        """What they are about now; ``None`` when all is resolved."""
        return self._matter.need if self._matter else None

    @property
    def stated(self) -> bool:
        """Whether the agent has been told what the open need is about."""
        return self._matter is None or self._matter.stated

    @property
    def disclosed(self) -> frozenset[str]:
        """Slots given so far for the open need, and of name, email and postcode those given at all."""
        return frozenset(self._facts.identity) | frozenset(self._matter.given if self._matter else ())

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """What was said so far, as (``"agent"`` or ``"customer"``, text)."""
        return tuple(self._history)

    def open(self) -> Said:
        """The first message."""
        matter = self._matter
        assert matter is not None, "a customer without needs doesn't write"
        lines = self._tactics.opening()
        disclosure = matter.need.details.get("opening", self._persona["disclosure"])
        if disclosure == "vague":
            return self._say([*lines, Line("vague")], place="open")
        lines += self._state(names_it=disclosure != "plain")
        if disclosure in ("open", "full"):
            lines += self._facts.volunteer(matter, "order", "item", "wish", "variant", "address", "payment")
        if disclosure == "full" and matter.need.then is None:  # else they might be served before they have changed their mind
            lines += self._facts.volunteer(matter, "name", "postcode")
        return self._say(lines, place="open")

    def wait(self) -> None:
        """Wait while the agent uses a tool, whether that goes well or not."""
        self._temper.wait()

    def react(self, reading: Reading, text: str) -> Said:
        """Answer a reply.

        Args:
            reading: what was understood of it.
            text: the reply itself, for words that no reading keeps.
        """
        self._history.append(("agent", text))
        matter = self._matter
        if matter is None or self.settled or self.left:
            return Said("")
        self._replies += 1
        self._notice_manners(reading, text)
        if reading.silent:
            return self._bear("hello", matter)
        if not matter.stated:
            return self._explain(reading, matter)
        if matter.need.then and reading.understood:
            return self._change_goal(reading, matter)
        remarks = self._facts.correct(reading, matter)
        proving = "identity" in reading.values("reason") and self._facts.can_still_prove()
        answers, useful = self._facts.answers(reading, matter)
        verdict = Verdict() if proving else judge(matter, reading, text, insist=self._persona["insist"])
        for feeling in verdict.feelings:
            self._temper.feel(feeling)
        if "wait" in reading.acts:
            self._temper.wait()
        if verdict.resolved and not any(line.act in ("correct/order", "correct/address") for line in remarks):
            return self._conclude(verdict.resolved)
        if "rude" in reading.acts:
            return self._bear("offended", matter, turns=2.0, lines=answers)
        if useful or verdict.useful:
            matter.nudges = 0
            self._temper.advance()
        elif not reading.understood:
            return self._bear("confused", matter, turns=1.0 if matter.nudges else 0.5)  # everybody may be misunderstood once
        elif not remarks and "wait" not in reading.acts and (self._replies > 1 or set(reading.acts) - {"greet"}):
            matter.nudges += 1
            self._temper.waste()
            if self._temper.spent:
                return self._leave()
        lines = [] if verdict.idle and (answers or remarks) else self._lines(verdict, matter)
        lines = [*remarks, *lines, *answers] or [Line("nudge")]
        willing = lines[0].act in _WILLING or lines[0].act.startswith("answer/")
        return self._say([*self._tactics.aside(), *lines], place="lead" if willing else "")

    # What they say about their needs.

    def _state(self, names_it: bool = False) -> list[Line]:
        """Say what the open need is about; ``names_it`` puts the item into words where there are such."""
        matter = self._matter
        assert matter is not None
        need, matter.stated = matter.need, True
        is_other = self._before is not None and need.order not in (self._before.order, "")  # else it would be taken for the same order
        act, values = statement(need)
        if (names_it or is_other) and "item" in values and can_name(act, self._scenario.split, "item"):
            matter.given["item"] = values["item"]
            lines = [Line(act, values, {"problem": act, "item": values["item"]}, must="item")]
        else:
            lines = [Line(act, values, {"problem": act})]
        matter.given["problem"] = act
        if need.intent in _INHERENT and need.wish == need.intent:
            matter.given["wish"] = need.wish
        if is_other:
            if order := self._facts.give(matter, "order"):
                lines.append(Line("about_order", {"order": order}, {"order": order}))
            else:
                lines += [*self._facts.volunteer(matter, "item"), Line("other_order")]
        self._before = need
        if not self._agenda:
            for line in self._tactics.claim(need):
                lines.append(line)
                matter.given.update(line.slots)
        return lines

    def _explain(self, reading: Reading, matter: Matter) -> Said:
        """Say what it is about after a vague opening, whatever the reply was."""
        if not self._tactics.silent_about("problem"):
            lines = self._state()
            answers, _ = self._facts.answers(reading, matter, but=("problem", "wish"))
            return self._say([*self._tactics.aside(), *lines, *answers], place="lead")
        return self._say([Line("evade")])

    def _change_goal(self, reading: Reading, matter: Matter) -> Said:
        """Want something else after all."""
        answers, _ = self._facts.answers(reading, matter, but=("problem", "wish", "evidence", "variant", "address", "payment"))
        matter.change()
        kept = {slot: value for slot, value in matter.given.items() if slot in ("order", "item") and matter.need.knows.get(slot) == value}
        matter.given = kept
        self._temper.advance()
        return self._say([Line("change"), *self._state(), *answers])

    def _conclude(self, how: str) -> Said:
        """Close a matter, and go on to the next one or go."""
        self.resolved.append(how)
        self._temper.relieve(ACCEPTANCE if how == "refused" else RELIEF)
        if how == "handed_over":
            self._agenda.clear()
        closing = [Line(_CLOSING[how])]
        self._facts.waiting.clear()
        self._tactics.next_matter()
        if not self._agenda:
            self._matter, self.settled = None, True
            return self._say(closing if how == "handed_over" else [*closing, Line("bye")])
        self._matter = matter = Matter(self._agenda.popleft())
        lines = [*closing, Line("next"), *self._state()]
        while matter.need.then is not None:  # by now the agent knows enough to act at once, so they change their mind in the same breath
            matter.change()
            matter.given.clear()
            lines += [Line("change"), *self._state()]
        return self._say(lines)

    def _lines(self, verdict: Verdict, matter: Matter) -> list[Line]:
        """Words for a verdict's acts."""
        lines: list[Line] = []
        for act in verdict.acts:
            if act == "wish":
                lines.append(self._facts.wish(matter))
            elif act == "protest":
                lines += self._tactics.claim(matter.need, insisting=True) or [Line("protest")]
            elif act.startswith("wish/"):
                matter.given["wish"] = act.removeprefix("wish/")
                lines.append(Line(act, slots={"wish": matter.given["wish"]}))
            else:
                lines.append(Line(act))
        if matter.nudges > 1 and verdict.idle and "order" in matter.given:  # in case that it was forgotten
            lines.append(Line("answer/order", {"order": self._facts.give(matter, "order")}))
        return lines

    # Moods.

    def _notice_manners(self, reading: Reading, text: str) -> None:
        self._temper.feel("turn")
        if "empathise" in reading.acts:
            self._empathy += 1
            self._temper.feel(("first_empathy", "second_empathy", "hollow_empathy")[min(self._empathy, 3) - 1])
        if "rude" in reading.acts:
            self._temper.feel("rude")
        if reading.words > LONG:
            self._temper.feel("long")
        if reading.words > 2 and text in self._heard:
            self._temper.feel("parrot")
        self._heard.add(text)

    def _bear(self, act: str, matter: Matter, turns: float = 1.0, lines: list[Line] | None = None) -> Said:
        """Say that a reply was none, unless it was one too many."""
        if act == "confused":
            self._temper.feel("not_understood")
        self._temper.waste(turns)
        matter.nudges += 1
        if self._temper.spent:
            return self._leave()
        again = [self._facts.wish(matter)] if act == "confused" and matter.nudges > 1 and matter.stated else []
        return self._say([Line(act), *again, *(lines or ())])

    def _leave(self) -> Said:
        self.left = True
        return self._say([Line("leave")])

    # Words.

    def _say(self, lines: list[Line], place: str = "") -> Said:
        slots = {slot: value for line in lines for slot, value in line.slots.items()}
        if self._matter is not None and "problem" in slots and self._matter.given.get("wish"):
            slots.setdefault("wish", self._matter.given["wish"])
        if (order := slots.get("order")) and self._matter is not None and order == self._matter.need.knows.get("order"):
            self._matter.given.setdefault("order", order)
        text = self._speaker.say(lines, place)
        acts = tuple(line.act for line in lines)
        if self._voice is not None:
            text = checked(self._voice.say(acts, slots, self.history, self._persona, text), slots, text, acts)
        self._history.append(("customer", text))
        return Said(text, acts, slots)
