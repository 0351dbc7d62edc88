"""What the partner understands of a reply: phrases of ``intents.json`` in its sentences. Any text is safe; time is linear in its length.

understand("Oh no, a nurse. Do you like it?", about="I work as a nurse.")
    -> Understood(topics=(), follows=True, tones={"bad"}, takes_up=True, ...)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import dropwhile
from pathlib import Path

from lm_envs.envs.dialogue.persona import Tone, topics
from lm_envs.envs.english import spelled_out

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[.!?;\n]")
_ENDS = frozenset(".!?;\n")
_SHORT = {"won't": "will not", "can't": "can not", "cannot": "can not", "favorite": "favourite", "im": "i am", "whats": "what is"}
_LONGEST_WORD = 30
_SHORTEST_QUESTION = 3  # words

Phrases = Mapping[str, Sequence[tuple[tuple[str, ...], str]]]  # by first word, longest first: words, meaning


@dataclass(frozen=True)
class Understood:
    """A reply as the partner hears it.

    Attributes:
        topics: those asked about, in order, each once.
        follows: whether it asks on about what is being talked about.
        tones: "bad" when it says something of sympathy, "good" when of gladness.
        takes_up: whether it names what the partner just spoke of.
        own: whether it says something about the speaker.
        greets: whether it is a greeting.
        words: number of words.
        questions: number of questions.
    """

    topics: tuple[str, ...]
    follows: bool
    tones: frozenset[Tone]
    takes_up: bool
    own: bool
    greets: bool
    words: int
    questions: int


def understand(text: str, *, about: str) -> Understood:
    """Understand a reply to what was said ``about`` something; naming any word of substance in it takes it up."""
    phrases = intents()
    keys = {stem(word) for word in words(about) if word not in phrases["empty"]}
    found: list[str] = []
    count = questions = 0
    takes_up = asks_on = own = False
    for sentence, asks in sentences(text):
        count += len(sentence)
        questions += asks
        heard = [*_match(sentence, phrases["always"]), *(_match(sentence, phrases["asked"]) if asks else ())]
        found += heard
        names = any(stem(word) in keys for word in sentence)
        takes_up = takes_up or names
        asks_on = asks_on or (names and asks and len(sentence) >= _SHORTEST_QUESTION) or "follow" in heard
        own = own or (not asks and not {"good", "bad"} & set(heard) and any(word in phrases["own"] for word in sentence))
    asked = tuple(dict.fromkeys(meaning for meaning in found if meaning in topics()))
    tones: frozenset[Tone] = frozenset(tone for tone in ("good", "bad") if tone in found)  # type: ignore[misc]
    return Understood(asked, asks_on and not asked, tones, takes_up, own, "greet" in found, count, questions)


def words(text: str) -> list[str]:
    """The words of a text, in lower case, contractions written out, without punctuation."""
    return [word for word in spelled_out(text, _WORD, _SHORT, _LONGEST_WORD) if word not in _ENDS]


def repetition(reply: str, earlier: Sequence[str]) -> float:
    """Share of the word triples of ``reply`` that occur before in it or in an earlier text, in [0, 1]; of a shorter reply, the whole."""
    seen = {triple for text in earlier for triple in _triples(words(text))}
    own = _triples(words(reply))
    repeated = 0
    for triple in own:
        repeated += triple in seen
        seen.add(triple)
    return repeated / len(own) if own else 0.0


@cache
def intents() -> Mapping[str, Phrases]:
    """``intents.json`` as phrase tables.

    ``"asked"`` is for questions, ``"always"`` for any sentence; ``"starters"``, ``"fillers"``, ``"own"`` and ``"empty"`` are word lists.

    Raises:
        ValueError: when its topics aren't those of the personas, or a phrase has two meanings.
    """
    data = json.loads(Path(__file__).with_name("intents.json").read_text("utf-8"))
    if set(data["topics"]) != set(topics()):
        raise ValueError(f"intents.json has topics {sorted(data['topics'])}, personas.json {sorted(topics())}")
    return {
        "asked": _table({**data["topics"], "follow": data["followups"]}),
        "always": _table({"bad": data["sympathy"], "good": data["gladness"], "greet": data["greetings"]}),
        "starters": _table({"start": data["starters"]}),
        "fillers": _table({"filler": data["fillers"]}),
        "own": _table({"own": data["own"]}),
        "empty": _table({"empty": data["empty"]}),
    }


def _table(meanings: Mapping[str, Sequence[str]]) -> Phrases:
    rows: dict[tuple[str, ...], str] = {}
    for meaning, phrases in meanings.items():
        for phrase in phrases:
            if (row := tuple(phrase.split())) in rows:
                raise ValueError(f"intents.json lists {phrase!r} twice")
            rows[row] = meaning
    table: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for row, meaning in sorted(rows.items(), key=lambda item: -len(item[0])):
        table.setdefault(row[0], []).append((row, meaning))
    return table


def _match(sentence: Sequence[str], phrases: Phrases) -> Iterator[str]:
    """Meanings of the phrases in a sentence, longest first, none overlapping; praise and sympathy don't count right after "not"."""
    position = 0
    while position < len(sentence):
        for row, meaning in phrases.get(sentence[position], ()):
            if tuple(sentence[position : position + len(row)]) == row:
                if meaning not in ("good", "bad") or "not" not in sentence[max(0, position - 2) : position]:
                    yield meaning
                position += len(row)
                break
        else:
            position += 1


def sentences(text: str) -> Iterator[tuple[list[str], bool]]:
    """Sentences as words, and whether each asks something: by its mark, or by how it or a part after a comma begins."""
    for part, mark in _parts(text):
        clauses = [words(clause) for clause in part.split(",")]
        sentence = [word for clause in clauses for word in clause]
        if sentence:
            yield sentence, mark == "?" or any(_starts(clause) for clause in clauses)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    start = 0
    for end in re.finditer(r"[.!?;\n]", text):
        yield text[start : end.start()], end[0]
        start = end.end()
    yield text[start:], ""


def _starts(clause: Sequence[str]) -> bool:
    fillers, starters = intents()["fillers"], intents()["starters"]
    clause = list(dropwhile(lambda word: word in fillers, clause))
    rows = starters.get(clause[0], ()) if clause else ()
    return len(clause) > 2 and any(tuple(clause[: len(row)]) == row for row, _ in rows)


def _triples(said: Sequence[str]) -> list[tuple[str, ...]]:
    if not said:
        return []
    return [tuple(said[at : at + 3]) for at in range(max(1, len(said) - 2))]


def stem(word: str) -> str:
    """A word without the s of a plural."""
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
