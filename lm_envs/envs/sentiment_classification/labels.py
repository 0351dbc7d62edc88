"""Labels, and how they are read from what an agent writes.

parse_label("I'd say it's negative, not positive.")   ->  "negative"
parse_label('{"label": "Positive"}')                  ->  "positive"
parse_label("negative, neutral or positive")          ->  None
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LABELS = ("negative", "neutral", "positive")

CLEAR_RATING = 0.5  # mean human rating from which a text counts as negative or positive

_SHORT = {"neg": "negative", "neu": "neutral", "pos": "positive"}
_NAMES: Mapping[str, str] = {**{label: label for label in LABELS}, **_SHORT}
_KEYS = ("label", "sentiment", "answer", "polarity")  # of JSON objects; as words they announce a label
_CUES = frozenset((*_KEYS, "verdict", "overall", "final", "therefore", "so"))
_NEGATIONS = frozenset(("not", "no", "non", "never", "neither", "nor", "cannot", "hardly", "than", "instead", "isnt", "without"))
_MORE = frozenset(("more", "next", "continue", "further"))
_NEGATION_REACH = 3  # words
_CUE_REACH = 4  # words and marks
_MOST_WORDS_FOR_MORE = 6
_MAX_CHARS = 4_000  # of a reply; the rest isn't read
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[.!?;:,\n]")
_FENCE = re.compile(r"\A```\w*\s*|\s*```\Z")
_CLAUSE_ENDS = frozenset(".!?;:,\n") | {"but"}
_SENTENCE_ENDS = frozenset(".!?;\n")


def parse_label(reply: str) -> str | None:
    """The label that a reply names, or ``None`` when it names none or several.

    A JSON object counts by its value under ``"label"``, ``"sentiment"``, ``"answer"`` or ``"polarity"``. In other text a label counts where
    it isn't negated in its clause ("not positive", "rather than positive", "neither ... nor"). If different ones are left, the last
    sentence that announces one ("label: ...", "so it is ...") decides, if it names one only. "neg", "neu" and "pos" count alone or in
    JSON.
    """
    text = _FENCE.sub("", reply[:_MAX_CHARS].replace("\u2019", "'").strip())
    if text.startswith(("{", '"')):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return _from_json(value)
    tokens = _tokens(text)
    words = [token for token in tokens if token not in _CLAUSE_ENDS]
    if len(words) == 1:
        return _NAMES.get(words[0])
    sentences = [list(_named(sentence)) for sentence in _sentences(tokens)]
    if len(found := {label for named in sentences for label, _ in named}) <= 1:
        return next(iter(found), None)
    for named in reversed(sentences):
        if any(announced for _, announced in named):
            labels = {label for label, _ in named}
            return labels.pop() if len(labels) == 1 else None
    return None


def wants_more(reply: str) -> bool:
    """Whether a reply that names no label asks for more of the text: a few words, ``more`` or the like among them."""
    words = _tokens(reply[:_MAX_CHARS])
    return len(words) <= _MOST_WORDS_FOR_MORE and (not _MORE.isdisjoint(words) or words[:2] == ["go", "on"])


def of_rating(rating: float) -> str:
    """The label of a mean human rating in [-4, 4]: neutral if it is less than 0.5 away from 0.

    About 20 people rated each text, so that a mean's standard error is near 0.2: from 0.5 on, the mean is surely on its side of 0.
    """
    if abs(rating) < CLEAR_RATING:
        return "neutral"
    return "positive" if rating > 0 else "negative"


def known_label(name: str) -> str:
    """The label of a name in a user's data, in any case and also in three letters; a ``ValueError`` when there is none."""
    if (label := _NAMES.get(name.lower())) is None:
        raise ValueError(f"label must be one of {', '.join((*LABELS, *_SHORT))}; got {ascii(name[:40])}")
    return label


def _from_json(value: Any) -> str | None:
    if isinstance(value, dict):
        value = next((found for key, found in value.items() if key.lower() in _KEYS), None)
    if not isinstance(value, str):
        return None
    return _NAMES.get(value.strip(" .!*").lower())


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.lower())


def _sentences(tokens: Sequence[str]) -> Iterator[list[str]]:
    sentence: list[str] = []
    for token in tokens:
        if token in _SENTENCE_ENDS:
            yield sentence
            sentence = []
        else:
            sentence.append(token)
    yield sentence


def _named(sentence: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The labels that a sentence names and doesn't negate, and if each is announced."""
    for at, token in enumerate(sentence):
        if token in LABELS and not _negated(sentence, at):
            yield token, not _CUES.isdisjoint(sentence[max(0, at - _CUE_REACH) : at])


def _negated(sentence: Sequence[str], at: int) -> bool:
    for word in reversed(sentence[max(0, at - _NEGATION_REACH) : at]):
        if word in _CLAUSE_ENDS:
            return False
        if word in _NEGATIONS or word.endswith("n't"):
            return True
    return False
