"""Unpacking that stays inside its folder."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from lm_envs.assets.errors import AssetError


def unpack(archive: Path, folder: Path) -> None:
    """Write the regular files of a wheel or a ``.tar.gz`` under ``folder``.

    Raises:
        AssetError: before anything is written, when a member is a link, a device or has a path that leads outside.
    """
    if archive.name.endswith(".tar.gz"):
        with tarfile.open(archive, "r:gz") as tar:
            members = tar.getmembers()
            for member in members:
                if not (member.isfile() or member.isdir()):
                    raise AssetError(f"{archive.name} holds {member.name!r}, which is neither a file nor a folder; it was not unpacked")
            targets = [(member, _inside(folder, member.name, archive)) for member in members if member.isfile()]
            for member, target in targets:
                source = tar.extractfile(member)
                assert source is not None
                target.parent.mkdir(parents=True, exist_ok=True)
                with source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)
    else:
        with zipfile.ZipFile(archive) as zipped:
            names = [(info, _inside(folder, info.filename, archive)) for info in zipped.infolist() if not info.is_dir()]
            for info, target in names:
                target.parent.mkdir(parents=True, exist_ok=True)
                with zipped.open(info) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)


def _inside(folder: Path, name: str, archive: Path) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not path.parts:
        raise AssetError(f"{archive.name} holds {name!r}, a path outside its folder; it was not unpacked")
    return folder.joinpath(*path.parts)
