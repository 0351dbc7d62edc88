"""Where labelled texts come from: the bundled file, texts that people rated, or a user's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lm_envs.envs.sentiment.prompts import by_source, checksum
from lm_envs.envs.sentiment_classification.labels import LABELS, known_label, of_rating
from lm_envs.types import SPLITS, Split
from lm_envs.user_data import is_named, read_split

DOMAINS = ("film", "product", "news", "tweets")


@dataclass(frozen=True)
class LabelledText:
    """A text and what people feel in it.

    Attributes:
        id: tells texts apart, and tells nothing of the label; the same in every run.
        text: what the agent reads.
        label: one of ``LABELS``.
        domain: where it is from; may be empty in a user's data.
    """

    id: str
    text: str
    label: str
    domain: str


def load(data: Any, split: Split, columns: Mapping[str, str] | None = None) -> tuple[LabelledText, ...]:
    """Texts by the name of their source, or a user's own; a tuple of `LabelledText` as it is.

    Args:
        data: ``"bundled"``, ``"hutto"``, or rows with the columns ``"text"``, ``"label"`` and perhaps ``"domain"``, as
            :func:`lm_envs.user_data.read_split` takes them.
        split: which of its splits.
        columns: what a user's data call these columns, where not so.

    Raises:
        ValueError: for an unknown name, and for ``columns`` with a known one.
        AssetError: when ``"hutto"`` can't be had.
        DataError: when a user's own can't be used; the message says which row and why.
    """
    if isinstance(data, tuple) and data and all(isinstance(text, LabelledText) for text in data):
        return data
    named = {"bundled": bundled, "hutto": hutto}
    if is_named("data", data, named, columns):
        return named[data](split)
    how: dict[str, Any] = {"required": ("text", "label"), "optional": ("domain",), "names": columns}
    return read_split(data, split, _own, lambda text: text.text, **how)


@cache
def bundled(split: Split) -> tuple[LabelledText, ...]:
    """The sentences of ``texts.json``: four domains, three labels, as many of each.

    Raises:
        ValueError: for an unknown domain, split or label, or a text listed twice, in either split.
    """
    data = json.loads(Path(__file__).with_name("texts.json").read_text("utf-8"))
    texts: dict[str, list[LabelledText]] = {name: [] for name in SPLITS}
    seen: set[str] = set()
    for domain, splits in data.items():
        for name, by_label in splits.items():
            for label, listed in by_label.items():
                for value, known in ((domain, DOMAINS), (name, SPLITS), (label, LABELS)):
                    if value not in known:
                        raise ValueError(f"texts.json: unknown {value!r}; known: {', '.join(known)}")
                for text in listed:
                    if text in seen:
                        raise ValueError(f"texts.json lists {text!r} twice")
                    seen.add(text)
                    texts[name].append(LabelledText(f"bundled-{domain}-{checksum(text)}", text, label, domain))
    return tuple(texts[split])


@cache
def hutto(split: Split) -> tuple[LabelledText, ...]:
    """The texts that about 20 people rated each, labelled by their mean rating as ``labels.of_rating`` says.

    A review or an article is in one split, by a checksum of its id; a text that is in both all the same is left to "test".

    Raises:
        lm_envs.assets.AssetError: when the data can't be had.
    """
    from lm_envs import assets  # here, because the bundled texts need none

    labelled = (
        (rated.source, LabelledText(f"hutto-{rated.domain}-{rated.id}", rated.text, of_rating(rated.rating), rated.domain))
        for rated in assets.hutto_texts()
    )
    return by_source(labelled, split)


def _own(values: dict[str, str]) -> LabelledText:
    return LabelledText(f"own-{checksum(values['text'])}", values["text"], known_label(values["label"]), values["domain"])
