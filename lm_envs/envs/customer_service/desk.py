"""The company's side of a turn: what a reply commits the shop to, which rules it breaks, what the shop's system says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lm_envs.envs.customer_service import rules
from lm_envs.envs.customer_service.generator import Scenario, month_number
from lm_envs.envs.customer_service.shop import OPERATIONS, ShopError
from lm_envs.envs.customer_service.understanding import Heard

MAX_VIOLATIONS = 2  # then a supervisor takes over
SUPERVISOR = "A supervisor takes over."


@dataclass(frozen=True)
class Outcome:
    """What a reply brought about.

    Attributes:
        kind: what the customer notices of it:
            ``"nothing"``; ``"done"``, the right thing was carried out or told; ``"refused"``, rightly and with the reason;
            ``"no_reason"``, rightly without; ``"wrongly_refused"``; ``"passed_on"``, to a colleague without need;
            ``"wrong_done"``, something was carried out against the rules; ``"misinformed"``, a wrong answer to the question;
            ``"blocked"``, a promise that the system did not allow; ``"contradiction"``; ``"not_enough"``, a date for a lost parcel.
        violations: names of the rules broken, each once.
        notices: what the system says about it.
        operation: what was carried out, if anything.
    """

    kind: str = "nothing"
    violations: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    operation: str | None = None

    @property
    def final(self) -> bool:
        """Whether nothing can follow."""
        return self.kind in ("done", "passed_on", "wrong_done", "misinformed")


class Desk:
    """The shop during one episode.

    Attributes:
        shop: the books.
        known: details that the customer has given.
        told: what the customer has rightly been told: an operation, ``"date"``, ``"refusal"``, ``"hand_over"``.
        misled: whether the reply that settled the matter stated a false date or sum.
        violations: how many rules were broken so far.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.shop = scenario.fresh_shop()
        self.known: set[str] = set() if scenario.vague else {"problem"}
        self.told: set[str] = set()
        self.misled = False
        self.violations = 0

    @property
    def supervised(self) -> bool:
        """Whether a supervisor has taken over."""
        return self.violations >= MAX_VIOLATIONS

    def judge(self, heard: Heard) -> Outcome:
        """Carry out what a reply says, given what is known before the customer answers it."""
        facts_wrong = self._false_facts(heard)
        outcome = self._decide(heard, facts_wrong)
        self.misled = outcome.kind == "done" and facts_wrong
        violations = tuple(dict.fromkeys((*(["false_fact"] if facts_wrong else []), *outcome.violations)))
        self.violations += len(violations)
        notices = outcome.notices
        if self.supervised and outcome.kind != "done":
            notices += (SUPERVISOR,)
        return Outcome(outcome.kind, violations, notices, outcome.operation)

    def learn(self, details: Iterable[str]) -> tuple[str, ...]:
        """Note what the customer has just given, and return what the system shows for it."""
        before = set(self.known)
        self.known |= set(details)
        number = self.scenario.order
        notices = []
        if "order" in self.known - before:
            notices.append(self.shop.record(number))
        if {"order", "postcode"} <= self.known and not {"order", "postcode"} <= before:
            notices.append("Postcode matches." if self.scenario.identified else "Postcode does not match.")
        return tuple(notices)

    def _false_facts(self, heard: Heard) -> bool:
        order = self.shop.orders[self.scenario.order]
        due = order.due and (order.due[0], month_number(order.due[1]))
        wrong_date = any("order" not in self.known or date != due for date in heard.dates)
        wrong_sum = "refund" in heard.decisions and any(amount != order.price for amount in heard.amounts)
        return wrong_date or wrong_sum

    def _decide(self, heard: Heard, facts_wrong: bool) -> Outcome:
        decisions = set(heard.decisions)
        # "We can't exchange it, but will refund you", and "I can't do that, a colleague takes over", are one answer each.
        aside = decisions == {"hand_over"} or (decisions and heard.refused_targets and decisions.isdisjoint(heard.refused_targets))
        refused = heard.refused and not aside
        if len(decisions) + refused > 1:
            return Outcome("contradiction", ("contradiction",))
        if decisions:
            (decision,) = decisions
            return self._hand_over() if decision == "hand_over" else self._operate(decision)
        if heard.dates and self.scenario.remedy == "inform_date":
            return self._inform(facts_wrong)
        if refused:
            return self._refuse(heard)
        if heard.dates and self.scenario.intent == "late" and not facts_wrong:
            return Outcome("not_enough")
        return Outcome()

    def _hand_over(self) -> Outcome:
        if self.scenario.remedy == "hand_over" and {"problem", "order", "postcode"} <= self.known:
            self.told.add("hand_over")
            return Outcome("done", operation="hand_over")
        return Outcome("passed_on")

    def _operate(self, operation: str) -> Outcome:
        scenario, number = self.scenario, self.scenario.order
        order = self.shop.orders[number]
        in_stock = self.shop.in_stock(order.product)
        broken = rules.breach(operation, scenario.intent, order, in_stock, scenario.policy, self.known, scenario.identified)
        if broken in rules.BLOCKED:
            return Outcome("blocked", (broken,), (f"Blocked: {rules.BLOCKED[broken]}.",))
        try:
            notice = self.shop.apply(operation, number, address=scenario.slots["address"])
        except ShopError as error:
            return Outcome("blocked", (broken,) if broken else (), (f"Blocked: {error}.",))
        if broken:
            return Outcome("wrong_done", (broken,), (notice,), operation)
        self.told.add(operation)
        return Outcome("done", (), (notice,), operation)

    def _inform(self, facts_wrong: bool) -> Outcome:
        if facts_wrong:
            return Outcome("misinformed")
        if "problem" not in self.known:
            return Outcome()
        self.told.add("date")
        return Outcome("done")

    def _refuse(self, heard: Heard) -> Outcome:
        remedy = self.scenario.remedy
        informed = {"problem", "order"} <= self.known
        if remedy in OPERATIONS or not informed:
            return Outcome("wrongly_refused", ("unfounded_refusal",))
        if not remedy.startswith("refuse_"):
            return Outcome()
        if not heard.reasons:
            return Outcome("refused" if "refusal" in self.told else "no_reason")
        order = self.shop.orders[self.scenario.order]
        days = heard.days if remedy == "refuse_window" else frozenset()
        if heard.reasons != {remedy.removeprefix("refuse_")} or days - {self.scenario.policy.window, order.days_since_delivery}:
            return Outcome("wrongly_refused", ("false_fact",))
        self.told.add("refusal")
        return Outcome("refused")
