"""What the families' readers of English share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_CONTRACTIONS = {"n't": "not", "'m": "am", "'s": "is", "'re": "are", "'ve": "have", "'ll": "will", "'d": "would"}


def spelled_out(text: str, word: re.Pattern[str], spellings: Mapping[str, str], longest: int | None = None) -> Iterator[str]:
    """Lower-cased words with contractions written out: ``"Isn't it?"`` -> ``"is", "not", "it"``.

    Args:
        text: any.
        word: what is a word, apostrophes included.
        spellings: words that are written otherwise, as one or several.
        longest: characters that are kept of a word; all by default.
    """
    for found in word.findall(text.lower().replace("\u2019", "'")):
        if found in spellings:
            yield from spellings[found].split()
            continue
        for ending, written in _CONTRACTIONS.items():
            if found.endswith(ending):
                yield found[: -len(ending)]
                yield written
                break
        else:
            yield found[:longest]
