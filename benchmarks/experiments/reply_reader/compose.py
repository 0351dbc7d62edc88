"""Sentences with labels, composed from the phrases of `operations.json` (what can be done, in moods, with reasons) and `talk.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
OPERATIONS = json.loads((HERE / "operations.json").read_text("utf-8"))
TALK = json.loads((HERE / "talk.json").read_text("utf-8"))
REASON_FACTS = {"shipped": ["status=shipped"], "sold_out": ["stock=out"]}
MOODS = ["offer"] * 5 + ["offer confirm"] * 3 + ["done"] * 5 + ["refuse"] * 6 + ["inform"] * 3 + ["", ""]
MOODS += ["confirm", "ask_order", "ask_postcode", "ask_problem"]
SOCIAL = ["greet", "thank", "empathise", "bye", "wait", "rude", "confirm", "ask_more", "", "inform", "", "inform", "rude", "wait"]

Labelled = tuple[str, set[str]]


def pick(rng: np.random.Generator, items: Sequence[Any]) -> Any:
    """One of the items."""
    return items[int(rng.integers(len(items)))]


def sentence(rng: np.random.Generator) -> Labelled:
    """A sentence and its labels: acts, and facts as ``kind=value``."""
    text, labels = pick(rng, KINDS)(rng)
    labels = set(labels)
    question = text.endswith("?")
    if rng.random() < 0.3:
        before = pick(rng, TALK["before"])
        text = before + text
        if before in TALK["before_acts"]:
            labels.add(TALK["before_acts"][before])
    if rng.random() < 0.2:
        text = (text[:-1] if question else text) + pick(rng, TALK["after"]) + ("?" if question else "")
    if rng.random() < 0.12:
        other, more = pick(rng, KINDS)(rng)
        if "reason" not in str(labels) and "reason" not in str(more):
            text = (text[:-1] if question else text) + pick(rng, TALK["links"]) + other
            labels |= set(more)
            question = other.endswith("?")
    text = _values(rng, text)
    if rng.random() < 0.8:
        text = text[0].upper() + text[1:]
    if not question and rng.random() < 0.85:
        text += pick(rng, [".", ".", ".", "!"])
    elif question and rng.random() < 0.05:
        text = text[:-1]
    return text, labels


def _values(rng: np.random.Generator, text: str) -> str:
    def number(low: int, high: int) -> str:
        return str(rng.integers(low, high))

    makers = {
        "<order>": lambda: number(2000, 9999),
        "<money>": lambda: pick(rng, ["£{}.50", "£{}", "{} pounds"]).format(number(5, 150)),
        "<days>": lambda: f"{number(2, 60)} days",
        "<date>": lambda: f"{number(1, 28)} {pick(rng, ['May', 'June', 'March'])}",
        "<address>": lambda: f"{number(1, 99)} Mill Lane, Leeds LS1 4AB",
        "<email>": lambda: f"a.b{number(0, 99)}@mail.example",
        "<article>": lambda: f"KB-{number(1, 34)}",
        "<points>": lambda: f"{number(10, 2000)} points",
    }
    for name, make in makers.items():
        while name in text:
            text = text.replace(name, make(), 1)
    return text


def _operation(rng: np.random.Generator) -> Labelled:
    mood, operation = pick(rng, MOODS), pick(rng, list(OPERATIONS["ops"]))
    words, frame = OPERATIONS["ops"][operation], pick(rng, OPERATIONS["moods"][mood])
    text = frame
    for slot in ("vb", "pp", "nom", "subj", "ppass"):
        text = text.replace(f"{{{slot}}}", pick(rng, words[slot]))
    named = [operation]
    slot = next((slot for slot in ("vb", "pp") if f"{{{slot}}}" in frame), "")
    if mood in ("offer", "done", "refuse") and slot and rng.random() < 0.12:
        other = pick(rng, list(OPERATIONS["ops"]))
        if other != operation:
            both = pick(rng, words[slot]) + (pick(rng, [" and ", " or "]) if mood == "refuse" else " and ")
            text = frame.replace(f"{{{slot}}}", both + pick(rng, OPERATIONS["ops"][other][slot]))
            named.append(other)
    labels = {f"{part}_{name}" if part in ("offer", "done", "refuse") else part for name in named for part in mood.split()}
    if mood.startswith("offer") and operation == "return" and rng.random() < 0.3:
        return pick(rng, TALK["send_back"]), {"offer_return"}
    if mood == "refuse" and rng.random() < 0.4:
        text, labels = _with_reason(rng, text, labels)
    return text, labels


def _with_reason(rng: np.random.Generator, text: str, labels: set[str]) -> Labelled:
    reason = pick(rng, list(OPERATIONS["reasons"]))
    words = pick(rng, OPERATIONS["reasons"][reason])
    after = rng.random() < 0.7
    text = text + pick(rng, TALK["because"]).format(words) if after else pick(rng, TALK["therefore"]).format(words, text)
    return text, {*labels, f"reason={reason}", *REASON_FACTS.get(reason, [])}


def _refusal(rng: np.random.Generator) -> Labelled:
    text, labels = pick(rng, TALK["refusals"]), {"refuse"}
    if rng.random() < 0.6:
        text, labels = _with_reason(rng, text, labels)
    elif rng.random() < 0.3:
        text, labels = pick(rng, TALK["foreign"]).format(pick(rng, TALK["topics"])), {"refuse", "reason=scope"}
    return text, labels | ({"empathise"} if "sorry" in text else set())


def _question(rng: np.random.Generator) -> Labelled:
    slots = list(rng.permutation(list(TALK["np"]))[: 1 if rng.random() < 0.75 else 2])
    labels = {f"ask_{slot}" for slot in slots}
    if len(slots) == 1 and rng.random() < 0.45:
        return pick(rng, TALK["free"][f"ask_{slots[0]}"]), labels
    return pick(rng, TALK["frames"]).replace("{np}", " and ".join(pick(rng, TALK["np"][slot]) for slot in slots)), labels


def _social(rng: np.random.Generator) -> Labelled:
    act = pick(rng, SOCIAL)
    return pick(rng, TALK["free"][act]), {act} - {""}


def _fact(rng: np.random.Generator) -> Labelled:
    labels = pick(rng, list(TALK["facts"]))
    return pick(rng, TALK["facts"][labels]), set(labels.split())


def _reason(rng: np.random.Generator) -> Labelled:
    reason = pick(rng, list(OPERATIONS["reasons"]))
    return pick(rng, OPERATIONS["reasons"][reason]), {"inform", f"reason={reason}", *REASON_FACTS.get(reason, [])}


KINDS = [_operation] * 9 + [_refusal] * 2 + [_question] * 6 + [_social] * 5 + [_fact] * 3 + [_reason]
