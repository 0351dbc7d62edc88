"""What an episode is to come to: the books as the rules want them, and a customer who was told what is so.

Success takes all of these: the final books equal the initial ones after the due calls; each need's outcome, or the refusal with
its right reason, was told, and so was every fact that the customer must hear; the customer has left it at that; and no critical rule
was broken.
Doing nothing, politely or not, is never enough: silence is not a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.intents import WITHOUT_ACCOUNT, last
from lm_envs.envs.customer_service.record import Event, Record
from lm_envs.envs.customer_service.scenario import Need, Scenario
from lm_envs.envs.customer_service.shop import Shop, plain
from lm_envs.envs.customer_service.tools import Toolbox
from lm_envs.envs.customer_service.truth import reason_holds

FREE_TEXT = frozenset({"reason", "summary"})
"""Arguments that make no difference."""

_REPORTS = {
    "return": ("done_return", "done_refund"),  # both are due, and either tells the customer so
    "handover": ("done_handover", "offer_handover"),  # the colleague will be there: a promise is a report
    "ticket": ("done_ticket", "offer_ticket"),
}
"""Acts that tell of an operation, where that isn't ``done_<operation>`` alone."""

Key = tuple[str, tuple[tuple[str, Any], ...]]


class Goals:
    """How far an episode has come.

    Attributes:
        needs: what the customer wants in the end, changed goals followed.
        told: for each need, whether its outcome was told.
        made: due calls carried out.
        spoilt: whether a change was made that isn't due.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.needs = tuple(last(need) for need in scenario.needs)
        self.told = [False] * len(self.needs)
        self.made: set[Key] = set()
        self.spoilt = False
        self._heard: set[tuple[str, str]] = set()

    @property
    def due(self) -> tuple[tuple[Key, ...], ...]:
        """The due calls of each need in the form in which calls are compared."""
        return self._done[0]

    @property
    def effects(self) -> Mapping[str, Any]:
        """The books as they are to be, as ``Shop.effects`` puts them."""
        return self._done[1].effects()

    @cached_property
    def _done(self) -> tuple[tuple[tuple[Key, ...], ...], Shop]:
        """The due calls, and books of their own on which they are carried out."""
        toolbox = Toolbox(self._scenario.shop.copy())
        due = []
        for need in self.needs:
            results = [toolbox.call(Call(tool, arguments)) for tool, arguments in need.effects]
            assert all(result.ok for result in results), f"{need}: {[result.content for result in results]}"
            due.append(tuple(key(result.name, result.arguments) for result in results))
        return tuple(due), toolbox.shop

    def called(self, event: Event) -> None:
        """Take note of a call."""
        result = event.result
        if result is None or not result.ok or result.kind != "WRITE":
            return
        name = key(result.name, result.arguments)
        if name in self.missing:
            self.made.add(name)
        else:
            self.spoilt = True

    def said(self, reading: Reading, record: Record) -> None:
        """Take note of a text to the customer."""
        self._heard |= reading.facts
        for index, need in enumerate(self.needs):
            if not self.told[index] and self._tells(index, need, reading, record):
                self.told[index] = True

    def reached(self, shop: Shop) -> bool:
        """Whether all has been told, and the books are as they are to be."""
        return all(self.told) and not self.missing and shop.effects() == self.effects

    @property
    def missing(self) -> list[Key]:
        """Due calls that haven't been made."""
        return [name for due in self.due for name in due if name not in self.made]

    def progress(self, record: Record) -> float:
        """The share of milestones reached, in [0, 1].

        A need's milestones are that the customer's identity was verified and the order looked up, where that matters, that each due
        call was made, and that the outcome was told. Each need counts alike.
        """
        return sum(self._progress(index, need, record) for index, need in enumerate(self.needs)) / len(self.needs)

    def _progress(self, index: int, need: Need, record: Record) -> float:
        if self.told[index]:
            return 1.0
        reached = [name in self.made for name in self.due[index]] + [False]
        if need.intent not in WITHOUT_ACCOUNT and need.reason != "identity":
            reached.append(bool(record.verified))
        if need.order:
            reached.append(need.order in record.read)
        return sum(reached) / len(reached)

    def _tells(self, index: int, need: Need, reading: Reading, record: Record) -> bool:
        """Whether a text, with what was said before, tells a need's outcome."""
        if any(fact not in self._heard for fact in need.tells):
            return False
        if need.due == "refuse":
            reasons = {need.reason}
            if need.reason == "not_yours" and not record.verified:
                reasons.add("identity")
            given = reading.values("reason")
            about = replace(reading, facts=frozenset({("order", need.order)})) if need.order in record.shop.orders else reading
            return reading.refuses and bool(reasons & given) and all(reason_holds(record, about, reason) for reason in given)
        if need.due == "inform":
            return True
        reports = _REPORTS.get(need.due, (f"done_{need.due}",))
        return all(name in self.made for name in self.due[index]) and any(act in reports for act in reading.acts)


def key(tool: str, arguments: Mapping[str, Any]) -> Key:
    """A call in the form in which calls are compared: what is free text doesn't count, nor the spelling of addresses."""
    told = ((name, plain(value) if isinstance(value, str) else value) for name, value in arguments.items() if name not in FREE_TEXT)
    return tool, tuple(sorted(told))


def par(needs: Sequence[Need]) -> tuple[int, int]:
    """Texts and calls that a good agent needs for some needs, about: the measure of efficiency."""
    account = any(need.intent not in WITHOUT_ACCOUNT for need in needs)
    orders = {need.order for need in needs if need.order}
    return 2 + 2 * len(needs), 2 * account + len(orders) + sum(len(need.effects) + 1 for need in needs)
