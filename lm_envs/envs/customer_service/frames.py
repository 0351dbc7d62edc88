"""Operations in a clause, and whether they are offered, done or refused.

A mention is a verb ("I will refund it"), a noun with its verb in the passive ("a refund has been issued") or a noun alone ("no refunds").
What is said of it follows from the words to the left of the verb: auxiliary, subject and negation; for a noun, from those around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from lm_envs.envs.customer_service.clauses import MODALS, Clause
from lm_envs.envs.customer_service.moods import DENIED, DONE, GIVEN, INSTRUCT, NONE, OFFER, PROPOSE, REFUSE
from lm_envs.envs.customer_service.nouns import Words
from lm_envs.envs.customer_service.patterns import Patterns

_DENYING = frozenset("not no never cannot if would could".split())
_CHARGED = frozenset(("<money>", "amount", "charge", "fee"))
_SWAPPING = frozenset(("replace", "swap", "change", "exchange", "switch"))
_CONTACTS = frozenset("call ring phone contact write handle take help read answer reply decide talk speak join reach touch review".split())
_INFORMED = frozenset(("ask/p", "inform/p", "informed", "tell/p", "arrange/p", "know", "alert/p"))
_SUMS = frozenset(("money", "<money>", "funds", "payment", "amount", "price"))


@dataclass(frozen=True)
class Mention:
    """An operation named in a clause.

    Attributes:
        operation: one of ``acts.OPERATIONS``.
        mood: offer, done, refuse, propose (a yes/no question), wish (a question what the customer wants) or none.
        start: index of its first word in the clause.
        end: index after its last word.
    """

    operation: str
    mood: str
    start: int
    end: int


class Frames:
    """The compiled `operations.json`."""

    def __init__(self, data: Mapping[str, Any], patterns: Patterns) -> None:
        classes = data["classes"]
        self._verbs = patterns.add(data["verbs"], classes)
        self._passives = patterns.add(data["passives"], classes)
        self._nouns = patterns.add(data["nouns"], classes)
        self._people = patterns.add({"handover": data["people"]}, classes)
        self._fixed = {
            DONE: patterns.add(data["results"], classes),
            OFFER: patterns.add(data["promises"], classes),
        }
        self._bans = patterns.add(data["bans"], classes)
        self._patterns = patterns
        self._all = frozenset((self._verbs, self._passives, self._nouns, self._people, *self._fixed.values(), self._bans))
        self._blocks = {operation: frozenset(words) for operation, words in data["blocks"].items()}
        self._staff = frozenset(classes["people"].split()) - {"person", "lead"}
        self._adverbs = frozenset(data["adverbs"].split())

    def mentions(self, clause: Clause, question: bool, before: Sequence[str] = ()) -> list[Mention]:
        """Operations in a clause, in order, each stretch of words once.

        Args:
            clause: the clause.
            question: whether its sentence ends with a question mark.
            before: words of the clause before, that one without a subject of its own continues.
        """
        if self._all.isdisjoint(self._patterns.matches(clause.line)):
            return self._taken_over(clause, question)
        offset = len(before)
        tags = [*before, *clause.tags]
        view = Words(tags, clause, question, self._adverbs)
        words = view.words
        line, bare = clause.line, words[offset:]
        candidates: list[Mention] = []

        def add(operation: str, start: int, end: int, mood: str) -> None:
            if mood == INSTRUCT:
                mood = OFFER if operation == "return" else NONE
            if mood == GIVEN:
                mood = OFFER if operation in ("refund", "exchange") else NONE
            candidates.append(Mention(operation, mood, start, end))

        for operation, match in self._passives.find(line):
            start, end = _span(match)
            if self._blocked(operation, bare, start, end):
                continue
            head = max((i for i in range(start, end) if clause.tags[i].endswith("/p")), default=end - 1)
            mood = view.participle(head + offset)
            if "no" in bare[max(start - 2, 0) : start]:
                mood = {OFFER: REFUSE, DONE: DENIED}.get(mood, mood)
            add(operation, start, end, mood)
        for operation, match in self._verbs.find(line):
            start, end = _span(match)
            if not {"without", "before"}.isdisjoint(bare[start + 1 : end - 1]):
                continue
            if bare[start : start + 2] == ["make", "sure"]:
                continue
            infinitive = operation != "handover" and end - start > 2 and bare[end - 2] == "to" and clause.tags[end - 1].endswith("/b")
            if not infinitive and not self._blocked(operation, bare, start, end):
                add(operation, start, end, view.mood(start + offset, end + offset))
        for operation, match in self._people.find(line):
            start, end = _span(match)
            add(operation, start, end, REFUSE if "not" in bare[start:end] else OFFER if clause.kind in ("main", "because") else NONE)
        if clause.kind in ("main", "because") and not question and not clause.inverted and _DENYING.isdisjoint(bare):
            for mood, patterns in self._fixed.items():
                for operation, match in patterns.find(line):
                    start, end = _span(match)
                    if mood == OFFER or MODALS.isdisjoint(bare[start:end]):
                        add(operation, start, end, mood)
        if clause.kind != "if" and not question:
            for operation, match in self._bans.find(line):
                add(operation, *_span(match), REFUSE)
        for operation, match in self._nouns.find(line):
            start, end = _span(match)
            if not self._blocked(operation, bare, start, end):
                add(operation, start, end, view.noun(start + offset, end + offset))
        if not any(mention.operation == "handover" and mention.mood != NONE for mention in candidates):
            candidates += self._taken_over(clause, question)
        found: list[Mention] = []
        moved = [mention for mention in candidates if mention.operation == "exchange" and mention.mood != NONE]
        candidates = [m for m in candidates if m.operation != "address" or not any(m.start < x.end and x.start < m.end for x in moved)]
        for mention in sorted(candidates, key=lambda mention: (mention.mood == NONE, mention.start)):
            if not any(m.operation == mention.operation and mention.start < m.end and m.start < mention.end for m in found):
                found.append(mention)
        found.sort(key=lambda mention: mention.start)
        for index, (first, second) in enumerate(pairwise(found), 1):
            if (
                second.mood == NONE
                and 0 <= second.start - first.end < 3
                and bare[first.end : first.end + 1] in (["or"], ["and"])
                and not question
            ):
                found[index] = replace(second, mood=first.mood)  # "I can do a refund or an exchange"
        return sorted((mention for mention in found if mention.mood != DENIED), key=lambda mention: mention.start)

    def _taken_over(self, clause: Clause, question: bool) -> list[Mention]:
        """A person of the shop who is said to do what contact means: "I'll let a colleague handle it"."""
        words, kind = clause.words, clause.kind
        if self._staff.isdisjoint(words):
            return []
        at = next(i for i, word in enumerate(words) if word in self._staff)
        then = next((i for i in range(at + 1, len(words)) if words[i] in _CONTACTS), -1)
        if then < 0 or kind in ("if", "so") or words[0] in _CONTACTS or words[0] == "you":
            return []
        if not _DENYING.isdisjoint(words):
            mood = REFUSE if {"can", "could", "available", "will", "do"} & set(words) else NONE
        elif question:
            mood = PROPOSE if words[0] in ("shall", "should", "may", "can") else NONE
        else:
            informed = any(tag in _INFORMED for tag in clause.tags) and not MODALS.intersection(words[:at])
            mood = DONE if informed else OFFER if not MODALS.isdisjoint(words) or "let" in words else NONE
        return [Mention("handover", mood, at, then + 1)]

    def _blocked(self, operation: str, words: Sequence[str], start: int, end: int) -> bool:
        first = max(start - 6, 0) if operation == "return" else start
        if operation == "payment" and not _CHARGED.isdisjoint(words[max(start - 6, 0) : start]):
            return True
        if operation == "exchange" and words[start] in _SWAPPING and not {"card", "payment", "address"}.isdisjoint(words[end : end + 3]):
            return True
        if operation == "return" and "and" not in words[end : end + 1] and not _SUMS.isdisjoint(words[end : end + 3]):
            return True
        if (
            operation == "return"
            and words[start - 1 : start] in (["be"], ["been"], ["was"], ["were"])
            and not _SUMS.isdisjoint(words[max(start - 5, 0) : start])
        ):
            return True  # "the amount has been returned to you"
        last = end + 3 if operation == "handover" else end + 1
        return not self._blocks.get(operation, frozenset()).isdisjoint(words[first:last])


def _span(match: re.Match[str]) -> tuple[int, int]:
    first = match.string.count(" ", 0, match.start())
    return first, first + match.group().count(" ")
