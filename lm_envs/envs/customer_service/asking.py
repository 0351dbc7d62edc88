"""Questions and requests in a sentence: for which details, for a yes, for a wish, for anything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_envs.envs.customer_service.clauses import AUXILIARIES, BE, LEAD, MODALS, QUESTION_WORDS, SUBJECTS, Clause
from lm_envs.envs.customer_service.moods import NONE, PROPOSE, WISH
from lm_envs.envs.customer_service.patterns import Line, Patterns

ASK_IT = "ask_it"
"""For "could you check it again?": which detail that is follows from the sentence before."""

ASK_ONE = "ask_one"
"""For "what is the new one?": which detail that is follows from the operation named before."""

TAGS = frozenset("yes right correct okay true".split())
_BROAD = frozenset("order delivery account parcel package website".split())
_DENYING = frozenset(("not", "unable", "never"))
_HELPFUL = re.compile(r"(?<![^ ])would (?:really |also )?(?:help|be (?:great|good|nice|helpful|useful|perfect|ideal|enough)) ")
_GIVEN = frozenset(("tell", "give", "send", "share", "say", "provide"))
_OWN = frozenset(("your", "the", "an", "any", "a"))
_LACKING = frozenset(
    ("i do not have", "we do not have", "i still do not have", "i still do not know", "we still do not know", "i do not yet have")
)
_ABOUT = frozenset("about concern concerns regarding".split())
_AGAIN = frozenset("name email postcode order address".split())
_THANKS = frozenset(("thanks", "thank"))
_GIVING = frozenset("repeat send give share provide check".split())
_INVITING = frozenset("let just shout ask reach contact message write should touch".split())
_VALUES = ("order", "email", "address")
_COMING = frozenset("receive arrive come came get send turn".split())


class Questions:
    """The compiled `asks.json`.

    Args:
        data: the file.
        patterns: to which its own are added.
        rude: whether a line of words is an insult, which asks for nothing.
    """

    def __init__(self, data: Mapping[str, Any], patterns: Patterns, rude: Callable[[Line], bool]) -> None:
        classes = data["classes"]
        self._cues = patterns.add({"cue": data["cues"]}, classes)
        self._slots = patterns.add(data["slots"], classes)
        self._questions = patterns.add({"confirm": data["confirm"], "more": data["more"]}, classes)
        self._starts = frozenset(data["starts"].split())
        self._rude = rude

    def find(self, clauses: list[Clause], question: bool, moods: Mapping[int, set[str]], used: set[int]) -> list[tuple[float, str]]:
        """Acts of asking, each with its place in the sentence.

        Args:
            clauses: of the sentence.
            question: whether it ends with a question mark.
            moods: those of the operations in a clause, by its start.
            used: starts of clauses that are an act; those of the questions are added.
        """
        found: list[tuple[float, str]] = []
        end = clauses[-1].words if clauses else ()
        if question and len(clauses) > 1 and 1 < len(end) < 5 and end[0] in AUXILIARIES and "not" in end and end[-1] in SUBJECTS:
            used.add(clauses[-1].start)
            return [(clauses[-1].start, "confirm")]  # "..., didn't you?"
        if (more := self._more(clauses, question, moods)) is not None:
            return [(more, "ask_more")]
        asking = False
        for index, clause in enumerate(clauses):
            last = question and index == len(clauses) - 1 and clause.kind != "so"
            line = Line((*clause.tags, "<q>"), (*clause.words, "<q>")) if last else clause.line
            names = line.words
            mood = moods.get(clause.start, set())
            start = self._request(clause, line, last)
            if start is None and clauses[index + 1 : index + 2] and clauses[index + 1].words == ("please",) and len(names) < 9:
                start = 0  # "your name and postcode, please"
            if start is None and not (asking and self._continues(clause)):
                asking = False
                continue
            asking = True
            following = clauses[index + 1 : index + 2]
            if clause.words[-1] == "confirm" and following and following[0].words[0] in ("whether", "if"):
                found.append((clause.start, "confirm"))
                used.add(clause.start)
                continue
            if offset := line.text.count(" ", 0, start or 0):
                line = Line(line.tags[offset:], names[offset:])
                names = line.words
            where = clause.start + offset
            if PROPOSE in mood or WISH in mood:
                used.add(clause.start)
                continue
            slots = self._slots.names(line)
            if not slots and offset and not {"not", "refuse"} & set(clause.words):
                slots = self._slots.names(clause.line)  # "the order number is needed"
            if not last and not clause.inverted:
                slots = {slot: at for slot, at in slots.items() if slot not in _VALUES or f"<{slot}>" not in names}
            if last and "<order> or <order>" in line.text:
                used.add(clause.start)
                found.append((where, "ask_order"))
                continue
            if clause.inverted and names[0] in BE and any(name in ("<order>", "<email>", "<address>") for name in names):
                found.append((where, "confirm"))
                used.add(clause.start)
                continue
            if (
                "confirm" in self._questions.names(line)
                and clause.words[0] not in QUESTION_WORDS
                and (clause.inverted or last or clause.words[0] in ("please", "confirm"))
            ):
                if not slots or "<" in line.text.replace("<q>", "") or "that" in names or "right" in names or "correct" in names:
                    found.append((where, "confirm"))
                    used.add(clause.start)
                    continue
            if not slots and index and {"it", "that", "them"} & set(names) and not _GIVING.isdisjoint(names):
                slots = self._slots.names(clauses[index - 1].line)  # "your number, could you repeat it?"
            names_found = self._slots_of(slots, names)
            if names_found:
                used.add(clause.start)
                found += [(where + line.text.count(" ", 0, at), f"ask_{slot}") for slot, at in names_found.items()]
            elif (
                (names[0] in MODALS or not {"again", "please"}.isdisjoint(names))
                and "back" not in names
                and {"it", "that", "them"} & set(names)
                and _GIVING & set(names)
            ):
                used.add(clause.start)
                found.append((where, ASK_IT))
            elif last and "or" in names and len(names) <= 5 and not mood:
                used.add(clause.start)
                found.append((where, "ask_variant"))
            elif clause.inverted and "or" in names and {"want", "like", "prefer", "need"} & set(names) and not mood:
                used.add(clause.start)
                found.append((where, "ask_variant"))
            elif (last or clause.inverted) and "or" in names and not mood and names[0] in BE | MODALS | {"do"}:
                used.add(clause.start)
                found.append((where, "ask_variant" if "one or " in line.text or "one <q>" in line.text else "ask_item"))
            elif last and "one" in names and {"new", "right", "correct", "other"} & set(names):
                used.add(clause.start)
                found.append((where, ASK_ONE))
            elif last and (clause.inverted or mood <= {NONE}):
                used.add(clause.start)
                if (act := self._open(clause, line)) and (clause.inverted or not found):
                    found.append((where, act))
        return found

    def _open(self, clause: Clause, line: Line) -> str:
        """What a question that asks for no detail is."""
        names = line.words
        worded = not QUESTION_WORDS.isdisjoint(names)
        if clause.words[0] in TAGS or (clause.inverted and names[0] in BE and "not" in names[:3] and len(names) < 5):
            return "confirm"
        if worded:
            return ""
        if not clause.inverted:
            return "confirm" if {"you", "it", "that"} & set(names) else ""
        if names[0] in MODALS:
            return "confirm" if names[1] in ("i", "we") else ""
        return "" if self._rude(line) else "ask_problem"

    def _more(self, clauses: list[Clause], question: bool, moods: Mapping[int, set[str]]) -> float | None:
        """Where it is asked whether there is anything else."""
        for index, clause in enumerate(clauses):
            names = (*clause.words, "<q>") if question and index == len(clauses) - 1 else clause.words
            if PROPOSE in moods.get(clause.start, ()):
                continue
            if not (question or clause.kind == "if" or not _INVITING.isdisjoint(names)):
                continue
            if "more" in self._questions.names(Line(names, names)):
                return clause.start
        return None

    def _request(self, clause: Clause, line: Line, last: bool) -> int | None:
        """Where a request begins in a clause's line, or ``None``."""
        if clause.inverted or last:
            return 0
        names = line.words
        if ("would" in names and _HELPFUL.search(line.text)) or (
            clause.words[:2] == ("you", "have") and "not" in clause.words[:4] and not _GIVEN.isdisjoint(clause.words)
        ):
            return 0
        if clause.words[:3] == ("if", "you", "had") or not _THANKS.isdisjoint(clause.words[:4]):
            return None
        first = next((i for i, word in enumerate(clause.words) if word not in LEAD), 0)
        if (
            clause.words[first] in self._starts
            and clause.kind == "main"
            and (clause.tags[first].endswith("/b") or "/" not in clause.tags[first])
        ):
            return 0
        short = len(names) <= 3 or (len(names) <= 6 and "please" in names)
        if (
            short
            and not any("/" in tag and tag[-1] != "n" for tag in clause.tags)
            and AUXILIARIES.isdisjoint(names)
            and self._slots.names(line)
        ):
            return 0
        start = self._cues.names(line).get("cue")
        if names[0] in ("i", "we") and any(
            " ".join(names[:length]) in _LACKING and not _OWN.isdisjoint(names[length : length + 2]) for length in (4, 5)
        ):
            return 0
        if start is not None and not _DENYING.isdisjoint([*names[: line.text.count(" ", 0, start)], *names[:5]]):
            return None
        return start

    def named(self, line: Line) -> tuple[str, ...]:
        """Details that a line of words names, asked for or not."""
        return tuple(slot for slot in self._slots.names(line) if slot in _AGAIN)

    def _continues(self, clause: Clause) -> bool:
        words = [word for word in clause.words if word not in LEAD]
        return (
            clause.kind == "main" and bool(words) and words[0] not in SUBJECTS and AUXILIARIES.isdisjoint(words) and clause.words[0] != "to"
        )

    def _slots_of(self, slots: Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
        slots = dict(slots)
        if "identity" in slots:
            at = slots.pop("identity")
            if not slots.keys() & {"name", "email", "postcode"}:
                slots["postcode"] = at
        if (
            "problem" in slots
            and "with" in names
            and {"wrong", "matter", "problem", "issue", "fault"} & set(names)
            and not _BROAD & set(names)
        ):
            slots["evidence"] = slots["problem"]
        if "reason" in names and "problem" in slots:
            slots.pop("wish", None)
        if slots.keys() & {"address", "variant", "item", "payment", "evidence", "order", "postcode", "name", "email"}:
            slots.pop("wish", None)
        if "evidence" in slots and {"we"} & set(names) and "send" in names:
            slots.pop("item", None)
        if "address" in slots and "postcode of" in " ".join(names):
            slots.pop("address")
        if names[0] == "why" and "problem" in slots:
            return {"problem": slots["problem"]}
        if "item" in slots and ("item that" in " ".join(names) or "payment" in slots):
            slots.pop("evidence" if "payment" not in slots else "item", None)
        if "evidence" in slots and "instead" in names and {"shall", "should", "would"} & set(names):
            slots.pop("evidence")
        if "evidence" in slots and {"wrong", "parcel", "box"} & set(names) or "order" in slots and {"purchase", "orders"} & set(names):
            slots.pop("item", None)
        if "problem" in slots and "help" in names:
            slots.pop("wish", None)
        if "problem" in slots and "wrong" in names:
            slots.pop("address", None)
        if "evidence" in slots and names[:2] == ("how", "did"):
            slots["problem"] = slots.pop("evidence")  # how it came about, not what it looks like
        if "evidence" in slots and "part" in names or "order" in slots and "number" in names:
            slots.pop("item", None)
        if "item" in slots and not _ABOUT.isdisjoint(names):
            slots.pop("problem", None)
        if slots.keys() & {"evidence", "wish", "variant", "address"}:
            slots.pop("problem", None)
        if "evidence" in slots and not _COMING.isdisjoint(names):
            slots.pop("variant", None)
            slots.pop("item", None)
        if "payment" in slots:
            slots.pop("variant", None)
        if "variant" in slots:
            slots.pop("item", None)
        if "name" in slots and ("item" in slots or "product" in names) and "your" not in names and "full" not in names:
            slots.pop("name")
        return slots
