"""What a reply says: a reader of free English, offline and in linear time.

    read("I'm sorry! What is your order number?")  ->  acts ("empathise", "ask_order")
    read("We can't refund it after 30 days.")      ->  acts ("refuse_refund",), facts {("reason", "window"), ("days", "30")}

How it reads. The first 2,000 characters are cut into sentences. In each, values are found (`entities.py`), words are mended and verbs
reduced to lemma and form (`words.py`), and clauses are told apart: statements, questions, conditions and reasons (`clauses.py`).
Operations are understood from their frame: auxiliary, subject, negation (`frames.py`). Requests for details, courtesies, states and
reasons are word patterns (`patterns.py` explains them) from `data/understanding`. What is left and is about the shop's business is
``inform``. A small network has the last word where it is sure (`learned.py`).

Limits. Only English; irony and quotation are taken literally; a pronoun's reference is not resolved, so that "that isn't possible" is
a refusal without its operation; each sentence is read by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from lm_envs.envs.customer_service import learned
from lm_envs.envs.customer_service.acts import AGENT_ACTS, OPERATIONS, REASONS, SLOTS, Reading
from lm_envs.envs.customer_service.asking import ASK_IT, ASK_ONE, TAGS, Questions
from lm_envs.envs.customer_service.clauses import BE, LEAD, Clause, split
from lm_envs.envs.customer_service.data import DataError, load, load_checked
from lm_envs.envs.customer_service.entities import Entities
from lm_envs.envs.customer_service.frames import Frames, Mention
from lm_envs.envs.customer_service.moods import DONE, NONE, OFFER, PROPOSE, REFUSE, WISH
from lm_envs.envs.customer_service.patterns import Line, Patterns
from lm_envs.envs.customer_service.telling import Statements
from lm_envs.envs.customer_service.words import Lexicon, sentences

_ONE = {"address": "address", "payment": "payment", "exchange": "variant"}
_PRONOUNS = frozenset(("it", "one"))
_NOBODY = frozenset(("nobody", "no", "nothing"))
_MEANT = {"address": "address", "card": "payment", "payment": "payment", "ticket": "ticket", "complaint": "ticket"}
_MOMENT = frozenset("moment minute second sec moments minutes seconds hold bear wait".split())
_LINKS = frozenset("so because since as therefore hence".split())
_CHOOSING = frozenset("want like prefer rather whether choose".split())
_PROPOSING = frozenset("suggest recommend propose advise".split())
_TELLING = frozenset("tell know say choose decide need require ask confirm share".split())


@dataclass(frozen=True)
class _Said:
    """What one sentence says; reasons are given whether it refuses or not."""

    acts: tuple[str, ...]
    facts: frozenset[tuple[str, str]]
    reasons: frozenset[str]
    named: tuple[str, ...]
    words: int


def read(text: str, known: Mapping[str, Any] | None = None) -> Reading:
    """Read an agent's text to the customer. Any text is allowed; what is not understood leaves no trace.

    Args:
        text: the reply. Only its first 2,000 characters count.
        known: what the reader may rely on: ``"addresses"``, an iterable of postal addresses to be recognised as written.
    """
    if not text or not text.strip():
        return Reading(silent=True)
    addresses = tuple(sorted(str(address).lower() for address in (known or {}).get("addresses", ())))
    said = [_sentence(sentence, addresses) for sentence in sentences(text)]
    acts = tuple(dict.fromkeys(act for sentence in said for act in sentence.acts))
    if ASK_IT in acts:
        named = next((sentence.named[0] for sentence in said if sentence.named), "")
        acts = tuple(dict.fromkeys(act if act != ASK_IT else f"ask_{named}" for act in acts if act != ASK_IT or named))
    if ASK_ONE in acts:
        about = next((_ONE[act.partition("_")[2]] for act in acts if act.partition("_")[2] in _ONE), "")
        acts = tuple(act if act != ASK_ONE else f"ask_{about}" for act in acts if act != ASK_ONE or about)
    facts = frozenset[tuple[str, str]]().union(*(sentence.facts for sentence in said))
    if any(act.startswith("refuse") for act in acts):
        reasons = frozenset[str]().union(*(sentence.reasons for sentence in said))
        if "warranty" in reasons:
            reasons -= {"window", "sold_out"}
        if "window" in reasons and ("stock", "out") not in facts:
            reasons -= {"sold_out"}
        if any(act.startswith("refuse_") for act in acts):
            reasons -= {"scope"}
        facts |= {("reason", reason) for reason in (reasons - {"policy"} or reasons)}
    return Reading(acts, facts, words=sum(sentence.words for sentence in said))


@lru_cache(maxsize=8192)  # agents have their phrases
def _sentence(sentence: str, addresses: tuple[str, ...]) -> _Said:
    return _reader().read(sentence, addresses)


@cache
def _reader() -> _Reader:
    return _Reader()


class _Reader:
    """The compiled data files."""

    def __init__(self) -> None:
        words = load_checked("understanding/words", _check_words)
        operations = load_checked("understanding/operations", _check_operations)
        asks = load_checked("understanding/asks", _check_asks)
        talk = load_checked("understanding/talk", _check_talk)
        self._lexicon = Lexicon(words, _vocabulary(operations, asks, talk))
        patterns = Patterns(self._lexicon.inflected)
        self._entities = Entities(words, [town["name"] for town in load("people")["towns"]])
        self._frames = Frames(operations, patterns)
        self._statements = Statements(talk, patterns, [product["name"].split()[-1] for product in load("products")["products"]])
        self._questions = Questions(asks, patterns, self._statements.rude)
        self._marks = {mark: article["id"] for article in load("articles")["articles"] for mark in article["marks"]}
        self._mark = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(self._marks, key=len, reverse=True))) + r")\b")

    def read(self, sentence: str, addresses: tuple[str, ...]) -> _Said:
        """What a sentence says."""
        question = sentence.rstrip("\"') ").endswith("?")
        text, values = self._entities.replace(sentence.lower(), addresses)
        words = self._lexicon.words(text)
        tags = [_bare(tag) for tag in self._lexicon.tagged(words)]
        names = [tag.split("/")[0] or tag for tag in tags]
        clauses = split(names, tags, question)
        while question and len(clauses) > 1 and set(clauses[-1].words) <= LEAD - TAGS:
            clauses.pop()  # "your number, please?"
        line = clauses[0].line if clauses and len(clauses[0].tags) == len(tags) else Line(tags, names)
        used: set[int] = set()  # clauses that are an act
        found = self._statements.courtesies(clauses, line)
        mentions = [(clause, mention) for index, clause in enumerate(clauses) for mention in self._mentions(clauses, index, question)]
        mentions = [(clause, _unfulfilled(clause, mention, names)) for clause, mention in mentions]
        found += self._operations(mentions, question or not _TELLING.isdisjoint(names), used)
        moods: dict[int, set[str]] = {}
        for clause, mention in mentions:
            moods.setdefault(clause.start, set()).add(mention.mood)
        acting = [clause for clause, mention in mentions if mention.mood != NONE and _MOMENT.isdisjoint(clause.words)]
        spans = [range(clause.start, clause.start + len(clause.words)) for clause in acting]
        found = [(at, act) for at, act in found if act != "wait" or not any(int(at) in span for span in spans)]
        asked = self._questions.find(clauses, question, moods, used)
        if asked:  # "give me your number and I'll take a look" is no waiting yet
            found = [(at, act) for at, act in found if act != "wait" or at < min(at for at, _ in asked)]
        if any(act == "ask_wish" for _, act in found):
            asked = [(at, act) for at, act in asked if act != "confirm"]
        found += asked
        reasons = self._statements.reasons(line)
        found += self._refusal(clauses, names, question, found, reasons)
        done = {mention.operation for _, mention in mentions if mention.mood == DONE}
        facts = self._statements.facts(clauses, words, values, question, done)
        if not any(act == "wait" for _, act in found):
            facts |= {("article", self._marks[mark]) for mark in self._mark.findall(" ".join(sentence.lower().split()))}
        refused = any(act.startswith("refuse") for _, act in found)
        found += self._informs([clause for clause in clauses if clause.start not in used], clauses, question, refused)
        if not found and facts and not question:
            found.append((0.0, "inform"))
        acts = tuple(dict.fromkeys(act for _, act in sorted(found, key=lambda item: item[0])))
        acts, facts, reasons = _amended(tags, question, acts, facts, reasons)
        return _Said(acts, frozenset(facts), frozenset(reasons), self._questions.named(line), len(sentence.split()))

    def _mentions(self, clauses: list[Clause], index: int, question: bool) -> list[Mention]:
        """Operations in a clause; one without a subject continues the clause before."""
        clause = clauses[index]
        before: tuple[str, ...] = ()
        if index and clauses[index - 1].kind != "if" and clause.kind == "main":
            first = next((tag for tag in clause.tags if tag not in LEAD), "")
            before = (*clauses[index - 1].tags, "and") if "/" in first else ()
        asked = question and (index == len(clauses) - 1 or clause.inverted)
        mentions = self._frames.mentions(clause, asked, before)
        if ("would" in clause.words or "could" in clause.words) and any(c.kind == "if" and "had" in c.words[:4] for c in clauses):
            return [replace(mention, mood=REFUSE if mention.mood == OFFER else mention.mood) for mention in mentions]
        if index and all(mention.mood == NONE for mention in mentions):
            mentions = self._meant(clauses[:index], clause, asked) or mentions
        if index and clauses[index - 1].words[0] == "there" and not _NOBODY.isdisjoint(clauses[index - 1].words):
            return [replace(mention, mood=REFUSE if mention.mood == OFFER else mention.mood) for mention in mentions]
        return mentions

    def _meant(self, before: list[Clause], clause: Clause, asked: bool) -> list[Mention]:
        """Operations in a clause whose "it" or "one" stands for a noun of a clause before: "the address is fixed, I can't alter it"."""
        if _PRONOUNS.isdisjoint(clause.words):
            return []
        for earlier in reversed(before):
            for word, noun in _MEANT.items():
                if word in earlier.words:
                    tags = tuple(noun if tag in _PRONOUNS else tag for tag in clause.tags)
                    words = tuple(tag.split("/")[0] or tag for tag in tags)
                    found = self._frames.mentions(replace(clause, tags=tags, words=words), asked)
                    return [mention for mention in found if mention.mood in (DONE, OFFER, REFUSE)]
        return []

    def _operations(self, mentions: list[tuple[Clause, Mention]], asked: bool, used: set[int]) -> list[tuple[float, str]]:
        found: list[tuple[float, str]] = []
        choices = {mention.operation for _, mention in mentions if mention.mood in (WISH, PROPOSE)}
        either = any("or" in clause.words for clause, _ in mentions)
        wish = len(choices) > 1 and (either or any(mention.mood == WISH for _, mention in mentions))
        named = {mention.operation for _, mention in mentions if mention.mood in (WISH, PROPOSE, NONE)}
        said = {word for clause, _ in mentions for word in clause.words}
        if asked and len(named) > 1 and ("or" in said or {"between", "and"} <= said) and said & _CHOOSING and not said & {"what", "how"}:
            used.update(clause.start for clause, _ in mentions)
            return [(mentions[0][0].start, "ask_wish")]
        done = {(clause.start, mention.operation): mention.start for clause, mention in mentions if mention.mood == DONE}
        for clause, mention in mentions:
            at = clause.start + mention.start
            if mention.mood == OFFER and done.get((clause.start, mention.operation), at) < mention.start:
                continue  # "your refund has been sent and will be credited"
            if mention.mood == NONE:
                continue
            used.add(clause.start)
            if mention.mood in (WISH, PROPOSE):
                found += [(at, "ask_wish")] if wish else [(at, f"offer_{mention.operation}"), (at + 0.1, "confirm")]
            else:
                found.append((at, f"{mention.mood}_{mention.operation}"))
        return found

    def _refusal(
        self, clauses: list[Clause], names: list[str], question: bool, found: list[tuple[float, str]], reasons: set[str]
    ) -> list[tuple[float, str]]:
        """A refusal without its operation; being foreign to the shop is added to the reasons."""
        if question or any(act.startswith("refuse") for _, act in found):
            return []
        at = 0.0 if reasons and (names[:2] == ["no", ","] or names[:2] == ["can", "not"]) else self._statements.refusal(clauses)
        if at is None:
            return []
        if not reasons and self._statements.foreign(names):
            reasons.add("scope")
        return [(at, "refuse")]

    def _informs(self, free: list[Clause], clauses: list[Clause], question: bool, refused: bool) -> list[tuple[float, str]]:
        """Statements in clauses that are no other act; a refusal's reason within its sentence is none."""
        last = clauses[-1] if clauses else None
        if question and len(clauses) > 1 and last is not None and len(last.words) < 7:
            tag = not {"right", "correct"}.isdisjoint(last.words) or last.words[0] in TAGS or (last.words[0] in BE and "not" in last.words)
            if tag and clauses[0].words[:2] not in (("i", "have"), ("i", "see")):
                return []  # "it is 4411, right?"
        linked = any(not _LINKS.isdisjoint(clause.words) or clause.words[:2] == ("which", "mean") for clause in clauses)
        found: list[tuple[float, str]] = []
        for clause in free:
            if question and (clause.inverted or clause is last):
                continue
            if refused and (linked or self._statements.reasons(clause.line) or self._statements.refusal([clause]) is not None):
                continue
            if self._statements.informs(clause):
                found.append((clause.start + 0.5, "inform"))
        return found


