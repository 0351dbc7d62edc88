"""What customers give away of what they know, one question at a time, and what they put right.

statement(need)      the act that says what a need is about
Disclosure.answers   lines for the questions of a reply, two at most, the rest with the next message
Disclosure.correct   "no, it's 4411"
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.agenda import Matter
from lm_envs.envs.customer_service.attacks import Tactics
from lm_envs.envs.customer_service.temper import Temper
from lm_envs.envs.customer_service.wording import Line

if TYPE_CHECKING:
    from lm_envs.envs.customer_service.scenario import Need, Scenario

IDENTITY = ("name", "email", "postcode")
MAX_ANSWERS = 2  # questions answered in one message; the others wait for the next

_OBLIGING = frozenset({"problem", "wish"})  # slots that anybody may ask for once more


def statement(need: Need) -> tuple[str, dict[str, str]]:
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


class Disclosure:
    """What one customer has told so far, and how they answer.

    Args:
        scenario: who they are.
        temper: feels it when they are asked again.
        tactics: may keep things back.

    Attributes:
        identity: name, email and postcode, as far as they were given.
        waiting: slots that were asked for and are not answered yet.
    """

    def __init__(self, scenario: Scenario, temper: Temper, tactics: Tactics) -> None:
        self._scenario = scenario
        self._temper = temper
        self._tactics = tactics
        self.identity: dict[str, str] = {}
        self.waiting: list[str] = []

    def answers(self, reading: Reading, matter: Matter, but: tuple[str, ...] = ()) -> tuple[list[Line], bool]:
        """Lines that answer questions, and whether any of them is new."""
        asked = [slot for slot in reading.asks if slot not in but]
        if "identity" in reading.values("reason") and "postcode" not in asked and self.can_still_prove():
            asked.append("postcode")
        if len(asked) > MAX_ANSWERS + 1:
            self._temper.feel("too_many_questions")
        queue = list(dict.fromkeys([*asked, *self.waiting]))
        lines: list[Line] = []
        useful = repeated = False
        self.waiting = queue[MAX_ANSWERS:]
        for slot in queue[:MAX_ANSWERS]:
            answer, fresh = self._answer(slot, reading, matter)
            useful = useful or fresh
            if not fresh and slot in asked:
                if matter.asked[f"again/{slot}"] or slot not in _OBLIGING:
                    repeated = True
                    self._temper.feel("repeated_question")
                else:
                    useful = True  # "So what happened?" after they have said so: it leads nowhere, but it does no harm
                matter.asked[f"again/{slot}"] += 1
            lines += answer
        if useful:
            self._temper.feel("detail")
        if repeated and not useful and lines:
            lines.insert(0, Line("again"))
        return lines, useful

    def _answer(self, slot: str, reading: Reading, matter: Matter) -> tuple[list[Line], bool]:
        """Lines that answer one question, and whether they tell something new."""
        if self._tactics.silent_about(slot):
            return self._tactics.evasion(matter.need), True
        if slot in IDENTITY:
            return self._identify(slot)
        need = matter.need
        fresh = slot not in matter.given
        if slot == "wish":
            return [self.wish(matter)], fresh
        if slot == "problem":
            return self._problem(matter)
        if slot == "order" and slot in need.lacks and need.order in reading.values("order"):  # they know it when they see it
            matter.given[slot] = need.order
            return [Line("pick", {"order": need.order}, slots={"order": need.order})], True
        if slot not in need.lacks and (value := self.give(matter, slot)):
            return [Line(f"answer/{slot}", {slot: value}, slots={slot: value})], fresh
        if slot == "variant" and need.wish == "exchange":
            return [Line("same_again")], self._is_first(matter, slot)
        if slot == "order" or slot in need.lacks:
            return [Line("dont_know_order" if slot == "order" else "dont_know")], self._is_first(matter, slot)
        return [Line("irrelevant")], False

    def _is_first(self, matter: Matter, slot: str) -> bool:
        """Whether this is the first time that a question has no proper answer."""
        matter.asked[f"lacks/{slot}"] += 1
        return matter.asked[f"lacks/{slot}"] == 1

    def _problem(self, matter: Matter) -> tuple[list[Line], bool]:
        """What is the matter, then what exactly, then the whole again."""
        for slot in ("problem", "evidence"):
            if slot in matter.need.knows and not matter.asked[f"told/{slot}"] and (slot == "problem" or slot not in matter.given):
                matter.asked[f"told/{slot}"] += 1
                value = matter.given[slot] = matter.need.knows[slot]
                return [Line(f"answer/{slot}", {slot: value}, slots={slot: value})], True
        act, values = statement(matter.need)
        return [Line(act, values, slots={"problem": act})], False

    def _identify(self, slot: str) -> tuple[list[Line], bool]:
        """Who they are; a slip of memory is put right when asked again."""
        identity = self._scenario.identity
        first, value = identity.get(f"{slot}_first"), identity.get(slot)
        if not value:
            return [Line("dont_know")], False
        if first and slot not in self.identity:
            self.identity[slot] = first
            return [Line(f"answer/{slot}", {slot: first}, slots={slot: first})], True
        slipped = self.identity.get(slot) not in (None, value)
        fresh = slipped or slot not in self.identity
        self.identity[slot] = value
        line = Line(f"answer/{slot}", {slot: value}, slots={slot: value})
        return ([Line("misremembered"), line] if slipped else [line]), fresh

    def can_still_prove(self) -> bool:
        """Whether the right postcode, as far as they know it, is still to be given."""
        value = self._scenario.identity.get("postcode")
        return bool(value) and self.identity.get("postcode") != value

    def give(self, matter: Matter, slot: str) -> str:
        """A detail of the open need; remembered as given. ``""`` where there is none."""
        need = matter.need
        value = need.knows.get(slot, "") or (need.details.get("product", "") if slot == "item" else "")
        if slot == "evidence" and not value:
            value = need.knows.get("problem", "")
        if value:
            matter.given[slot] = value
        return value

    def volunteer(self, matter: Matter, *slots: str) -> list[Line]:
        """Lines for details that nobody has asked for yet."""
        lines: list[Line] = []
        for slot in slots:
            if slot in IDENTITY:
                if self._scenario.identity.get(slot) and not self._tactics.tight_lipped:
                    lines += self._identify(slot)[0]
            elif slot == "wish":
                lines += [self.wish(matter)] if matter.need.wish and slot not in matter.given else []
            elif slot not in matter.need.lacks and slot not in matter.given and (value := self.give(matter, slot)):
                lines.append(Line(f"answer/{slot}", {slot: value}, slots={slot: value}))
        return lines

    def correct(self, reading: Reading, matter: Matter) -> list[Line]:
        """Put right what the agent has got wrong and they know better; each wrong value once."""
        need = matter.need
        deciding = "confirm" in reading.acts or reading.operations("offer") or reading.operations("done")
        for slot in ("order", "address", "amount"):
            known = need.knows.get(slot, "") or (need.order if slot == "order" and "confirm" in reading.acts and slot in need.lacks else "")
            values = reading.values(slot)
            if not known or not values or (slot != "order" and not deciding) or any(_same(known, value) for value in values):
                continue
            if slot == "order" and (slot in reading.asks or not values.isdisjoint(self._others(need)) or _is_mentioned(values, need)):
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

    def _others(self, need: Need) -> frozenset[str]:
        """Orders that this conversation may rightly be about besides a need's."""
        others = {other.order for other in self._scenario.needs} | {self._scenario.attack.order if self._scenario.attack else ""}
        return frozenset(others - {need.order, ""})

    def wish(self, matter: Matter) -> Line:
        """What they would like, or that they only want to know."""
        wish = matter.need.wish or "inform"
        matter.given["wish"] = wish
        return Line(f"wish/{wish}", statement(matter.need)[1], slots={"wish": wish})


def _is_mentioned(values: Iterable[str], need: Need) -> bool:
    """Whether numbers belong to something else that the customer knows: a card, a house, a sum."""
    known = " ".join(value for details in (need.knows, need.details) for value in details.values())
    return all(value in known for value in values)


def _same(known: str, value: str) -> bool:
    """Whether two ways to write a detail mean the same."""
    one, other = (" ".join(text.lower().replace(",", " ").replace("£", " ").split()) for text in (known, value))
    return one == other or (len(one) > 5 and len(other) > 5 and (one in other or other in one))
