"""One of a customer's matters: what they have said about it, what they were told, and what they make of a reply.

After Schatzmann et al. (2007), a customer is an agenda: a stack of needs, and rules that turn what was understood of a reply into the
next acts. Here are the rules for one need; who answers questions, has moods and leaves is in `customer.py`.

A customer judges by what it wanted and what it is told. It never knows what the company's rules demand.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.scenario import Need

ENOUGH = {"return": frozenset({"return", "refund"})}
"""What contents a wish besides itself: who sends something back wants the money."""

STEPS = {"refund": frozenset({"return"}), "exchange": frozenset({"return"}), "cancel": frozenset({"refund"})}
"""What may lead to a wish: nobody minds being told of it, or takes it for the end."""

UNASKED = frozenset({"cancel", "exchange", "refund", "address", "payment"})
"""What a customer minds when it was done without their wish."""

INQUIRIES = frozenset({"date", "amount", "days", "status", "tier", "points", "article", "stock", "order"})
"""Kinds of facts with questions of their own."""

MAX_WHYS = 2  # times that a customer asks why, before giving in without an answer
MAX_INQUIRIES = 2  # times that a customer asks for a fact, before taking another value of its kind for the answer

_AFFIRMS = re.compile(
    r"\W*(?:(?:yes|yep|yeah|done|indeed|correct|it is|it has|they are|they have|of course|absolutely)\b|all (?:set|done|sorted)\b)", re.I
)


@dataclass
class Matter:
    """A need, and how far the conversation about it has come.

    Attributes:
        need: what is wanted now; a changed goal takes its place.
        stated: whether the agent has been told what it is about.
        given: slots given so far, with the values that were given.
        told: facts heard since it was stated.
        done: operations reported as done.
        agreed: operations that the customer said yes to.
        declined: operations that the customer said no to.
        suffices: operations that content the customer.
        refused: operations refused.
        refusals: replies that refused.
        insisted: times that the customer didn't take no for an answer.
        reasoned: whether a reason was given for a refusal.
        accepted: whether the customer has come to terms with a refusal.
        asked: what the customer has asked, with how often.
        arguing: whether the customer's last words were about a refusal.
        unsure: whether the customer's last words asked if it was done.
        nudges: replies in a row that led nowhere.
    """

    need: Need
    stated: bool = False
    given: dict[str, str] = field(default_factory=dict)
    told: set[tuple[str, str]] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    agreed: set[str] = field(default_factory=set)
    declined: set[str] = field(default_factory=set)
    suffices: set[str] = field(init=False)
    refused: set[str] = field(default_factory=set)
    refusals: int = 0
    insisted: int = 0
    reasoned: bool = False
    accepted: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    arguing: bool = False
    unsure: bool = False
    nudges: int = 0

    def __post_init__(self) -> None:
        self.suffices = _sufficient(self.need)

    def change(self) -> None:
        """Replace the need by the one that it turns into."""
        assert self.need.then is not None
        self.need = self.need.then
        self.suffices = _sufficient(self.need)
        self.told.clear()

    @property
    def steps(self) -> frozenset[str]:
        """Operations that may lead to what is wished for."""
        return STEPS.get(self.need.wish, frozenset())

    @property
    def missing(self) -> list[str]:
        """Kinds of facts that the customer still wants to hear, in a fixed order."""
        kinds = {kind for kind, value in self.need.tells if kind != "reason" and (kind, value) not in self.told}
        return sorted(kind for kind in kinds if self.asked[f"believed/{kind}"] < MAX_INQUIRIES)


@dataclass(frozen=True)
class Verdict:
    """What a reply means for a matter.

    Attributes:
        acts: what the customer says to it; ``"wish"`` stands for saying what they would like.
        useful: whether the reply led on.
        resolved: ``""``, ``"content"``, ``"refused"`` or ``"handed_over"``.
        feelings: names from ``temper.MOOD``.
        idle: whether the acts are there only because there was nothing better to say.
    """

    acts: tuple[str, ...] = ()
    useful: bool = False
    resolved: str = ""
    feelings: tuple[str, ...] = ()
    idle: bool = False


def judge(matter: Matter, reading: Reading, text: str, *, insist: int) -> Verdict:
    """What a reply means for a matter that has been stated; updates the matter.

    Args:
        matter: what the customer is about.
        reading: what was understood of the reply.
        text: the reply itself.
        insist: refusals that the customer doesn't take for an answer.
    """
    need = matter.need
    news = _news(matter, reading)
    matter.told |= reading.facts
    matter.done.update(reading.operations("done"))
    if matter.unsure and need.wish and not reading.refuses and _AFFIRMS.match(text):
        matter.done.add(need.wish)
    arguing, matter.arguing, matter.unsure = matter.arguing, False, False
    if "handover" in matter.agreed and ({"wait", "bye", "offer_handover"} & set(reading.acts)) and not reading.asks:
        matter.done.add("handover")  # "I'll put you through." "Yes, please." "One moment."
    if "handover" in matter.done:
        return Verdict(("handed_over",), True, "handed_over", () if "handover" in matter.suffices else ("passed_on",))
    if matter.done & matter.suffices:
        return _after_done(matter, reading)
    if matter.accepted:
        return _close(matter, "refused")
    if not need.wish and need.tells and not matter.missing:
        return Verdict(useful=True, resolved="content")
    if _refuses(matter, reading, arguing):
        return _take_refusal(matter, reading, insist, arguing)
    return _take_plan(matter, reading, news)


def _sufficient(need: Need) -> set[str]:
    return {need.wish, *ENOUGH.get(need.wish, ()), *need.accepts} - {""}


def _news(matter: Matter, reading: Reading) -> bool:
    """Whether the reply holds something that the customer wanted to hear; counts answers that are not the expected ones."""
    wanted = matter.need.tells - matter.told
    for kind in {kind for kind, _ in wanted}:
        values = reading.values(kind)
        if values and not any((kind, value) in matter.need.tells for value in values) and matter.asked[f"inquire/{kind}"]:
            matter.asked[f"believed/{kind}"] += 1
    return bool(wanted & reading.facts)


def _after_done(matter: Matter, reading: Reading) -> Verdict:
    """It was done, they say: is there anything left to be done or told?"""
    promised = (set(reading.operations("offer")) & (matter.suffices | matter.steps)) - matter.done
    if promised and not matter.asked["promised"]:
        matter.asked["promised"] += 1
        return Verdict(("agree",), True, feelings=("progress",))
    money = "refund" in matter.done or reading.values("amount") or "refund" in (*reading.operations("offer"), *reading.operations("refuse"))
    if matter.need.wish == "return" and "refund" not in matter.refused and not money and not matter.asked["inquire/refund"]:
        matter.asked["inquire/refund"] += 1
        return Verdict(("inquire/refund",), True)
    return _close(matter, "content")


def _close(matter: Matter, how: str) -> Verdict:
    """End a matter, unless there is a fact to ask for that wasn't asked for yet."""
    for kind in matter.missing:
        if not matter.asked[f"inquire/{kind}"]:
            matter.asked[f"inquire/{kind}"] += 1
            return Verdict((inquiry(kind),), True)
    return Verdict(useful=True, resolved=how)


