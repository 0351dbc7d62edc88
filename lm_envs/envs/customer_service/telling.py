"""Courtesies, refusals, reasons, states and statements in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lm_envs.envs.customer_service.clauses import AUXILIARIES, LEAD, MODALS, Clause
from lm_envs.envs.customer_service.patterns import Line, Patterns

_LOOSE = frozenset("which who to instead either for in as with about regarding by of in_order".split())
_WISHES = frozenset("want like need prefer wish ask say mention mean tell told write wrote".split())
_NEAR = frozenset("this that it request you your here further any anything unless until without".split())
_FUTURE = frozenset(
    "please will can could should may might must would be when once until before usually normally generally typically".split()
)
_NOT_WAITING = frozenset(("ago",)) | frozenset(
    (
        "required not can could would need must if before team "
        "colleague technicians they colleagues department specialist unable until <date> <days>"
    ).split()
)
_BUSY = frozenset(("looking", "checking", "searching", "check", "look"))
_MOMENT = frozenset("moment minute second minutes seconds".split())
_COMMANDED = frozenset("the your it them both each".split())
_NO_COMMAND = frozenset(
    ("about after all before because here there not is was what like when that this only even sure yes and or if of i we you").split()
)
_CORRECTED = frozenset(("rather than", "instead of", "not order", "like this", "such as", "for example"))
_EXAMPLES = frozenset(("example", "e.g", "eg"))
_NO_STOCK = frozenset(
    (
        "points <points> <days> warranty guarantee question manager team colleague agent supervisor service option time article discount "
        "parcel parcels already"
    ).split()
)
_NO_STATUS = {
    "processed": frozenset(("cancel", "return", "exchange")),
    "pending": frozenset(("i", "return", "exchange", "cancel")),
    "delivered": frozenset(("return", "back", "being")),
    "shipped": frozenset(("back",)),
}
_KINDS = frozenset("orders items goods parcels packages products anything".split())
_TIERS = ("gold", "silver", "standard")
_TIER_WORDS = frozenset("members customers tier member membership level status customer account plan".split())
_OTHERS = frozenset("team colleague specialist want customers people".split())
_HAPPENED = frozenset("receive got get begin".split())
_HELPING = frozenset("help assist want verify check look find tell continue start".split())


class Statements:
    """The compiled `talk.json`.

    Args:
        data: the file.
        patterns: to which its own are added.
        goods: names of what the shop sells.
    """

    def __init__(self, data: Mapping[str, Any], patterns: Patterns, goods: Iterable[str]) -> None:
        self._social = patterns.add(data["social"])
        self._refusals = patterns.add({"refuse": data["refusals"]})
        self._not_refusals = frozenset(data["refusals_not"])
        self._reasons = patterns.add(data["reasons"])
        self._status = patterns.add(data["status"])
        self._not_status = frozenset(data["status_not"])
        self._stock = patterns.add(data["stock"])
        self._domain = frozenset((*data["domain"].split(), *goods))
        self._steps = frozenset(data["steps"].split())
        self._mental = frozenset(data["mental"].split())

    def courtesies(self, clauses: Iterable[Clause], line: Line) -> list[tuple[float, str]]:
        """Greetings, thanks, sympathy and the like, each with its place in the sentence."""
        names = line.words
        social = {act: line.text.count(" ", 0, start) for act, start in self._social.names(line).items()}
        found: list[tuple[float, str]] = [(at, act) for act, at in social.items() if act != "wait" and (act != "greet" or at < 4)]
        if len(names) == 1 and names[0] in _BUSY:
            found.append((0, "wait"))
        if names and names[0] == "dear":
            found.append((0, "greet"))
        if "wait" in social:
            for clause in clauses:
                if "have to" in " ".join(clause.words):
                    continue
                if clause.kind == "if":
                    break
                if clause.kind != "main" or not (_NOT_WAITING - ({"need"} if _MOMENT & set(clause.words) else set())).isdisjoint(
                    clause.words
                ):
                    continue
                if (at := self._social.names(clause.line).get("wait")) is not None:
                    found.append((clause.start + clause.line.text.count(" ", 0, at), "wait"))
        return found

    def rude(self, line: Line) -> bool:
        """Whether a line of words is an insult."""
        return "rude" in self._social.names(line)

    def reasons(self, line: Line) -> set[str]:
        """Reasons that a line of words may give for a refusal."""
        reasons = set(self._reasons.names(line))
        if "not_yet_late" in reasons:
            reasons.discard("window")
        return reasons

    def refusal(self, clauses: Iterable[Clause]) -> float | None:
        """Where something is refused without its operation's name, or ``None``."""
        for clause in clauses:
            if clause.kind == "if":
                continue
            line = clause.line.text
            for _, match in self._refusals.find(clause.line):
                around = {word.split("/")[0] for word in (*match.group().split(), *line[match.end() :].split(maxsplit=2)[:2])}
                if self._not_refusals.isdisjoint(around):
                    return clause.start + line.count(" ", 0, match.start())
        return None

    def foreign(self, names: Sequence[str]) -> bool:
        """Whether help is refused with something that is none of the shop's business: "I can't help with the weather"."""
        at = next((i for i, word in enumerate(names) if word in ("help", "assist", "advise", "answer")), len(names))
        topic = names[at + 1 :]
        return (
            len(topic) > 1
            and {"with", "on", "about", "questions", "question"} & set(topic) != set()
            and self._domain.isdisjoint(topic)
            and _NEAR.isdisjoint(topic)
        )

    def facts(
        self, clauses: list[Clause], words: Sequence[str], values: Sequence[tuple[str, str]], question: bool, done: set[str]
    ) -> set[tuple[str, str]]:
        """Facts that a sentence asserts or reads back.

        Args:
            clauses: of the sentence.
            words: of the sentence, its values as ``<kind:index>``.
            values: those values, as (kind, value).
            question: whether the sentence ends with a question mark.
            done: operations that it reports as done.
        """
        facts: set[tuple[str, str]] = set()
        indices = [int(word[1:-1].split(":")[1]) for word in words if word[0] == "<"]
        taken = iter(indices)
        for clause in clauses:
            for at, word in enumerate(clause.words):
                if word[0] != "<" or (index := next(taken, None)) is None or index >= len(values):
                    continue
                kind, value = values[index]
                near = clause.words[max(at - 3, 0) : at]
                if near[-1:] == ("not",) or " ".join(near[-2:]) in _CORRECTED or not _EXAMPLES.isdisjoint(near):
                    continue
                if (
                    clause.kind == "if"
                    and kind not in ("order", "address", "email", "article")
                    and clause.words[0] in ("if", "unless", "whether")
                ):
                    continue
                facts.add(("amount" if kind == "money" else kind, value))
        for clause in clauses:
            facts |= self._states(clause, question and (clause.inverted or clause is clauses[-1]), done)
        return facts

    def _states(self, clause: Clause, question: bool, done: set[str]) -> set[tuple[str, str]]:
        """Status, stock and tier that a clause tells."""
        facts: set[tuple[str, str]] = set()
        if clause.kind == "if" or question:
            return facts
        words = clause.words
        stock = self._stock.names(clause.line)
        if stock and _NO_STOCK.isdisjoint(words):
            facts.add(("stock", "out" if "out" in stock else "in"))
        facts |= {("status", name) for name, match in self._status.find(clause.line) if self._is_status(name, match, done)}
        if ("status", "pending") in facts:
            facts.discard(("status", "processed"))
        for tier in _TIERS:
            if tier in words:
                at = words.index(tier)
                around = {*words[max(at - 5, 0) : at], *words[at + 1 : at + 4]}
                if words[at - 1 : at] == ("on",) and "you" in words or around & _TIER_WORDS and "not" not in around:
                    facts.add(("tier", tier))
        return facts

    def _is_status(self, name: str, match: re.Match[str], done: set[str]) -> bool:
        """Whether what looks like an order's status is one, now, of an order."""
        line = match.string
        before, span = line[: match.start()].split(), match.group().split()
        start = max((i + 1 for i, word in enumerate(before) if word == "that"), default=0)
        near = {word.split("/")[0] for word in before[start:][-8:] + span + line[match.end() :].split(maxsplit=3)[:3]}
        if before[start - 2 : start - 1] and before[start - 2].split("/")[0] in _KINDS:
            return False  # "we don't cancel orders that have shipped"
        if not self._not_status.isdisjoint(near) or near & _NO_STATUS.get(name, frozenset()):
            return False
        unsettled = name in ("pending", "processed")
        if _FUTURE & {*before[start:][-4:], *(() if unsettled else span)} or before[-1:] == ["to"]:
            return False
        if "not" in near and not (name == "pending" or (name == "processed" and near & {"ship", "dispatch", "leave"})):
            return False
        if (name == "cancelled" and "cancel" in done) or (name == "returned" and "return" in done):
            return False
        return not ((name == "cancelled" or "return/p" in span) and {"you", "i", "we"} & {*before[-2:], *span})

    def informs(self, clause: Clause) -> bool:
        """Whether a clause that is no other act is a statement about the shop's business."""
        if clause.kind != "main" or len(clause.words) < 3:
            return False
        words = clause.words
        social = self._social.names(clause.line)
        if social.keys() & {"thank", "bye", "greet", "empathise", "rude"} or ("wait" in social and _NOT_WAITING.isdisjoint(words)):
            return False
        rest = [word for word in words if word not in LEAD]
        if not rest or rest[0] in _LOOSE or (rest[0] == "you" and not _WISHES.isdisjoint(rest[:4])):
            return False
        if rest[0] in self._steps:
            return True
        if len(rest) > 2 and rest[1] in _COMMANDED and rest[0] not in _NO_COMMAND | AUXILIARIES and rest[0].isalpha():
            return True  # "pump the tyres up first"
        if not _OTHERS.isdisjoint(rest[:4]):
            return False
        about = not self._domain.isdisjoint(words if rest[0] not in ("that", "this") else {*words} - {"it", "they"})
        if rest[0] in ("i", "we"):
            return about and self._reports(rest)
        if rest[0] in ("that", "this") and not any(word[0] == "<" for word in words) and not about:
            return False
        verb = not AUXILIARIES.isdisjoint(words) or any(("/" in tag and tag[-1] != "n") or tag.endswith("s") for tag in clause.tags)
        if rest[:3] == ["it", "would", "help"]:
            return False
        if rest[:2] == ["it", "is"] and {"okay", "fine", "alright"} & set(words[2:5]):
            return False
        return (verb or len(words) > 3) and (about or any(word[0] == "<" for word in words))

    def _reports(self, words: Sequence[str]) -> bool:
        """Whether what "I" or "we" do is a statement about an order rather than about the agent."""
        ours = words[0] == "we"
        if ours and not _HAPPENED.isdisjoint(words[:6]):
            return True
        if "not" in words[:4] or not _HELPING.isdisjoint(words):
            return False
        if ours and MODALS.isdisjoint(words) and words[1:2] and words[1] not in self._mental:
            return True
        return words[1:2] in (["see"], ["can"]) or "have" in words[:3] or "<order>" in words
