"""Where openings come from: the bundled file, or first halves of real reviews."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lm_envs.envs.sentiment.grammar import FORMS, grammar
from lm_envs.types import SPLITS, Split

HUTTO_FILES = {
    "tweets": "tweets_GroundTruth.txt",
    "film": "movieReviewSnippets_GroundTruth.txt",
    "product": "amazonReviewSnippets_GroundTruth.txt",
    "news": "nytEditorialSnippets_GroundTruth.txt",
}
_REVIEWS = ("film", "product")
_REVIEW_WORDS = range(8, 41)
_TEST_SHARE = 0.2


@dataclass(frozen=True)
class Prompt:
    """A text to be continued.

    Attributes:
        id: tells prompts apart; the same in every run.
        text: what the agent reads.
        domain: what it is about, a key of the grammar.
        form: how it ends, a key of ``FORMS``.
    """

    id: str
    text: str
    domain: str
    form: str


@dataclass(frozen=True)
class Rated:
    """A text of the ``hutto`` data with the mean of its 20 human ratings, -4 to 4."""

    id: str
    rating: float
    text: str


@cache
def bundled(split: Split) -> tuple[Prompt, ...]:
    """The openings of ``prompts.json``.

    Raises:
        ValueError: for an unknown domain or form, or an opening listed twice, in either split.
    """
    data = json.loads(Path(__file__).with_name("prompts.json").read_text("utf-8"))
    prompts: dict[str, list[Prompt]] = {name: [] for name in SPLITS}
    seen: set[str] = set()
    for domain, splits in data.items():
        if domain not in grammar():
            raise ValueError(f"prompts.json: unknown domain {domain!r}")
        for name, forms in splits.items():
            for form, texts in forms.items():
                if form not in FORMS:
                    raise ValueError(f"prompts.json: unknown form {form!r}; known: {', '.join(FORMS)}")
                for text in texts:
                    if text in seen:
                        raise ValueError(f"prompts.json lists {text!r} twice")
                    seen.add(text)
                    prompts[name].append(Prompt(f"bundled-{name}-{len(prompts[name])}", text, domain, form))
    return tuple(prompts[split])


@cache
def hutto(split: Split) -> tuple[Prompt, ...]:
    """First halves of film and product reviews of 8 to 40 words; a review is in one split, by a hash of its id.

    Raises:
        lm_envs.assets.AssetError: when the data can't be had.
    """
    prompts = []
    for domain in _REVIEWS:
        for rated in read_hutto(domain):
            words = rated.text.split()
            if len(words) in _REVIEW_WORDS and _split(f"{domain}-{rated.id.split('_')[0]}") == split:
                prompts.append(Prompt(f"hutto-{domain}-{rated.id}", " ".join(words[: len(words) // 2]), domain, "cut"))
    return tuple(prompts)


def read_hutto(domain: str) -> Iterator[Rated]:
    """The rated texts of one of :data:`HUTTO_FILES`.

    Raises:
        lm_envs.assets.AssetError: when the data can't be had.
        ValueError: for a line that isn't an id, a rating within [-4, 4] and a text.
    """
    from lm_envs import assets  # here, because the bundled prompts need none

    folder, name = assets.path("hutto"), HUTTO_FILES[domain]
    path = next(iter(sorted(folder.rglob(name))), None)
    if path is None:
        raise assets.AssetError(f"{folder} holds no {name}")
    with path.open(encoding="utf-8", errors="replace") as lines:
        rows = [line.rstrip("\n").split("\t", 2) for line in lines]
    for number, fields in enumerate(rows, start=1):
        if len(fields) != 3 or not -4 <= float(fields[1]) <= 4:
            raise ValueError(f"{path.name}:{number}: expected an id, a rating within [-4, 4] and a text, got {fields!r:.80}")
        yield Rated(fields[0], float(fields[1]), fields[2])


def _split(key: str) -> Split:
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return "test" if share < _TEST_SHARE else "train"
