"""Invented conversations in the form of the `chitchat` asset."""

import numpy as np
import pytest

from lm_envs.assets.chitchat import Chat
from lm_envs.envs.dialogue import conversations, retrieval

THINGS = ("pottery", "sailing", "chess", "gardening", "drumming", "baking", "hiking", "painting", "juggling", "fencing")
PLACES = ("harbour", "village", "valley", "suburb", "island", "forest", "canyon", "prairie", "lakeside", "hillside")


def chats(count=60):
    """Conversations with checksums in all three parts."""
    made = []
    for number in range(count):
        rng = np.random.default_rng(number)
        thing, place = (str(rng.choice(words)) for words in (THINGS, PLACES))
        turns = (
            (0, f"Hi there number {number}"),
            (1, "hello! how are you?"),
            (0, f"I am fine, I did some {thing} near the {place}\nand you?"),
            (1, f"I live in a {place} with {number} cats"),
            (1, f"what do you like about {thing}?"),
            (0, f"I enjoy that {thing} calms my nerves"),
            (1, "what is your favorite food?"),
            (0, f"I love noodles from the {place} market {number}"),
            (1, "i have to go, nice talking to you"),
            (0, "what do you mean?"),
        )
        made.append(Chat(f"chat-{number}", turns, {"witty": 5, "interesting": 7, "upbeat": 5}, "What is your hobby?"))
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
