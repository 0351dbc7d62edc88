"""Files that are there whole or not at all, and results in them, so that what has been done is not done again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
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


def kept(path: Path, what: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result in a file, if it was got with these settings."""
    result: dict[str, Any] | None = read_json(path)
    return result if result and result.get("what") == json.loads(json.dumps(what)) else None


def keep(path: Path, what: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Write a result with its settings, all of it or nothing; returns what :func:`kept` will."""
    result = {"what": json.loads(json.dumps(what)), **found}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)
    return result
