"""The scripted expert: listens, reacts, answers when asked, and asks on or about something new, in other words than before."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from lm_envs.envs.dialogue import retrieval
from lm_envs.envs.dialogue.lines import lines, pick, react
from lm_envs.envs.dialogue.listener import Answer, Listener
from lm_envs.envs.dialogue.partner import Partner
from lm_envs.envs.dialogue.persona import topics
from lm_envs.envs.dialogue.scoring import reward
from lm_envs.envs.dialogue.spoken import SpokenPartner

_DETAIL_ODDS = 0.7
_RETRIEVED = 12
_GOOD_ENOUGH = 0.98  # of a turn's value, from which no better reply is looked for


def knowing(partner: Partner | SpokenPartner, rng: np.random.Generator, said: str, *, first: bool) -> str:
    """A reply to a partner with a persona, by one who knows what it has told and what not.

    Args:
        partner: whom it talks with.
        rng: where its choices come from.
        said: what it said before.
        first: whether this is the first reply.
    """
    table = lines()
    parts = []
    if first and partner.last:
        parts.append(pick(table["greet"][partner.last.tone], rng).format(name=partner.persona.name))
    elif partner.last:
        parts.append(react(partner.last.tone, partner.last.key, rng, said))
    if partner.asked_back:
        parts.append(pick(table["own"][partner.topic], rng, said))
    kind, topic = next_question(partner, rng)
    parts.append(pick(table[kind][topic], rng, said))
    return " ".join(parts)


def next_question(partner: Partner | SpokenPartner, rng: np.random.Generator) -> tuple[Literal["ask", "follow"], str]:
    """Whether to ask on or about something new, and the topic."""
    topic, told = partner.topic, partner.told
    rest = {other: count for other, count in told.items() if other != topic and count < 2}
    fresh = [other for other, count in rest.items() if count == min(rest.values())]
    if told[topic] == 1 and (not fresh or rng.random() < _DETAIL_ODDS):
        return "follow", topic
    return "ask", topic if told[topic] == 0 or not fresh else pick(fresh, rng)


def openly(partner: Listener, rng: np.random.Generator, said: str, *, first: bool) -> Iterator[str]:
    """Replies to a partner of whom nothing is known: a reaction with each question, then what people answered to something like it."""
    table = lines()
    order = [topics()[at] for at in rng.permutation(len(topics()))]
    start = [react(partner.last.tone, partner.last.key, rng, said)] if partner.last else []
    if partner.asked_back:
        start.append(pick(table["own"][pick(topics(), rng)], rng, said))
    questions = [(kind, topic) for topic in order for kind in ("ask", "follow")]
    for kind, topic in questions:
        yield " ".join([*start, pick(table[kind][topic], rng, said)])
    index = retrieval.load("agent")
    for row, _ in index.nearest(partner.spoken, _RETRIEVED):
        yield index.corpus.exchanges[row].answer


def ahead(partner: Listener, candidates: Iterable[str]) -> str:
    """The first of the candidates with the highest reward: it looks a turn ahead, which an agent can't."""
    best, chosen = -math.inf, ""
    for candidate in candidates:
        worth = value(copy.deepcopy(partner).hear(candidate))
        if worth > best:
            best, chosen = worth, candidate
        if best >= _GOOD_ENOUGH:
            break
    return chosen


def value(answer: Answer) -> float:
    """What the default reward makes of an answer, times ``max_turns``."""
    return sum(weight * answer.signals[name] for name, weight in reward.weights.items())