def _refuses(matter: Matter, reading: Reading, arguing: bool) -> bool:
    """Whether a reply says no to what is wanted."""
    asks = set(reading.asks)
    if not reading.refuses:  # "Because thirty days are over." after "Why not?"
        onward = asks or reading.operations("offer") or reading.operations("done") or "wait" in reading.acts or "confirm" in reading.acts
        return arguing and matter.refusals > 0 and not onward and reading.words >= 3
    operations = set(reading.operations("refuse"))
    relevant = operations & (matter.suffices | matter.steps)
    if not relevant and "refuse" not in reading.acts and (matter.need.wish or matter.need.tells):
        return False  # no to something else
    unanswered = {slot for slot in asks if slot not in matter.given and slot not in ("wish", "problem")}
    return not unanswered  # "I can't refund it without your order number": a question rather than a no


def _take_refusal(matter: Matter, reading: Reading, insist: int, arguing: bool) -> Verdict:
    """Ask for something else, insist, ask why, or give in."""
    need = matter.need
    matter.refusals += 1
    matter.refused.update(reading.operations("refuse") or ((need.wish,) if need.wish else ()))
    explained = bool(reading.values("reason")) or (arguing and matter.asked["why"] > 0 and reading.words >= 4)
    matter.reasoned = matter.reasoned or explained
    feelings = ("refused_kindly",) if "empathise" in reading.acts else ("refused",)
    offers = [operation for operation in reading.operations("offer") if operation not in reading.operations("refuse")]
    if suitable := [operation for operation in offers if operation in matter.suffices]:
        matter.agreed.update(suitable)
        return Verdict(("agree",), True, feelings=feelings)
    said_no = matter.refused | ENOUGH.get(need.wish, frozenset())
    alternatives = [operation for operation in need.accepts if operation not in said_no and not matter.asked[f"wish/{operation}"]]
    if alternatives:
        matter.asked[f"wish/{alternatives[0]}"] += 1
        matter.arguing = True
        return Verdict(("instead", f"wish/{alternatives[0]}"), True, feelings=feelings)
    matter.arguing = True
    if matter.insisted < insist:
        matter.insisted += 1
        return Verdict(("protest",), True, feelings=feelings)
    if relief := [operation for operation in offers if operation in ("ticket", "handover")]:
        matter.suffices.update(relief)
        matter.agreed.update(relief)
        return Verdict(("put_through",) if "handover" in relief else ("agree",), True, feelings=feelings)
    if not matter.reasoned and matter.asked["why"] < MAX_WHYS:
        matter.asked["why"] += 1
        return Verdict(("why",), True, feelings=(*feelings, "no_reason"))
    matter.accepted = True
    return _close(matter, "refused")


