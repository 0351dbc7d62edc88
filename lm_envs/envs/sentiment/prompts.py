"""Where openings come from: the bundled file, first halves of texts that people rated, or a user's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lm_envs.core import one_of
from lm_envs.envs.sentiment.grammar import FORMS, grammar
from lm_envs.types import SPLITS, Split
from lm_envs.user_data import TEST_SHARE, is_named, read_split

_WORDS = range(8, 41)  # of a text whose first half is an opening
_ENDS = (".", "!", "?")


class _TextOfDomain(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def domain(self) -> str: ...


Item = TypeVar("Item", bound=_TextOfDomain)


@dataclass(frozen=True)
class Prompt:
    """A text to be continued.

    Attributes:
        id: tells prompts apart; the same in every run.
        text: what the agent reads.
        domain: what it is about; may be empty in a user's data.
        form: how it ends, a key of ``FORMS``.
    """

    id: str
    text: str
    domain: str
    form: str


def load(prompts: Any, split: Split, columns: Mapping[str, str] | None = None) -> tuple[Prompt, ...]:
    """Openings by the name of their source, or a user's own; a tuple of `Prompt` as it is.

    Args:
        prompts: ``"bundled"``, ``"hutto"``, or as for :func:`own`.
        split: which of its splits.
        columns: as for :func:`own`.

    Raises:
        ValueError: for an unknown name, and for ``columns`` with a known one.
        AssetError: when ``"hutto"`` can't be had.
        DataError: when a user's own can't be used.
    """
    if isinstance(prompts, tuple) and prompts and all(isinstance(prompt, Prompt) for prompt in prompts):
        return prompts
    named = {"bundled": bundled, "hutto": hutto}
    return named[prompts](split) if is_named("prompts", prompts, named, columns) else own(prompts, split, columns)


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
    """First halves of the rated texts of 8 to 40 words: film and product reviews, news, tweets.

    A review or an article is in one split, by a checksum of its id; an opening that is in both all the same is left to "test".

    Raises:
        lm_envs.assets.AssetError: when the data can't be had.
    """
    from lm_envs import assets  # here, because the bundled prompts need none

    openings = []
    for rated in assets.hutto_texts():
        words = rated.text.split()
        if len(words) in _WORDS:
            opening = " ".join(words[: len(words) // 2])
            openings.append((rated.source, Prompt(f"hutto-{rated.domain}-{rated.id}", opening, rated.domain, "cut")))
    return by_source(openings, split)


def own(source: Any, split: Split, columns: Mapping[str, str] | None = None) -> tuple[Prompt, ...]:
    """A user's openings: rows with the column ``"text"`` and perhaps ``"domain"``, as :func:`lm_envs.user_data.read_split` takes them.

    Raises:
        lm_envs.user_data.DataError: when they can't be used; the message says which row and why.
    """
    return read_split(source, split, _own, lambda prompt: prompt.text, required=("text",), optional=("domain",), names=columns)


def of_domain(items: tuple[Item, ...], domain: str | Sequence[str] | None) -> tuple[Item, ...]:
    """Those of one or several domains; all for ``None``.

    Raises:
        ValueError: for a domain that no item has; the message names those there are.
    """
    if domain is None:
        return items
    known = sorted({item.domain for item in items} - {""})
    if not known:
        raise ValueError(f"domain={domain!r}: the data tell no domains apart; a column 'domain' would")
    wanted = [one_of("domain", each, known) for each in ((domain,) if isinstance(domain, str) else domain)]
    if not wanted:
        raise ValueError(f"domain must name at least one of {', '.join(map(repr, known))}")
    return tuple(item for item in items if item.domain in wanted)


def by_source(items: Iterable[tuple[str, Item]], split: Split) -> tuple[Item, ...]:
    """Items of one split, all of a source's in the same; a text that is in both all the same is left to "test"."""
    parts: dict[str, list[Item]] = {name: [] for name in SPLITS}
    for source, item in items:
        parts[split_of(source)].append(item)
    tests = {item.text for item in parts["test"]}
    return tuple(item for item in parts[split] if split == "test" or item.text not in tests)


def split_of(key: str) -> Split:
    """The split of what has this id, by a checksum: one in five is for testing."""
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return "test" if share < TEST_SHARE else "train"


def _own(values: dict[str, str]) -> Prompt:
    text = values["text"]
    return Prompt(f"own-{checksum(text)}", text, values["domain"], "sentence" if text.endswith(_ENDS) else "cut")


def checksum(text: str) -> str:
    """What tells texts apart in their ids."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]
