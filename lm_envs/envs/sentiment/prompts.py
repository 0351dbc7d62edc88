"""Where openings come from: the bundled file, or first halves of real reviews."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lm_envs.envs.sentiment.grammar import FORMS, grammar
from lm_envs.types import SPLITS, Split

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
    from lm_envs import assets  # here, because the bundled prompts need none

    prompts = []
    for rated in assets.hutto_texts():
        words = rated.text.split()
        review = f"{rated.domain}-{rated.id.split('_')[0]}"
        if rated.domain in _REVIEWS and len(words) in _REVIEW_WORDS and _split(review) == split:
            prompts.append(Prompt(f"hutto-{rated.domain}-{rated.id}", " ".join(words[: len(words) // 2]), rated.domain, "cut"))
    return tuple(prompts)


def _split(key: str) -> Split:
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return "test" if share < _TEST_SHARE else "train"