def _take_plan(matter: Matter, reading: Reading, news: bool) -> Verdict:
    """Nothing is settled yet: say yes or no to what is proposed, and keep the matter alive."""
    need, offers = matter.need, reading.operations("offer")
    wanted = [operation for operation in offers if operation in matter.suffices | matter.steps]
    if wanted:
        fresh = not matter.agreed.issuperset(wanted)
        matter.agreed.update(wanted)
        choice = ("wish",) if len(offers) > 1 and need.wish in offers and "confirm" in reading.acts else ("agree",)
        return Verdict(choice, fresh, feelings=("progress",) if fresh else ())
    if "handover" in offers:
        fresh = "handover" not in matter.agreed
        matter.suffices.add("handover")
        matter.agreed.add("handover")
        return Verdict(("put_through",), fresh)
    if matter.refusals and "ticket" in offers:  # better than nothing
        matter.suffices.add("ticket")
        matter.agreed.add("ticket")
        return Verdict(("agree",), True)
    if offers:
        again = matter.declined.issuperset(offers)
        matter.declined.update(offers)
        return Verdict(("decline", "wish"), not again, feelings=("unwanted",))
    if need.wish and not reading.values("status") and not (UNASKED - matter.steps).isdisjoint(reading.operations("done")):
        return Verdict(("not_wanted", "wish"), feelings=("wrong_done",))
    if "confirm" in reading.acts:
        fresh = not matter.asked["yes"]
        matter.asked["yes"] += 1
        return Verdict(("yes",), fresh)
    if "wait" in reading.acts:
        return Verdict(("wait_ok",), idle=True)
    if "article" in matter.missing and reading.values("article"):
        matter.asked["inquire/article"] += 1
        return Verdict(("not_helped",), feelings=("not_helped",))
    return _keep_alive(matter, reading, news)


def _keep_alive(matter: Matter, reading: Reading, news: bool) -> Verdict:
    """Ask for what is still missing, in other words each time."""
    feelings = ("progress",) if news else ()
    if matter.need.wish and ("ask_more" in reading.acts or "bye" in reading.acts):
        matter.unsure = True
        return Verdict(("is_it_done", "wish") if matter.asked["is_it_done"] else ("is_it_done",), news, feelings=feelings, idle=True)
    if not matter.need.wish and (missing := matter.missing):
        kind = min(missing, key=lambda kind: matter.asked[f"inquire/{kind}"])
        matter.asked[f"inquire/{kind}"] += 1
        return Verdict((inquiry(kind),), news, feelings=feelings, idle=True)
    if (
        not matter.need.wish
        and not matter.need.tells
        and not reading.asks
        and any(kind not in ("order", "reason") for kind, _ in reading.facts)
    ):
        matter.asked["informed"] += 1
        if matter.asked["informed"] > 1:  # whatever it was that they asked for, they have been told something
            return Verdict(useful=False, resolved="content")
    return Verdict(("nudge",) if not matter.nudges else ("nudge", "wish"), news, feelings=feelings, idle=True)


def inquiry(kind: str) -> str:
    """The act that asks for a kind of fact."""
    return f"inquire/{kind}" if kind in INQUIRIES else "inquire/other"
