"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write a file beside its place and rename it into it: a kill leaves the one before it."""
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, path)


def read_json(path: Path) -> Any:
    """What a file holds; ``None`` when there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
