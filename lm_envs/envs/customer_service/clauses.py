"""Clauses of a sentence, with what each is: a statement, a question, a condition or a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lm_envs.envs.customer_service.patterns import Line

SUBJECTS = frozenset("i we you it they he she there this that these those".split())
DETERMINERS = frozenset("the your our my a an any all".split())
MODALS = frozenset("will can shall could would may might must should".split())
BE = frozenset("is are was were am be been being".split())
HAVE = frozenset("have has had".split())
DO = frozenset("do does did".split())
AUXILIARIES = MODALS | BE | HAVE | DO
QUESTION_WORDS = frozenset("what which where how who whom whose when why".split())
_FINITE = AUXILIARIES - {"be"}
_BREAKS = frozenset(', ; : ( ) / - " but however although though whereas otherwise'.split())
_CONDITIONS = frozenset("if unless whether".split())
_TIMES = frozenset("when once until till after before assuming provided".split())
_REASONS = frozenset("because since as".split())
_ANY = frozenset("anything everything something someone anyone anybody".split())
LEAD = frozenset(
    "and or so then okay please now also but sorry thanks great well alright hi hello just , yes no sure perfect meanwhile finally".split()
)
_CLOSED = (
    AUXILIARIES
    | QUESTION_WORDS
    | _CONDITIONS
    | _TIMES
    | _REASONS
    | frozenset("about nothing more else all anything everything way that and or so than let me until by of for to with like".split())
)


@dataclass(slots=True)
class Clause:
    """Some words of a sentence.

    Attributes:
        start: index of its first word in the sentence.
        words: lower-case words without forms.
        tags: the same, verbs as lemma and form.
        kind: ``"main"``, ``"if"`` (conditions and times), ``"because"`` or ``"so"`` (a purpose).
        inverted: whether it is worded as a question.
        line: that patterns are matched against.
    """

    start: int
    words: tuple[str, ...]
    tags: tuple[str, ...]
    kind: str
    inverted: bool
    line: Line = field(init=False)

    def __post_init__(self) -> None:
        self.line = Line(self.tags, self.words)


def split(words: Sequence[str], tags: Sequence[str], question: bool = False) -> list[Clause]:
    """The clauses of a sentence, in order.

    Args:
        words: of the sentence, with commas.
        tags: the words with the forms of verbs.
        question: whether it ends with a question mark; otherwise "should it be late, ..." is a condition.
    """
    clauses: list[Clause] = []
    start, kind = 0, "main"
    for index in range(len(words) + 1):
        opened = _opens(words, index, start, kind) if index < len(words) else "main"
        if opened is None:
            continue
        first = start
        while first < index and words[first] in _BREAKS:
            first += 1
        if first < index:
            part = tuple(words[first:index])
            if not question and part[0] in ("should", "had", "were") and part[1:2] and (part[1] in SUBJECTS or part[1] in DETERMINERS):
                kind = "if"
            clauses.append(Clause(first, part, tuple(tags[first:index]), kind, kind != "if" and _inverted(part, question)))
        start, kind = index, opened
    return clauses


def _opens(words: Sequence[str], index: int, start: int, kind: str) -> str | None:
    """The kind of clause that a word begins, or ``None``."""
    word = words[index]
    following = words[index + 1] if index + 1 < len(words) else ""
    if word in _BREAKS:
        return "main"
    previous = words[index - 1] if index else ","
    if word in _CONDITIONS or (word == "provide" and index == start and (following in SUBJECTS or following in ("your", "the"))):
        return "if"
    if (
        word in _TIMES
        and (following in SUBJECTS or following in DETERMINERS or (word == "once" and following not in ("again", "more")))
        and previous not in ("and", "know")
    ):
        return "main" if word == "when" and (index == 0 or following in ("will", "did")) and "?" in words else "if"
    if word == "while" and following in SUBJECTS:
        return "main"
    if (
        word in _REASONS
        and not (word == "as" and following in ("a", "an"))
        and (following in SUBJECTS or following in DETERMINERS or word == "because")
        and previous not in ("such", "far", "long", "soon", "known")
    ):
        return "because"
    if word == "as" and words[index + 1 : index + 3] == ["soon", "as"]:
        return "if"
    if word == "so" and (following in SUBJECTS or following in DETERMINERS) and index > start:
        return "so" if following in ("i", "we", "that") else "main"
    if word in ("and", "or", "then", "plus") and index > start:
        after = words[index + 2] if index + 2 < len(words) else ""
        if following in SUBJECTS or following in ("please", "let") or following in QUESTION_WORDS:
            return "main"
        if following in MODALS and after in SUBJECTS:
            return "main"
        if following in DETERMINERS and not _FINITE.isdisjoint(words[index + 3 : index + 6]):
            return "main"
        if following in ("also", "then") and after in SUBJECTS:
            return "main"
        if kind == "if" and word == "then":
            return "main"
    if word in ("i", "we") and index - start >= 2 and previous not in _CLOSED and previous not in _BREAKS:
        return "main"
    if word == "please" and kind != "main" and index - start >= 3:
        return "main"
    if kind == "if" and word == "you" and following in MODALS and index - start >= 3 and previous not in _CLOSED:
        return "main"
    if kind == "if" and word in MODALS and following in ("you", "i", "we") and index - start >= 3:
        return "main"
    return None


def _inverted(words: Sequence[str], question: bool) -> bool:
    index = 0
    while index < len(words) and words[index] in LEAD:
        index += 1
    rest = words[index : index + 3]
    if not rest:
        return False
    if rest[0] in QUESTION_WORDS:
        return question or rest[1:2] == () or rest[1] not in ("i", "we")
    if (
        rest[0] in ("for", "to", "in", "at", "from", "on", "with", "about", "under", "by", "into", "of")
        and len(rest) > 1
        and rest[1] in ("what", "which", "where", "whom")
    ):
        return True
    return (
        rest[0] in AUXILIARIES
        and len(rest) > 1
        and (
            rest[1] in SUBJECTS
            or rest[1] in DETERMINERS
            or rest[1] in _ANY
            or (rest[1] == "not" and rest[2:3] != () and rest[2] in SUBJECTS)
        )
    )
