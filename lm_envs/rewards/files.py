"""What criteria and rubrics are read from: TOML and JSON files, or the same as mappings; whatever is wrong is named by file and place."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from lm_envs.user_data import DataError, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIXES = (".toml", ".json")

_MAX_BYTES = 1_000_000


def read(path: str | Path) -> dict[str, Any]:
    """The table that a file holds.

    Raises:
        DataError: when it can't be read, or isn't a table in TOML or JSON; the message names the file, and the line of a mistake in syntax.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{ascii(str(path))} is not a {' or '.join(SUFFIXES)} file")
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise DataError(f"can't read {ascii(str(path))}: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > _MAX_BYTES:
        raise DataError(f"{path.name} has more than {_MAX_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
        table = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text, object_pairs_hook=_each_once)
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: not UTF-8 text, at line {content[: error.start].count(10) + 1}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name}: {error}") from error
    if not isinstance(table, dict):
        raise DataError(f"{path.name}: expected a table of keys and values, got {shown(table)}")
    return table


class Table:
    """A table whose keys are taken one by one, each checked.

    Args:
        values: the table; a ``DataError`` when it isn't one.
        where: what errors call it: a file, and the keys that lead to it.
    """

    def __init__(self, values: Any, where: str) -> None:
        self.where = where
        if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
            raise DataError(f"{where}: expected a table of keys and values, got {shown(values)}")
        self._values = values

    def only(self, known: Collection[str], required: Collection[str] = ()) -> None:
        """Refuse keys that aren't known, and their absence where they are required."""
        if unknown := [key for key in self._values if key not in known]:
            raise DataError(f"{self.where}: unknown key {', '.join(map(shown, unknown))}; known: {', '.join(known)}")
        if missing := [key for key in required if key not in self._values]:
            raise DataError(f"{self.where}: no {' and no '.join(map(repr, missing))}")

    def get(self, key: str, check: Callable[[Any], Any], default: Any = None) -> Any:
        """What ``check`` makes of a value; a ``ValueError`` or ``TypeError`` of it becomes a ``DataError`` that names the place."""
        if key not in self._values:
            return default
        try:
            return check(self._values[key])
        except DataError:
            raise
        except (ValueError, TypeError) as error:
            raise DataError(f"{self.where}.{key}: {error}") from error

    def tables(self, key: str) -> dict[str, Table]:
        """The tables inside a table, by name."""
        inner = self._values.get(key, {})
        return {name: Table(values, f"{self.where}.{key}.{name}") for name, values in Table(inner, f"{self.where}.{key}")._values.items()}

    def rows(self, key: str) -> list[Table]:
        """The tables of a list."""
        rows = self._values.get(key, [])
        if not isinstance(rows, (list, tuple)):
            raise DataError(f"{self.where}.{key}: expected a list of tables, got {shown(rows)}")
        return [Table(values, f"{self.where}.{key}[{number}]") for number, values in enumerate(rows)]


def text(longest: int) -> Callable[[Any], str]:
    """A check for text that isn't blank, of at most so many characters."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"expected text, got {shown(value)}")
        if len(value) > longest:
            raise ValueError(f"{len(value):,} characters, at most {longest:,} are read")
        return value.strip()

    return check


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(shown(key) for key in keys if keys.count(key) > 1)} occurs twice")
    return table
