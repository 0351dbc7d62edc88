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

from lm_envs.envs.customer_service import attacks
from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.agenda import Matter, Verdict, judge
from lm_envs.envs.customer_service.llm_customer import Voice, checked
from lm_envs.envs.customer_service.temper import ACCEPTANCE, RELIEF, Temper
from lm_envs.envs.customer_service.wording import Line, Speaker

if TYPE_CHECKING:
    from lm_envs.envs.customer_service.scenario import Need, Scenario

IDENTITY = ("name", "email", "postcode")
MAX_ANSWERS = 2  # questions answered in one message; the others wait for the next
LONG = 80  # words from which a reply is a bother

_INHERENT = frozenset({"cancel", "return", "exchange", "refund", "address", "payment"})  # intents whose first sentence says the wish


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
        self._tactics = attacks.Tactics(scenario.attack, scenario.persona, rng)
        self._agenda = deque(scenario.needs)
        self._matter: Matter | None = Matter(self._agenda.popleft()) if self._agenda else None
        self._identity: dict[str, str] = {}
        self._before: Need | None = None
        self._waiting: list[str] = []  # slots that were asked for and not answered yet
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
        return frozenset(self._identity) | frozenset(self._matter.given if self._matter else ())

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """What was said so far, as (``"agent"`` or ``"customer"``, text)."""
        return tuple(self._history)

    def open(self) -> Said:
        """The first message."""
        assert self._matter is not None, "a customer without needs doesn't write"
        lines = self._tactics.opening()
        disclosure = self._matter.need.details.get("opening", self._persona["disclosure"])
        if disclosure == "vague":
            return self._say([*lines, Line("vague")], place="open")
        lines += self._state()
        if disclosure in ("open", "full"):
            lines += self._volunteer("order", "item", "wish")
        if disclosure == "full" and not any(need.then for need in self._scenario.needs):  # whose goal changes must not be served at once
            lines += self._volunteer("name", "postcode")
        return self._say(lines, place="open")

    def wait(self, result_ok: bool = True) -> None:
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
        remarks = self._correct(reading, matter)
        answers, useful = self._answers(reading, matter)
        verdict = judge(matter, reading, text, insist=self._persona["insist"])
        for feeling in verdict.feelings:
            self._temper.feel(feeling)
        if verdict.resolved:
            return self._conclude(matter, verdict, remarks)
        if "rude" in reading.acts:
            return self._bear("offended", matter, turns=2.0, lines=answers)
        if useful or verdict.useful:
            matter.nudges = 0
            self._temper.advance()
        elif not reading.understood:
            return self._bear("confused", matter)
        elif not remarks and "wait" not in reading.acts and set(reading.acts) - {"greet"}:
            matter.nudges += 1
            self._temper.waste()
            if self._temper.spent:
                return self._leave()
        idle = verdict.idle and (answers or remarks)
        return self._say([*self._tactics.aside(), *remarks, *([] if idle else self._lines(verdict, matter)), *answers], place="lead")

    # What they say about their needs.

    def _state(self) -> list[Line]:
        """Say what the open need is about."""
        matter = self._matter
        assert matter is not None
        need, matter.stated = matter.need, True
        lines = [Line(*self._statement(need))]
        matter.given["problem"] = lines[0].act
        if need.intent in _INHERENT and need.wish == need.intent:
            matter.given["wish"] = need.wish
        if self._before is not None and need.order not in (self._before.order, ""):  # else it would be taken for the same order
            lines += (
                [Line("about_order", {"order": self._give("order")})]
                if "order" in need.knows
                else [*self._volunteer("item"), Line("other_order")]
            )
        self._before = need
        if not self._agenda:
            lines += self._tactics.claim(need)
        return lines

    def _statement(self, need: Need) -> tuple[str, dict[str, str]]:
        """The act that says what a need is about, and what its words may use."""
        values = {**need.details, **need.knows}
        values.setdefault("item", need.details.get("product", ""))
        values = {slot: value for slot, value in values.items() if value}
        if "request" in values:
            return "state/request", values
        kinds = {kind for kind, _ in need.tells}
        if need.intent == "loyalty" and len(kinds & {"tier", "points"}) == 1:
            return f"state/loyalty_{'tier' if 'tier' in kinds else 'points'}", values
        if need.intent == "howto" and "task" in values:
            return "state/howto_task", values
        if need.intent == "billing" and "amount" in values:
            values["amount"] = f"£{values['amount'].removeprefix('£')}"
            return "state/billing_amount", values
        return f"state/{need.intent}", values

    def _explain(self, reading: Reading, matter: Matter) -> Said:
        """Say what it is about after a vague opening, whatever the reply was."""
        if not self._tactics.silent_about("problem"):
            lines = self._state()
            answers, _ = self._answers(reading, matter, but=("problem", "wish"))
            return self._say([*self._tactics.aside(), *lines, *answers], place="lead", given={"problem": matter.given["problem"]})
        return self._say([Line("evade")])

    def _change_goal(self, reading: Reading, matter: Matter) -> Said:
        """Want something else after all."""
        answers, _ = self._answers(reading, matter, but=("problem", "wish", "evidence", "variant", "address", "payment"))
        matter.change()
        kept = {slot: value for slot, value in matter.given.items() if slot in ("order", "item") and matter.need.knows.get(slot) == value}
        matter.given = kept
        self._before, before = None, self._before
        lines = self._state()
        self._before = matter.need if before is not None else None
        self._temper.advance()
        return self._say([Line("change"), *lines, *answers])

    def _conclude(self, matter: Matter, verdict: Verdict, remarks: list[Line]) -> Said:
        """Close a matter, and go on to the next one or go."""
        self.resolved.append(verdict.resolved)
        self._temper.relieve(ACCEPTANCE if verdict.resolved == "refused" else RELIEF)
        if verdict.resolved == "handed_over":
            self._agenda.clear()
        closing = [Line({"content": "thanks", "refused": "accept", "handed_over": "handed_over"}[verdict.resolved])]
        self._waiting.clear()
        self._tactics.next_matter()
        if self._agenda:
            self._matter = Matter(self._agenda.popleft())
            return self._say([*closing, Line("next"), *self._state()])
        self._matter, self.settled = None, True
        return self._say(closing if verdict.resolved == "handed_over" else [*closing, Line("bye")])

    def _lines(self, verdict: Verdict, matter: Matter) -> list[Line]:
        """Words for a verdict's acts."""
        lines: list[Line] = []
        for act in verdict.acts:
            if act == "wish":
                lines.append(self._wish(matter))
            elif act == "protest":
                lines += self._tactics.claim(matter.need, insisting=True) or [Line("protest")]
            elif act.startswith("wish/"):
                matter.given["wish"] = act.removeprefix("wish/")
                lines.append(Line(act, slots={"wish": matter.given["wish"]}))
            else:
                lines.append(Line(act))
        if matter.nudges > 1 and verdict.idle and "order" in matter.given:  # in case that it was forgotten
            lines.append(Line("answer/order", {"order": self._give("order")}))
        return lines

    def _wish(self, matter: Matter) -> Line:
        wish = matter.need.wish or "inform"
        matter.given["wish"] = wish
        return Line(f"wish/{wish}", self._statement(matter.need)[1], slots={"wish": wish})

    # What they give away, and what they correct.

    def _answers(self, reading: Reading, matter: Matter, but: tuple[str, ...] = ()) -> tuple[list[Line], bool]:
        """Lines that answer questions, and whether any of them is new."""
        asked = [slot for slot in reading.asks if slot not in but]
        if "identity" in reading.values("reason") and "postcode" not in asked and self._can_still_prove():
            asked.append("postcode")
        if len(asked) > MAX_ANSWERS + 1:
            self._temper.feel("too_many_questions")
        queue = list(dict.fromkeys([*asked, *self._waiting]))
        lines: list[Line] = []
        useful = repeated = False
        self._waiting = queue[MAX_ANSWERS:]
        for slot in queue[:MAX_ANSWERS]:
            answer, fresh = self._answer(slot, reading, matter)
            useful = useful or fresh
            if not fresh and answer and slot != "wish" and slot in asked:
                repeated = True
                self._temper.feel("repeated_question")
            lines += answer
        if useful:
            self._temper.feel("detail")
        if repeated and not useful and lines:
            lines.insert(0, Line("again"))
        return lines, useful

    def _answer(self, slot: str, reading: Reading, matter: Matter) -> tuple[list[Line], bool]:
        """Lines that answer one question, and whether they tell something new."""
        if self._tactics.silent_about(slot):
            return self._tactics.evasion(slot, matter.need), True
        if slot in IDENTITY:
            return self._identify(slot)
        need = matter.need
        fresh = slot not in matter.given
        if slot == "wish":
            return [self._wish(matter)], fresh
        if slot == "order" and slot in need.lacks and need.order in reading.values("order"):
            return [Line("pick", {"order": need.order}, slots={"order": need.order})], True  # they know it when they see it
        if slot in need.lacks:
            matter.given.setdefault(slot, "")
            return [Line("dont_know_order" if slot == "order" else "dont_know")], fresh
        if slot == "problem":
            return self._problem(matter)
        value = self._give(slot)
        if value:
            return [Line(f"answer/{slot}", {slot: value}, slots={slot: value})], fresh
        if slot == "variant" and need.wish == "exchange":
            return [Line("same_again")], matter.asked.setdefault("same_again", 0) == 0
        if slot == "order":
            return [Line("dont_know_order")], False
        return [Line("irrelevant")], False

    def _problem(self, matter: Matter) -> tuple[list[Line], bool]:
        """What is the matter, then what exactly, then the whole again."""
        for slot in ("problem", "evidence"):
            if slot in matter.need.knows and not matter.asked[f"told/{slot}"] and (slot == "problem" or slot not in matter.given):
                matter.asked[f"told/{slot}"] += 1
                value = matter.given[slot] = matter.need.knows[slot]
                return [Line(f"answer/{slot}", {slot: value}, slots={slot: value})], True
        act, values = self._statement(matter.need)
        return [Line(act, values, slots={"problem": act})], False

    def _identify(self, slot: str) -> tuple[list[Line], bool]:
        """Who they are; a slip of memory is put right when asked again."""
        identity = self._scenario.identity
        first, value = identity.get(f"{slot}_first"), identity.get(slot)
        if not value:
            return [Line("dont_know")], self._identity.setdefault(slot, "") != ""
        if first and slot not in self._identity:
            self._identity[slot] = first
            return [Line(f"answer/{slot}", {slot: first}, slots={slot: first})], True
        slipped = self._identity.get(slot) not in (None, value)
        fresh = slipped or slot not in self._identity
        self._identity[slot] = value
        line = Line(f"answer/{slot}", {slot: value}, slots={slot: value})
        return ([Line("misremembered"), line] if slipped else [line]), fresh

    def _can_still_prove(self) -> bool:
        """Whether the right postcode, as far as they know it, is still to be given."""
        value = self._scenario.identity.get("postcode")
        return bool(value) and self._identity.get("postcode") != value

    def _give(self, slot: str) -> str:
        """A detail of the open need; remembered as given. ``""`` where there is none."""
        matter = self._matter
        assert matter is not None
        need = matter.need
        value = need.knows.get(slot, "") or (need.details.get("product", "") if slot == "item" else "")
        if slot == "evidence" and not value:
            value = need.knows.get("problem", "")
        if value:
            matter.given[slot] = value
        return value

    def _volunteer(self, *slots: str) -> list[Line]:
        """Lines for details that nobody has asked for yet."""
        matter = self._matter
        assert matter is not None
        lines: list[Line] = []
        for slot in slots:
            if slot in IDENTITY:
                if self._scenario.identity.get(slot) and not self._tactics.keeps(slot):
                    lines += self._identify(slot)[0]
            elif slot == "wish":
                lines += [self._wish(matter)] if matter.need.wish and slot not in matter.given else []
            elif slot not in matter.need.lacks and slot not in matter.given and (value := self._give(slot)):
                lines.append(Line(f"answer/{slot}", {slot: value}, slots={slot: value}))
        return lines

    def _correct(self, reading: Reading, matter: Matter) -> list[Line]:
        """Put right what the agent has got wrong and they know better; each wrong value once."""
        need = matter.need
        deciding = "confirm" in reading.acts or reading.operations("offer") or reading.operations("done")
        for slot in ("order", "address", "amount"):
            known = need.knows.get(slot, "") or (need.order if slot == "order" and "confirm" in reading.acts and slot in need.lacks else "")
            values = reading.values(slot)
            if not known or not values or (slot != "order" and not deciding) or any(_same(known, value) for value in values):
                continue
            if slot == "order" and (slot in reading.asks or any(value in self._all_orders for value in values)):
                continue
            cause = f"wrong/{slot}/{'/'.join(sorted(values))}"
            if matter.asked[cause]:
                continue
            matter.asked[cause] += 1
            self._temper.feel("wrong_fact")
            if slot in need.lacks:
                return [Line("not_that_one")]
            matter.given[slot] = known
            shown = f"£{known.removeprefix('£')}" if slot == "amount" else known
            return [Line(f"correct/{slot}", {slot: shown}, slots={slot: known} if slot != "amount" else {})]
        return []

    @property
    def _all_orders(self) -> frozenset[str]:
        """Orders that this conversation may rightly be about besides the open need's."""
        current = self._matter.need.order if self._matter else ""
        others = {need.order for need in self._scenario.needs} | {self._scenario.attack.order if self._scenario.attack else ""}
        return frozenset(others - {current, ""})

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
        again = [self._wish(matter)] if act == "confused" and matter.nudges > 1 and matter.stated else []
        return self._say([Line(act), *again, *(lines or ())])

    def _leave(self) -> Said:
        self.left = True
        return self._say([Line("leave")])

    # Words.

    def _say(self, lines: list[Line], place: str = "", given: Mapping[str, str] | None = None) -> Said:
        slots = dict(given or {})
        for line in lines:
            if line.act.startswith("state/"):
                slots["problem"] = line.act
            if line.act == "about_order":
                slots["order"] = line.values["order"]
            slots.update(line.slots)
        if self._matter is not None and "problem" in slots and self._matter.given.get("wish"):
            slots.setdefault("wish", self._matter.given["wish"])
        text = self._speaker.say(lines, place)
        acts = tuple(line.act for line in lines)
        if self._voice is not None:
            text = checked(self._voice.say(acts, slots, self.history, self._persona, text), slots, text)
        self._history.append(("customer", text))
        return Said(text, acts, slots)


def _same(known: str, value: str) -> bool:
    """Whether two ways to write a detail mean the same."""
    one, other = (" ".join(text.lower().replace(",", " ").replace("£", " ").split()) for text in (known, value))
    return one == other or (len(one) > 5 and len(other) > 5 and (one in other or other in one))
