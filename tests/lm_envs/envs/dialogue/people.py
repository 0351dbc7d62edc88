"""Invented conversations in the form of the `chitchat` asset."""

import numpy as np
import pytest

from lm_envs.assets.chitchat import Chat
from lm_envs.envs.dialogue import conversations, retrieval

THINGS = ("pottery", "sailing", "chess", "gardening", "drumming", "baking", "hiking", "painting", "juggling", "fencing")
PLACES = ("harbour", "village", "valley", "suburb", "island", "forest", "canyon", "prairie", "lakeside", "hillside")
ASKED = (
    ("what do you do for a living?", "I teach {thing} at the {place} school"),
    ("where do you live?", "I rent a flat near some {place} with {thing} clubs"),
    ("do you have any pets?", "I feed two parrots that watch my {thing} in the {place}"),
    ("what do you do for fun?", "I enjoy that {thing} calms my nerves by the {place}"),
    ("what is your favorite food?", "I love noodles from the {place} market after {thing}"),
    ("do you have plans for the weekend?", "I will visit the {place} and try {thing}"),
    ("what music do you like?", "I play {thing} tunes from the {place}"),
    ("how are you?", "I am tired of {thing} on the {place}"),
)


def chats(count=60):
    """Conversations with checksums in all three parts."""
    made = []
    for number in range(count):
        rng = np.random.default_rng(number)
        turns = [(0, f"Hi there number {number}"), (1, "hello! how are you?")]
        for at in rng.permutation(len(ASKED)):
            question, answer = ASKED[at]
            told = answer.format(thing=f"{rng.choice(THINGS)}{number}", place=f"{rng.choice(PLACES)}{number}")
            turns += [(0, told + "\nand you?"), (1, question), (0, told.replace("I ", "I always ", 1)), (1, "oh nice")]
        turns += [(0, "what do you mean?"), (1, "i have to go, nice talking to you")]
        made.append(Chat(f"chat-{number}", tuple(turns), {"witty": 5, "interesting": 7, "upbeat": 5}, "What is your hobby?"))
    return tuple(made)


def index(part, made=None):
    """An index over one part of them."""
    corpus = conversations.corpus(chats() if made is None else made, part)
    return retrieval.Index(corpus, retrieval.postings([exchange.said for exchange in corpus.exchanges]))


@pytest.fixture
def invented(monkeypatch):
    """Let environments speak from the invented conversations."""
    made = {part: index(part) for part in conversations.PARTS}
    monkeypatch.setattr(retrieval, "load", lambda part, vectors="words": made[part])
    return made
