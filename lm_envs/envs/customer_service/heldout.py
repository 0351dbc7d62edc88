"""A held-out set of labelled agents' replies, and what a reader of replies scores on it.

    evaluate(read).macro_f1  ->  0.9...

The replies in ``data/heldout/replies.jsonl`` come from three sources: ``hand`` (written one by one), ``template`` (paraphrase templates
that share nothing with the environment's own wordings) and ``rewrite`` (SmolLM2-135M was asked to reword others; each was read, mended or
dropped where it made no sense, and labelled for what it says). They measure ``understanding.read``, which was written without them; no
wording, pattern or test of it may be taken from here.

How they are labelled:

Acts are labelled by what the reply means to the customer who reads it, each act once, in order of first appearance.

Social. ``greet``: an opening salutation or welcome. ``thank``: the agent thanks or appreciates ("you're welcome" is not thanks).
``empathise``: any apology of the agent's ("I'm sorry", "sorry, but", "apologies") and any sentence that names the customer's feeling or
trouble with sympathy; "unfortunately", "I'm afraid", "I regret that", "don't worry" and a bare "I understand" or "I see" are not.
``bye``: closes the conversation, good wishes included. ``wait``: asks for a moment or announces looking something up now ("let me check",
"I'll look into it"); being told that a parcel or money takes days is not. ``rude``: insult, jeer, contempt; being short is not.

Questions. ``ask_<slot>``: a question, an imperative or a stated need for it ("I need", "once I have", "if you send me"). Each slot named
is an act. A refusal until identity is proven asks only for the slots it names. Proof of identity asked for without a slot named is
``ask_postcode``; "who are you", "whose account" is ``ask_name``. ``ask_problem``: "how can I help", what is the matter, why they want it,
and yes/no questions about what happened (has it arrived? is it broken? did you already return it?). ``ask_evidence``: a photo, what
exactly is wrong with the item or where, what came instead. ``ask_wish``: what should be done, and questions that leave a choice between
operations ("refund or replacement?"), which are no offers, where a statement ("we can refund or replace it") makes them; asking to say
something again is nothing. ``confirm``: asks for a yes to what the agent proposes or has understood ("shall I?", "is that right?");
"please confirm your order number" is only ``ask_order``. ``ask_more``: anything else, also "let me know if you need more".

Operations. ``offer_x``: the agent proposes, promises or announces x, also under a condition ("if you send me X I will") and while it is
only in progress ("I am cancelling it now"); "I can help with your return" and "you can return it" (their item) are offers. A yes/no
proposal of one operation ("would you like me to cancel it?", "do you want a refund?") is the offer and ``confirm``; asking whether the
customer has asked for it ("so you want a refund?") is ``confirm`` alone. Saying what is needed first ("to refund you I need ...", "before
I can cancel ...") is no offer. ``done_x``: reported as having happened by now, also by its result ("your refund is on its way", "a new
one is in the post"); what was done earlier on (already, on a past day) is ``inform``, so is when the money or goods will arrive, said
besides. ``refuse_x``: it can't or won't be done, also as a general ban ("sale items can't be returned"), a counterfactual ("had you asked
sooner, I could have") or "not until/without ..."; ``refuse``: the same without an operation. What the agent can't find, see or know is no
refusal. What the customer did, said or could do alone on a website, and operations denied ("I haven't cancelled it"), are neither offer
nor done but ``inform``. ``return`` is goods going back, ``refund`` money; "send it back for a refund" is both. A replacement is
``exchange``. ``handover``: a person takes over or calls, escalation; ``ticket``: a case, report or note is filed for others to look at.

``inform``: a statement of its own about an order, parcel, refund, product, account, case, article or rule, or what the customer should do
with one of them, whether or not it holds one of the facts below. Neither a clause that is itself an act above, nor the reason of a
refusal or an offer within the same sentence, adds it; the reason in a sentence of its own does. "I see that you want a refund", "I can
help" and talk about other things are nothing.

Facts are values that the agent asserts, promises or reads back, in questions too; not what is negated, merely supposed, given as an
example or quoted from the customer to be corrected. ``order``: digits only. ``amount``: money, two decimals. ``date``: a calendar day,
month-day, day before month in 14/05; weekdays and "tomorrow" are none. ``days``: numbers of days in figures or words, each end of a
range, a week is 7; hours and months are none. ``status``: what state the order is in now ("on its way", "left our warehouse": shipped;
"has arrived": delivered; "being packed or prepared": processed; "not started": pending); ``done_cancel`` and ``done_return`` alone add
none, "was already cancelled" is ``inform`` and status. ``reason``: why something is refused, wherever in the reply it is given;
``policy`` only if rules are cited and none of the others fits; other excuses are none. ``tier``, ``points``: what this customer has now.
``article``: an id named, as KB-7, or whose step is told. ``address``: a postal address as written, in lower case, without the final stop.
``email``: lower case. ``stock``: "in" or "out", also where it is the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from lm_envs.envs.customer_service.acts import AGENT_ACTS, FACTS, REASONS, Reading
from lm_envs.envs.customer_service.shop import ORDER_STATUSES, TIERS

SOURCES = ("hand", "template", "rewrite")
LABELS = (*AGENT_ACTS, *(f"fact_{kind}" for kind in FACTS))
"""What is scored: every act, and every kind of fact, whose values must match."""

Item = tuple[str, str]
"""A label and, for facts, the value."""

_FIELDS = {"id", "text", "acts", "facts", "source"}
_CLOSED = {
    "reason": REASONS,
    "status": ORDER_STATUSES,
    "tier": TIERS,
    "stock": ("in", "out"),
}


@dataclass(frozen=True)
class Reply:
    """A labelled reply.

    Attributes:
        id: such as ``"hand-007"``.
        text: what the agent says to the customer.
        acts: members of ``acts.AGENT_ACTS``, in order of first appearance.
        facts: (kind, value), as in ``acts.Reading``.
        source: one of :data:`SOURCES`.
    """

    id: str
    text: str
    acts: tuple[str, ...]
    facts: frozenset[tuple[str, str]]
    source: str


@dataclass(frozen=True)
class Score:
    """How well one label is read: precision, recall and F1, and how often it ought to be found."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Report:
    """What a reader scores.

    Attributes:
        labels: a score for each of :data:`LABELS`.
        macro_f1: mean F1 of the labels that occur.
        by_source: the same within each source.
        exact: share of replies whose acts and facts are all read and no others; the order of acts doesn't count.
        size: number of replies.
    """

    labels: Mapping[str, Score]
    macro_f1: float
    by_source: Mapping[str, float]
    exact: float
    size: int


