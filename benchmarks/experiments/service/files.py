"""Results as files, so that what has been run is not run again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.runs import write_json


def kept(path: Path, what: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result in a file, if it was got with these settings."""
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result if result.get("what") == json.loads(json.dumps(what)) else None


def keep(path: Path, what: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Write a result with its settings, all of it or nothing; returns what :func:`kept` will."""
    result = {"what": json.loads(json.dumps(what)), **found}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)
    return result
