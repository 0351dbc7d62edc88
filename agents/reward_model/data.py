"""What people said of texts and conversations: ratings, labels or preferences, in three parts.

`train` is learnt from, `calibration` sets scale and offset, `test` is what results are reported on. With `hutto` the test part is the test
split of the environments that use it, so that nothing a policy is judged on was learnt from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from lm_envs import assets
from lm_envs.assets.chitchat import Chat
from lm_envs.envs.sentiment.prompts import split_of
from lm_envs.envs.sentiment_classification.labels import CLEAR_RATING
from lm_envs.types import Exchange, Message, Role
from lm_envs.user_data import DataError, read

PARTS = ("train", "calibration", "test")
ATTRIBUTES = ("witty", "interesting", "upbeat")
_ROLES: tuple[Role, Role] = ("user", "assistant")


@dataclass(frozen=True)
class Rated:
    """One text or conversation and how people rated it.

    Attributes:
        exchange: what was rated.
        rating: higher is better.
        domain: where it is from.
        source: tells what hangs together, such as sentences of one review: these share a part, and are resampled together.
    """

    exchange: Exchange
    rating: float
    domain: str
    source: str


@dataclass(frozen=True)
class Preference:
    """Two replies to the same, and which people preferred.

    Attributes:
        chosen: the preferred one.
        rejected: the other.
        domain: where it is from.
        source: as for `Rated`.
    """

    chosen: Exchange
    rejected: Exchange
    domain: str
    source: str


Item = TypeVar("Item", Rated, Preference)


@dataclass(frozen=True)
class Data(Generic[Item]):
    """Items by part, and how they are to be read.

    Attributes:
        name: for people.
        reads: what of an exchange the model should read, a key of `lm_envs.rewards.trained.READS`.
        parts: items by part, none empty.
        edges: between which ratings count as one label; ``None`` where the data don't say.
    """

    name: str
    reads: str
    parts: Mapping[str, tuple[Item, ...]]
    edges: tuple[float, ...] | None = None


def rated(source: str | Path | Iterable[Any], *, attribute: str = "interesting") -> Data[Rated]:
    """Ratings by the name of their source, or a user's own.

    Args:
        source: ``"hutto"`` (texts, rated from -4 to 4 by about 20 people), ``"chitchat"`` (conversations, rated from 1 to 10 by one of the
            two who held them), or as :func:`lm_envs.user_data.read` takes it: rows with ``reply`` and ``rating``, perhaps
            ``prompt``, ``domain`` and ``source``.
        attribute: of ``"chitchat"``: ``"witty"``, ``"interesting"``, ``"upbeat"``, or ``"mean"`` of the three.

    Raises:
        AssetError: when the data can't be had.
        DataError: when a user's own can't be used.
        ValueError: for another attribute.
    """
    if source == "hutto":
        texts = (Rated(alone(one.text), one.rating, one.domain, one.source) for one in assets.hutto_texts())
        return Data("hutto", "reply", _without_doubles(_parted(texts)), (-CLEAR_RATING, CLEAR_RATING))
    if source == "chitchat":
        if attribute not in (*ATTRIBUTES, "mean"):
            raise ValueError(f"attribute must be one of {', '.join(map(repr, (*ATTRIBUTES, 'mean')))}; got {attribute!r}")
        chats = (_rated_chat(chat, attribute) for chat in assets.chitchat_chats() if chat.ratings and len(chat.turns) > 1)
        return Data(f"chitchat, {attribute}", "conversation", _parted(chats))
    optional = ("prompt", "domain", "source")
    items = read(source, _rated_row, required=("reply", "rating"), optional=optional, numbers=("rating",))
    return Data(_name_of(source), _reads(one.exchange for one in items), _parted(items))


def preferences(source: str | Path | Iterable[Any]) -> Data[Preference]:
    """A user's preferences: rows with ``chosen`` and ``rejected``, perhaps ``prompt``, ``domain`` and ``source``.

    Without ``source`` pairs with the same prompt share a part.

    Raises:
        DataError: when they can't be used; the message says which row and why.
    """
    items = read(source, _preference_row, required=("chosen", "rejected"), optional=("prompt", "domain", "source"))
    return Data(_name_of(source), _reads(one.chosen for one in items), _parted(items))


def part_of(source: str) -> str:
    """The part of a source, by checksums: a fifth for testing, a fifth of the rest for calibration."""
    if split_of(source) == "test":
        return "test"
    return "calibration" if split_of(f"calibration {source}") == "test" else "train"


def _parted(items: Iterable[Item]) -> dict[str, tuple[Item, ...]]:
    parts: dict[str, list[Item]] = {name: [] for name in PARTS}
    for item in items:
        parts[part_of(item.source)].append(item)
    if empty := [name for name in PARTS if not parts[name]]:
        raise DataError(f"too few sources of text: nothing falls into {' and '.join(empty)}")
    return {name: tuple(found) for name, found in parts.items()}


def _without_doubles(parts: Mapping[str, tuple[Rated, ...]]) -> dict[str, tuple[Rated, ...]]:
    """A text that is in several parts is left to the last."""
    seen: set[str] = set()
    kept: dict[str, tuple[Rated, ...]] = {}
    for name in reversed(PARTS):
        kept[name] = tuple(one for one in parts[name] if one.exchange.reply not in seen)
        seen |= {one.exchange.reply for one in parts[name]}
    return kept


def alone(text: str) -> Exchange:
    """A text as a reply to nothing."""
    return Exchange((Message(role="assistant", content=text),))


def _answered(prompt: str, reply: str) -> Exchange:
    before = (Message(role="user", content=prompt),) if prompt else ()
    return Exchange((*before, Message(role="assistant", content=reply)))


def _rated_chat(chat: Chat, attribute: str) -> Rated:
    values = [float(chat.ratings[name]) for name in (ATTRIBUTES if attribute == "mean" else (attribute,))]
    messages = tuple(Message(role=_ROLES[speaker], content=said) for speaker, said in chat.turns)
    return Rated(Exchange(messages), sum(values) / len(values), "chitchat", f"chitchat-{chat.id}")


def _rated_row(row: Mapping[str, str]) -> Rated:
    try:
        rating = float(row["rating"])
    except ValueError:
        raise ValueError(f"rating must be a number, got {ascii(row['rating'][:40])}") from None
    if not -1e6 <= rating <= 1e6:
        raise ValueError(f"rating must be a number of ordinary size, got {rating}")
    return Rated(_answered(row["prompt"], row["reply"]), rating, row["domain"] or "own", row["source"] or row["reply"])


def _preference_row(row: Mapping[str, str]) -> Preference:
    if row["chosen"] == row["rejected"]:
        raise ValueError("chosen and rejected are the same")
    pair = _answered(row["prompt"], row["chosen"]), _answered(row["prompt"], row["rejected"])
    return Preference(*pair, row["domain"] or "own", row["source"] or row["prompt"] or min(row["chosen"], row["rejected"]))


def _reads(exchanges: Iterable[Exchange]) -> str:
    return "conversation" if any(len(one.messages) > 1 for one in exchanges) else "reply"


def _name_of(source: Any) -> str:
    return Path(source).name if isinstance(source, (str, Path)) else "own data"