def evaluate(read: Callable[[str], Reading], replies: Iterable[Reply] | None = None) -> Report:
    """Compare readings with labels.

    Args:
        read: turns a text into what is understood of it.
        replies: other replies than the held-out ones.
    """
    replies = load() if replies is None else tuple(replies)
    if not replies:
        raise ValueError("there are no replies to evaluate on")
    pairs = [(reply, _items(reply.acts, reply.facts), _read(read, reply.text)) for reply in replies]
    labels = _scores((due, found) for _, due, found in pairs)
    sources = [source for source in SOURCES if any(reply.source == source for reply in replies)]
    return Report(
        labels=labels,
        macro_f1=_macro(labels),
        by_source={s: _macro(_scores((due, found) for reply, due, found in pairs if reply.source == s)) for s in sources},
        exact=sum(due == found for _, due, found in pairs) / len(pairs),
        size=len(pairs),
    )


@cache
def load() -> tuple[Reply, ...]:
    """The held-out replies, checked.

    Raises:
        ValueError: when a line is malformed or repeats an id or a text; the message names the line.
    """
    return parse((files(__package__) / "data" / "heldout" / "replies.jsonl").read_text("utf-8"))


def parse(lines: str) -> tuple[Reply, ...]:
    """Replies from JSON lines.

    Raises:
        ValueError: as for :func:`load`.
    """
    replies: list[Reply] = []
    ids: set[str] = set()
    texts: set[str] = set()
    for number, line in enumerate(lines.split("\n"), 1):
        if not line:
            continue
        try:
            reply = _reply(json.loads(line))
            if reply.id in ids or reply.text in texts:
                raise ValueError("the id or the text was there before")
        except (ValueError, TypeError) as error:
            raise ValueError(f"held-out replies, line {number}: {error}") from error
        ids.add(reply.id)
        texts.add(reply.text)
        replies.append(reply)
    return tuple(replies)


