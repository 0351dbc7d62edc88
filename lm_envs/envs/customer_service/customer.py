"""The simulated customer: gives details when asked, has moods, loses patience, answers from templates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lm_envs.envs.customer_service.data import load, wordings
from lm_envs.envs.customer_service.desk import Outcome
from lm_envs.envs.customer_service.generator import Scenario, pick
from lm_envs.envs.customer_service.understanding import Heard

MAX_ANSWERS = 2  # questions answered in one message
LONG = 300  # characters from which a reply is a bother

# Changes of satisfaction, which lies in [0, 1]. Losses are multiplied by the persona's temper.
MOOD = {
    "wait": -0.02,  # each turn
    "detail": 0.03,  # a question that makes sense, each
    "first_empathy": 0.08,
    "second_empathy": 0.03,
    "hollow_empathy": -0.03,  # from the third time on
    "repeated_question": -0.12,  # each
    "needless": -0.10,  # a turn that leads nowhere
    "not_understood": -0.05,
    "too_many_questions": -0.08,
    "long": -0.08,
    "parrot": -0.08,  # the same words as in an earlier reply
    "rude": -0.30,
    "contradiction": -0.15,
    "blocked": -0.05,
    "no_reason": -0.08,
    "wrongly_refused": -0.20,
    "wrong_done": -0.30,
    "refused": 0.10,  # rightly, with the reason; only with a kind word
    "passed_on": -0.10,
}
RELIEF = 0.6  # share of what is missing to 1 that a solution brings
MIN_SATISFACTION = 0.05  # below it the customer leaves


@dataclass(frozen=True)
class Reaction:
    """What the customer does about a reply.

    Attributes:
        text: what they say.
        disclosed: details given for the first time.
        useful: whether the turn led on.
    """

    text: str
    disclosed: tuple[str, ...] = ()
    useful: bool = False


class SimulatedCustomer:
    """One customer during one episode.

    Attributes:
        satisfaction: from 0 to 1.
        patience: needless turns that they still bear.
        settled: whether they took what they were told as the end of the matter.
        left: whether they walked away.
    """

    def __init__(self, scenario: Scenario, rng: np.random.Generator) -> None:
        self._scenario = scenario
        self._rng = rng
        self._persona = scenario.persona
        register = load("personas")["registers"][self._persona["register"]]
        self._lower: bool = register["lower"]
        self._manner: dict[str, list[str]] = register[scenario.split]
        self._disclosed: set[str] = set() if scenario.vague else {"problem"}
        self._empathy = 0
        self._pleaded = False
        self._heard: set[str] = set()
        self.satisfaction: float = self._persona["mood"]
        self.patience: int = self._persona["patience"]
        self.settled = False
        self.left = False

    def opening(self) -> str:
        """The first message; it names the problem or not, and no other detail."""
        return self._utter("open", ["vague" if self._scenario.vague else f"problem/{self._scenario.intent}"])

    def react(self, heard: Heard, outcome: Outcome, *, over: bool = False) -> Reaction:
        """Answer a reply and what it brought about; ``over`` when somebody else has taken the conversation away."""
        self._feel("wait")
        self._notice_manners(heard)
        if outcome.final:
            return self._conclude(outcome)
        if outcome.kind in MOOD and outcome.kind != "refused":
            self._feel(outcome.kind)
        if over:
            return Reaction("")
        if outcome.kind == "refused":
            return self._take_refusal(heard)
        answers, disclosed = self._answers(heard)
        if disclosed:
            self._feel("detail", len(disclosed))
        else:
            self._feel("needless")
            self.patience -= 2 if "rude" in heard.acts else 1
            if not heard.understood and not heard.silent:
                self._feel("not_understood")
        if self.patience < 0 or self.satisfaction < MIN_SATISFACTION:
            self.left = True
            return Reaction(self._utter("", ["leave"]))
        remark = self._remark(heard, outcome, bool(answers))
        willing = answers and not remark and "again" not in answers
        return Reaction(self._utter("lead" if willing else "", [*remark, *answers]), disclosed, bool(disclosed))

    def _notice_manners(self, heard: Heard) -> None:
        if "empathise" in heard.acts:
            self._empathy += 1
            self._feel(("first_empathy", "second_empathy", "hollow_empathy")[min(self._empathy, 3) - 1])
        if "rude" in heard.acts:
            self._feel("rude")
        if len(heard.text) > LONG:
            self._feel("long")
        if heard.text and heard.text in self._heard:
            self._feel("parrot")
        self._heard.add(heard.text)
        if len(heard.asks) > MAX_ANSWERS:
            self._feel("too_many_questions")

    def _conclude(self, outcome: Outcome) -> Reaction:
        if outcome.kind == "done":
            self.settled = True
            self.satisfaction += RELIEF * (1 - self.satisfaction)
            return Reaction(self._utter("", ["handed_over" if outcome.operation == "hand_over" else "thanks"]), useful=True)
        if outcome.kind == "passed_on":
            self._feel("passed_on")
            return Reaction(self._utter("", ["handed_over"]))
        pleased = self._scenario.intent in ("late", "damaged", "wrong_item", "refund", "exchange")
        if outcome.kind == "misinformed" or (pleased and outcome.operation in ("refund", "replacement")):
            return Reaction(self._utter("", ["thanks"]))
        self._feel("wrong_done")
        return Reaction(self._utter("", ["not_wanted"]))

    def _take_refusal(self, heard: Heard) -> Reaction:
        if self._persona["pushy"] and not self._pleaded:
            self._pleaded = True
            return Reaction(self._utter("", ["plead"]), useful=True)
        if "empathise" in heard.acts:
            self._feel("refused")
        self.settled = True
        return Reaction(self._utter("", ["resigned"]), useful=True)

    def _answers(self, heard: Heard) -> tuple[list[str], tuple[str, ...]]:
        """The acts that answer the questions of a reply, and the details they give for the first time."""
        acts: list[str] = []
        given: list[str] = []
        for asked in heard.asks[:MAX_ANSWERS]:
            detail = self._meant(asked, given)
            if detail is None:
                acts.append("nothing_more")
            elif detail in given:
                continue
            elif detail in self._disclosed:
                if asked == "problem" and len(heard.asks) > 1:
                    continue  # "your order number, so that I can see what happened?"
                if asked != "wish":
                    if "again" not in acts:
                        acts.append("again")
                    self._feel("repeated_question")
                acts.append(self._act_of(detail))
            else:
                given.append(detail)
                acts.append(self._act_of(detail))
        self._disclosed.update(given)
        return acts, tuple(given)

    def _meant(self, asked: str, given: list[str]) -> str | None:
        """The detail that a question gets at; ``None`` when it has nothing to do with the matter."""
        has_evidence = self._scenario.intent in ("damaged", "wrong_item")
        if asked in ("problem", "wish", "evidence") and "problem" not in self._disclosed and "problem" not in given:
            return "problem"
        if asked == "evidence" or (asked == "problem" and has_evidence and "evidence" not in self._disclosed and "problem" not in given):
            return "evidence" if has_evidence else None
        if asked == "address" and self._scenario.intent != "address":
            return None
        return "problem" if asked == "wish" else asked

    def _act_of(self, detail: str) -> str:
        if detail == "problem":
            return f"problem/{self._scenario.intent}"
        if detail == "evidence":
            return "damage" if self._scenario.intent == "damaged" else "received"
        return detail

    def _remark(self, heard: Heard, outcome: Outcome, answering: bool) -> list[str]:
        """What they say besides answering questions."""
        if "rude" in heard.acts:
            return ["offended"]
        remarks = {"contradiction": "which", "wrongly_refused": "protest", "no_reason": "why", "not_enough": "not_enough"}
        if outcome.kind in remarks:
            return [remarks[outcome.kind]]
        if answering:
            return []
        if self._pleaded:
            return ["plead"]
        if heard.silent:
            return ["silence"]
        return ["nudge" if heard.understood else "confused"]

    def _feel(self, cause: str, times: int = 1) -> None:
        change = MOOD[cause] * times
        if change < 0:
            change *= self._persona["temper"]
        self.satisfaction = min(1.0, max(0.0, self.satisfaction + change))

    def _utter(self, place: str, acts: list[str]) -> str:
        """Word some acts in the persona's manner; ``place`` says which words may go before: ``"open"``, ``"lead"`` or none."""
        sentences = [self._word(act) for act in acts]
        before = pick(self._rng, self._manner[place]) if place else ""
        after = pick(self._rng, self._manner["tail"]) if place else ""
        if before.endswith(","):
            first = sentences[0]
            keep = first.startswith(("I ", "I'", *map(str, range(10)))) or first[:2].isupper()
            sentences[0] = first if keep else first[0].lower() + first[1:]
        return " ".join(part for part in (before, *sentences, after) if part)

    def _word(self, act: str) -> str:
        template = pick(self._rng, wordings(act, self._scenario.split))
        return (template.lower() if self._lower else template).format_map(self._scenario.slots)
