"""What a reply says: a reader of English sentences by patterns, offline and in linear time.

    hear("I'm sorry! What is your order number?")  ->  acts ("empathise", "ask_order")
    hear("We can't refund it after 30 days.")      ->  refused, of "refund", for the reason "window", days {30}

How it reads. Text is lower-cased, contractions are written out, and it is cut into sentences and, at commas and words such as
"but", into clauses. Patterns (`data/acts.json`) are lists of words, one space apart:

    word          that word                 a|b       either (``money_back`` is two words in one alternative)
    refund~       a word that so begins     word?     may be missing
    *             up to six words           #         a number

`acts` are found anywhere. `asks` count only in a sentence that is a question or has a cue of a request ("could you", "please").
`offers` are commitments: "we will refund you". One with a negation in or beside it is a refusal of that operation; one in a question
("shall I refund you?") asks for the customer's wish; one on condition that the customer first gives a detail is no commitment yet; one
with a softening word inside ("I can help with your refund") is none.

Limits. Only English, only these patterns: other wordings are not understood, irony and quotation are taken literally, dates are read
only with the month's name, negation reaches as far as its clause. Only the first 1,000 characters are read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import TypeVar

from lm_envs.envs.customer_service.data import load

T = TypeVar("T")

MAX_READ = 1000
_GAP = r"(?:[^ ]+ ){0,6}"
_TOKEN = re.compile(r"[^\W\d_]+|[0-9]+(?:\.[0-9]+)?|£|[.!?;,\n]")
_SENTENCE_END = frozenset(".!?;\n")
_MONEY = frozenset(("£", "pound", "pounds", "gbp"))
_WHOLE = re.compile(r"[0-9]{1,2}")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True)
class Heard:
    """What was understood of one reply.

    Attributes:
        acts: names of speech acts, in the order of their first appearance, each once.
        decisions: operations and ``"hand_over"`` to which the agent committed itself.
        refused: whether something was refused.
        refused_targets: operations that were named as refused.
        reasons: reasons that were given, ``"window"`` or ``"shipped"``; only read with a refusal.
        dates: (day, month number) stated as facts.
        amounts: sums of money, in pounds.
        days: counts of days.
        text: the words that were read, for comparison with other replies.
        silent: whether nothing was said at all.
    """

    acts: tuple[str, ...] = ()
    decisions: frozenset[str] = frozenset()
    refused: bool = False
    refused_targets: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    dates: frozenset[tuple[int, int]] = frozenset()
    amounts: frozenset[float] = frozenset()
    days: frozenset[int] = frozenset()
    text: str = ""
    silent: bool = False

    @property
    def asks(self) -> tuple[str, ...]:
        """The details that were asked for, in order."""
        return tuple(act.removeprefix("ask_") for act in self.acts if act.startswith("ask_"))

    @property
    def understood(self) -> bool:
        """Whether anything was."""
        return bool(self.acts or self.decisions or self.refused or self.dates)


def hear(reply: str) -> Heard:
    """Read a reply; any text is allowed, and what is not understood leaves no trace."""
    tokens = _tokens(reply, _lexicon())
    said = [_read(tuple(sentence), question) for sentence, question in _sentences(tokens)]
    refused = any(sentence.refused for sentence in said)
    return Heard(
        acts=tuple(dict.fromkeys(act for sentence in said for act in sentence.acts)),
        decisions=_union(sentence.decisions for sentence in said),
        refused=refused,
        refused_targets=_union(sentence.refused_targets for sentence in said),
        reasons=_union(sentence.reasons for sentence in said) if refused else frozenset(),
        dates=_union(sentence.dates for sentence in said),
        amounts=_union(sentence.amounts for sentence in said),
        days=_union(sentence.days for sentence in said),
        text=" ".join(tokens),
        silent=not reply.strip(),
    )


def _union(sets: Iterable[frozenset[T]]) -> frozenset[T]:
    return frozenset[T]().union(*sets)


@lru_cache(maxsize=4096)  # agents have their phrases
def _read(sentence: tuple[str, ...], question: bool) -> Heard:
    """What one sentence says; reasons are given whether it refuses or not."""
    lexicon = _lexicon()
    words = [token for token in sentence if token != ","]
    text = _line(words)
    found = [(match.start(), name) for name, pattern in lexicon.acts.items() if (match := pattern.search(text))]
    if question or lexicon.cues.search(text):
        asked = {name: match.start() for name, pattern in lexicon.asks.items() if (match := pattern.search(text))}
        if len(asked) > 1:
            asked.pop("wish", None)  # "where would you like it sent?" is about the address alone
        found += [(start, f"ask_{name}") for name, start in asked.items()]
    conditional = bool(lexicon.conditions.search(text))
    decisions: set[str] = set()
    targets: set[str] = set()
    dates: set[tuple[int, int]] = set()
    refused = False
    for clause in _clauses(sentence, lexicon.breaks):
        line = _line(clause)
        offered, denied = _offers(line, lexicon)
        if question and offered:
            found.append((0, "ask_wish"))
        elif not conditional:
            decisions |= offered
        targets |= denied
        refusal = lexicon.refusals.search(line)
        refused |= bool(denied) or (refusal is not None and not question and not lexicon.blocked("refuse", line, refusal))
        if not question and lexicon.negators.isdisjoint(clause):
            dates |= _dates(clause, lexicon.months)
    return Heard(
        acts=tuple(name for _, name in sorted(found)),
        decisions=frozenset(decisions),
        refused=refused,
        refused_targets=frozenset(targets),
        reasons=frozenset(name for name, pattern in lexicon.reasons.items() if pattern.search(text)),
        dates=frozenset(dates),
        amounts=frozenset(_amounts(words)),
        days=frozenset(_days(words)),
    )


@dataclass(frozen=True)
class _Lexicon:
    """The compiled data file."""

    contractions: tuple[tuple[str, re.Pattern[str], str], ...]
    idioms: re.Pattern[str]
    numbers: dict[str, str]
    months: dict[str, int]
    breaks: frozenset[str]
    negators: frozenset[str]
    soft: frozenset[str]
    blocks: dict[str, frozenset[str]]
    cues: re.Pattern[str]
    conditions: re.Pattern[str]
    refusals: re.Pattern[str]
    acts: dict[str, re.Pattern[str]]
    asks: dict[str, re.Pattern[str]]
    offers: dict[str, re.Pattern[str]]
    reasons: dict[str, re.Pattern[str]]

    def blocked(self, kind: str, line: str, match: re.Match[str]) -> bool:
        """Whether a word in or just after a match shows that it means something else."""
        around = {*match.group().split(), *line[match.end() :].split(maxsplit=2)[:2]}
        return not self.blocks.get(kind, frozenset()).isdisjoint(around)


@cache
def _lexicon() -> _Lexicon:
    data = load("acts")
    return _Lexicon(
        contractions=tuple(
            (short, re.compile((r"\b" if short[0].isalpha() and short != "n't" else "") + re.escape(short) + r"\b"), long)
            for short, long in data["contractions"]
        ),
        idioms=re.compile(r"\b(?:" + "|".join(map(re.escape, data["idioms"])) + r")\b"),
        numbers={word: str(number) for word, number in data["numbers"].items()},
        months={name: index for index, names in enumerate(data["months"], 1) for name in names},
        breaks=frozenset(data["breaks"]),
        negators=frozenset(data["negators"]),
        soft=frozenset(data["soft"]),
        blocks={kind: frozenset(words) for kind, words in data["blocks"].items()},
        cues=compile_patterns(data["cues"]),
        conditions=compile_patterns(data["conditions"]),
        refusals=compile_patterns(data["refusals"]),
        **{
            group: {name: compile_patterns(patterns) for name, patterns in data[group].items()}
            for group in ("acts", "asks", "offers", "reasons")
        },
    )


def compile_patterns(patterns: Iterable[str]) -> re.Pattern[str]:
    """One regular expression for lines of space-ended words; it backtracks over gaps of six words only, so it takes linear time."""
    return re.compile(r"(?<![^ ])(?:" + "|".join("".join(map(_element, pattern.split(" "))) for pattern in patterns) + ")")


def _element(element: str) -> str:
    if element == "*":
        return _GAP
    optional = "?" if element.endswith("?") else ""
    alternatives = "|".join(_alternative(alternative) for alternative in element.rstrip("?").split("|"))
    return f"(?:(?:{alternatives}) ){optional}"


def _alternative(text: str) -> str:
    if text == "#":
        return "[0-9][^ ]*"
    if text.endswith("~"):
        return re.escape(text[:-1]) + "[^ ]*"
    return " ".join(map(re.escape, text.split("_")))


def _line(words: Sequence[str]) -> str:
    return "".join(f"{word} " for word in words)


def _tokens(reply: str, lexicon: _Lexicon) -> list[str]:
    text = unicodedata.normalize("NFKC", reply[:MAX_READ]).casefold().replace("’", "'").replace("‘", "'")
    for short, pattern, long in lexicon.contractions:
        if short in text:
            text = pattern.sub(long, text)
    text = lexicon.idioms.sub(" ", text)
    return [lexicon.numbers.get(token, token) for token in _TOKEN.findall(text)]


def _sentences(tokens: Sequence[str]) -> Iterable[tuple[list[str], bool]]:
    """Sentences without their end marks, each with whether it is a question."""
    sentence: list[str] = []
    for token in tokens:
        if token not in _SENTENCE_END:
            sentence.append(token)
        elif sentence:
            yield sentence, token == "?"
            sentence = []
    if sentence:
        yield sentence, False


def _clauses(sentence: Sequence[str], breaks: frozenset[str]) -> Iterable[list[str]]:
    clause: list[str] = []
    for token in sentence:
        if token == "," or token in breaks:
            if clause:
                yield clause
            clause = []
        else:
            clause.append(token)
    if clause:
        yield clause


def _offers(line: str, lexicon: _Lexicon) -> tuple[set[str], set[str]]:
    """Operations offered and operations denied in a clause."""
    offered, denied = set(), set()
    for name, pattern in lexicon.offers.items():
        for match in pattern.finditer(line):
            span = match.group().split()
            near = {*line[: match.start()].split()[-3:], *span, *line[match.end() :].split(maxsplit=2)[:2]}
            if not lexicon.negators.isdisjoint(near):
                denied.add(name)
            elif lexicon.soft.isdisjoint(span) and not lexicon.blocked(name, line, match):
                offered.add(name)
    return offered, denied


def _dates(words: Sequence[str], months: dict[str, int]) -> set[tuple[int, int]]:
    """Days of months: "14 may", "14th of may", "may 14th"."""
    dates: set[tuple[int, int]] = set()
    if months.keys().isdisjoint(words):
        return dates
    plain = [word for word in words if word not in ("of", "th", "st", "nd", "rd", "the")]
    for left, right in pairwise(plain):
        for day, month in ((left, right), (right, left)):
            if month in months and _WHOLE.fullmatch(day) and 1 <= int(day) <= 31:
                dates.add((int(day), months[month]))
    return dates


def _amounts(words: Sequence[str]) -> set[float]:
    if _MONEY.isdisjoint(words):
        return set()
    pairs = list(pairwise(words))
    before = {right for left, right in pairs if left == "£"}
    after = {left for left, right in pairs if right in _MONEY and right != "£"}
    return {float(word[:12]) for word in before | after if _NUMBER.fullmatch(word)}


def _days(words: Sequence[str]) -> set[int]:
    return {int(left[:9]) for left, right in pairwise(words) if right in ("day", "days") and _NUMBER.fullmatch(left) and "." not in left}