def _unfulfilled(clause: Clause, mention: Mention, names: list[str]) -> Mention:
    """An operation that is only wished for is refused: "I would swap it, but there are none"."""
    after = names[clause.start + len(clause.words) :][:3]
    wished = clause.words[:1] in (("i",), ("we",)) and "would" in clause.words[1:4] and _PROPOSING.isdisjoint(clause.words)
    return replace(mention, mood=REFUSE) if mention.mood == OFFER and wished and "but" in after else mention


def _amended(
    tags: list[str], question: bool, acts: tuple[str, ...], facts: set[tuple[str, str]], reasons: set[str]
) -> tuple[tuple[str, ...], set[tuple[str, str]], set[str]]:
    """Acts, facts and reasons of a sentence after the network's second opinion."""
    had = [*acts, *(f"{kind}={value}" for kind, value in facts), *(f"reason={reason}" for reason in reasons)]
    added, dropped = learned.amend(tags, question, had)
    for label in added:
        kind, is_fact, value = label.partition("=")
        if kind == "reason":
            reasons = reasons | {value}
        elif is_fact:
            facts = facts | {(kind, value)}
        else:
            acts = (*acts, label)
    if dropped:
        acts = tuple(act for act in acts if act not in dropped)
        facts = {(kind, value) for kind, value in facts if f"{kind}={value}" not in dropped}
        reasons = {reason for reason in reasons if f"reason={reason}" not in dropped}
    return acts, facts, reasons


