"""Pinned files from the package index, by the running Python's own pip; no code of a package runs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from lm_envs.assets.catalogue import Package
from lm_envs.assets.errors import AssetError

# pip asks a source archive for its metadata by running its build backend, even when it only downloads. This one stands in
# setuptools' place and answers from the name and the version that are known already, so that no setup.py runs.
_BACKEND = """
import pathlib

class Backend:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, metadata_directory, config_settings=None):
        folder = pathlib.Path(metadata_directory, "{project}-{version}.dist-info")
        folder.mkdir()
        folder.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: {project}\\nVersion: {version}\\n")
        return folder.name

__legacy__ = Backend()
"""


def download(package: Package, folder: Path, *, progress: bool = False) -> Path:
    """Bring a package's file to ``folder``, an existing empty folder that pip's temporary files stay in too.

    Index, proxy and certificates are those of pip's settings. ``progress`` lets pip draw its progress bar.

    Raises:
        AssetError: when there is no pip, the index can't be reached, or what it has isn't the pinned file.
    """
    wheel = package.filename.endswith(".whl")
    requirements, target, temporary, backend = (folder / name for name in ("requirements.txt", "files", "tmp", "backend"))
    temporary.mkdir()
    requirements.write_text(f"{package.project}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--retries=2"]
    command += ["--no-deps", "--require-hashes", f"--requirement={requirements}", f"--dest={target}"]
    environment = dict(os.environ, TMPDIR=str(temporary))
    if wheel:
        command += ["--only-binary=:all:"]
    else:
        command += [f"--no-binary={package.project}", "--use-pep517", "--no-build-isolation"]
        (backend / "setuptools").mkdir(parents=True)
        (backend / "setuptools" / "__init__.py").touch()
        text = _BACKEND.format(project=package.project, version=package.version)
        (backend / "setuptools" / "build_meta.py").write_text(text, encoding="utf-8")
        environment["PYTHONPATH"] = os.pathsep.join([str(backend), *filter(None, [os.environ.get("PYTHONPATH")])])
    if not progress:
        command += ["--quiet"]
    done = subprocess.run(command, env=environment, stdout=None if progress else subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise AssetError(_explain(package, done.stderr.decode("utf-8", "replace")))
    file = target / package.filename
    if not file.is_file():
        raise AssetError(f"pip brought {', '.join(sorted(os.listdir(target)))} instead of {package.filename}")
    verify(package, file)
    return file


def verify(package: Package, file: Path) -> None:
    """Raise an ``AssetError`` unless ``file`` has the pinned checksum."""
    digest = hashlib.sha256()
    with file.open("rb") as data:
        while chunk := data.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != package.sha256:
        raise AssetError(
            f"{package.filename} has the wrong checksum and was not used: expected sha256 {package.sha256}, got {digest.hexdigest()}"
        )


def _explain(package: Package, stderr: str) -> str:
    what = f"{package.project} {package.version} ({package.filename})"
    if "No module named pip" in stderr:
        return f"fetching {what} needs pip, which {sys.executable} doesn't have; `{sys.executable} -m ensurepip` installs it"
    if "DO NOT MATCH THE HASHES" in stderr:
        return f"the package index has a {package.filename} with the wrong checksum; it was not used (expected sha256 {package.sha256})"
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    reason = (errors or stderr.strip().splitlines()[-1:] or ["pip gave no reason"])[0]
    if "connection broken by" in stderr:
        reason = f"it can't be reached ({reason})"
    return (
        f"could not fetch {what} from the package index: {reason}. Check the connection and `pip config list`; or put the file, fetched "
        "on another machine, into a folder and name that folder in the environment variable PIP_FIND_LINKS"
    )
