"""The `hutto` data: short texts, each with the mean of about 20 people's ratings."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from lm_envs.assets.unpack import unpack

FILES = {
    "film": "movieReviewSnippets_GroundTruth.txt",
    "product": "amazonReviewSnippets_GroundTruth.txt",
    "news": "nytEditorialSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
}


class RatedText(NamedTuple):
    """One text.

    Attributes:
        domain: a key of :data:`FILES`.
        id: its id within the domain; snippets of one review or article share what stands before the underscore, for
            products and news; film reviews and tweets have none.
        text: the text.
        rating: the mean rating, from -4 (extremely negative) to 4 (extremely positive).
    """

    domain: str
    id: str
    text: str
    rating: float

    @property
    def source(self) -> str:
        """Tells reviews and articles apart: snippets of one have the same."""
        return f"{self.domain}-{self.id.split('_')[0]}"


def make(unpacked: Path, folder: Path) -> None:
    """The four files of ratings, their readme and the package's licence, in one folder."""
    (root,) = unpacked.iterdir()
    inner = folder / "inner"
    unpack(root / "additional_resources" / "hutto_ICWSM_2014.tar.gz", inner)
    for name in [*FILES.values(), "_README_.txt"]:
        (inner / "hutto_ICWSM_2014" / name).rename(folder / name)
    (root / "LICENSE.txt").rename(folder / "LICENSE.txt")
    shutil.rmtree(inner)


def read(folder: Path) -> tuple[RatedText, ...]:
    """All texts of the folder, by domain.

    Raises:
        ValueError: for a line that isn't an id, a rating within [-4, 4] and a text.
    """
    texts = []
    for domain, name in FILES.items():
        for number, line in enumerate((folder / name).read_text("utf-8-sig").strip().split("\n"), start=1):
            fields = line.split("\t", 2)
            if len(fields) != 3 or not -4 <= (rating := float(fields[1])) <= 4:
                raise ValueError(f"{name}:{number}: expected an id, a rating within [-4, 4] and a text, got {line[:80]!r}")
            texts.append(RatedText(domain, fields[0], fields[2].strip(), rating))
    return tuple(texts)