def _reply(entry: object) -> Reply:
    if not isinstance(entry, dict) or set(entry) != _FIELDS:
        raise ValueError(f"must be an object with the fields {', '.join(sorted(_FIELDS))}")
    for field in ("id", "text", "source"):
        if not isinstance(entry[field], str):
            raise ValueError(f"{field} must be a string")
    if entry["source"] not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}; got {entry['source']!r}")
    acts = tuple(entry["acts"])
    if unknown := [act for act in acts if act not in AGENT_ACTS]:
        raise ValueError(f"unknown acts {unknown}")
    if len(set(acts)) < len(acts):
        raise ValueError("an act is listed twice")
    facts = [(kind, value) for kind, value in entry["facts"]]
    for kind, value in facts:
        if kind not in FACTS:
            raise ValueError(f"unknown kind of fact {kind!r}")
        if not isinstance(value, str) or not value or value not in _CLOSED.get(kind, (value,)):
            raise ValueError(f"{kind} can't be {value!r}")
    if len(set(facts)) < len(facts):
        raise ValueError("a fact is listed twice")
    return Reply(entry["id"], entry["text"], acts, frozenset(facts), entry["source"])


def _read(read: Callable[[str], Reading], text: str) -> frozenset[Item]:
    reading = read(text)
    return _items(reading.acts, reading.facts)


def _items(acts: Iterable[str], facts: Iterable[tuple[str, str]]) -> frozenset[Item]:
    return frozenset({(act, "") for act in acts} | {(f"fact_{kind}", value) for kind, value in facts})


def _scores(pairs: Iterable[tuple[frozenset[Item], frozenset[Item]]]) -> dict[str, Score]:
    support: Counter[str] = Counter()
    claimed: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for due, found in pairs:
        support.update(label for label, _ in due)
        claimed.update(label for label, _ in found)
        right.update(label for label, _ in due & found)
    return {label: _score(right[label], claimed[label], support[label]) for label in LABELS}


def _score(right: int, claimed: int, support: int) -> Score:
    return Score(
        precision=right / claimed if claimed else 0.0,
        recall=right / support if support else 0.0,
        f1=2 * right / (claimed + support) if claimed + support else 0.0,
        support=support,
    )


def _macro(scores: Mapping[str, Score]) -> float:
    present = [score.f1 for score in scores.values() if score.support]
    return sum(present) / len(present) if present else 0.0


def main() -> None:
    """Print how well the reader understands the replies."""
    from lm_envs.envs.customer_service.understanding import read

    report = evaluate(read)
    sources = ", ".join(f"{source} {score:.3f}" for source, score in report.by_source.items())
    print(f"macro-F1 {report.macro_f1:.3f} ({sources}) of {report.size} replies; {report.exact:.1%} read without any mistake")
    for label, score in sorted(report.labels.items(), key=lambda item: item[1].f1):
        if score.support:
            print(f"{label:<16} precision {score.precision:.2f}  recall {score.recall:.2f}  F1 {score.f1:.2f}  of {score.support}")


if __name__ == "__main__":
    main()