def _bare(tag: str) -> str:
    return tag.split(":")[0] + ">" if tag[0] == "<" else tag


def _vocabulary(*parts: Any) -> frozenset[str]:
    """Words that patterns name, that a mistyped word may stand for."""
    words: set[str] = set()
    stack = list(parts)
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            stack += part.values()
        elif isinstance(part, list):
            stack += part
        else:
            for element in part.replace("|", " ").replace("_", " ").split():
                word = element.split("/")[0].rstrip("?")
                if word.isalpha():
                    words.add(word)
    return frozenset(words)


def _check_words(data: Any) -> None:
    _require("words", data, ("contractions", "spellings", "idioms", "numbers", "ordinals", "months", "verbs", "determiners", "plain"))
    if len(data["months"]) != 12:
        raise DataError("understanding/words.json: months: not twelve")


def _check_operations(data: Any) -> None:
    _require("operations", data, ("classes", "verbs", "passives", "nouns", "results", "promises", "bans", "people", "blocks", "adverbs"))
    for group in ("verbs", "passives", "nouns", "results", "promises", "bans", "blocks"):
        if unknown := data[group].keys() - set(OPERATIONS):
            raise DataError(f"understanding/operations.json: {group}: unknown operations {sorted(unknown)}")


def _check_asks(data: Any) -> None:
    _require("asks", data, ("classes", "cues", "starts", "slots", "confirm", "more"))
    if data["slots"].keys() != {*SLOTS, "identity"}:
        raise DataError(f"understanding/asks.json: slots: they must be those of acts.SLOTS and identity, not {sorted(data['slots'])}")


def _check_talk(data: Any) -> None:
    _require("talk", data, ("social", "refusals", "refusals_not", "reasons", "status", "status_not", "stock", "domain", "steps", "mental"))
    if unknown := data["reasons"].keys() ^ set(REASONS):
        raise DataError(f"understanding/talk.json: reasons: unknown or missing {sorted(unknown)}")
    if unknown := data["social"].keys() - set(AGENT_ACTS):
        raise DataError(f"understanding/talk.json: social: unknown acts {sorted(unknown)}")


def _require(name: str, data: Any, keys: tuple[str, ...]) -> None:
    if missing := set(keys) - data.keys():
        raise DataError(f"understanding/{name}.json: entries are missing: {sorted(missing)}")
