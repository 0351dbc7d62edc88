"""A user's own rows for an environment: lists, CSV and JSON Lines files, data sets of Hugging Face; each row is checked.

    read(["The soup", "The room"], parse, required=("text",))
    read([("Lovely.", "positive"), {"text": "Meh.", "label": "negative"}], parse, required=("text", "label"))
    read("reviews.csv", parse, required=("text", "label"), names={"text": "review"})
    read(load_dataset("imdb")["train"], parse, required=("text", "label"))

What is wrong with a file or a row is one `DataError` that says where and what. Data sets aren't imported: whatever gives rows when it is
iterated over, twice if need be, will do.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from lm_envs.spaces import well_formed
from lm_envs.types import SPLITS, Split

MAX_ROWS = 1_000_000
MAX_CHARS = 20_000  # of one value
TEST_SHARE = 0.2

_SHOWN_ROWS = 5
_SHOWN_COLUMNS = 10
_SHOWN_CHARS = 60

Item = TypeVar("Item")
Place = tuple[str, Any]  # "line 3" or "row 3", and what is there, or a ValueError that says why it can't be read


class DataError(ValueError):
    """Rows or files that can't be used; the message says where they are and what is wrong."""


def read(
    source: Any,
    parse: Callable[[dict[str, str]], Item],
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    numbers: Collection[str] = (),
) -> list[Item]:
    """All rows of a source, in its order.

    Args:
        source: the path of a ``.csv`` file with a header or of a ``.jsonl`` file (UTF-8); a pandas data frame; or what can be iterated
            over again and again: of mappings, of tuples (the required columns' values in order, then those of the optional ones), or of
            strings where one column is required. Columns beside the required and optional ones are ignored.
        parse: from a row's values by column to what becomes of it; a ``ValueError`` makes it a bad row. The values are well-formed text
            without surrounding white space, of at most `MAX_CHARS` characters; an optional one may be empty. A number in a
            column for which ``source.features`` (of Hugging Face's data sets) has names of classes comes as that name.
        required: columns that each row must fill.
        optional: columns that rows may fill.
        names: what the source calls a column, where it isn't as here.
        numbers: columns that may hold numbers; ``parse`` gets their text.

    Raises:
        DataError: for a source of another kind, a file that can't be read, no rows, more than `MAX_ROWS`, or bad rows, of
            which the first five are listed.
        ValueError: when ``names`` has a column that isn't one of these.
    """
    columns = (*required, *optional)
    if unknown := set(names or {}) - set(columns):
        raise ValueError(f"columns must name some of {', '.join(map(repr, columns))}; got {', '.join(map(repr, sorted(unknown)))}")
    called = {column: (names or {}).get(column, column) for column in columns}
    what, places = _open(source)
    classes = _class_names(source, called)
    items: list[Item] = []
    bad: list[str] = []  # the first few
    count = wrong = 0
    for place, row in places:
        count += 1
        if count > MAX_ROWS:
            raise DataError(f"{what} has more than {MAX_ROWS:,} rows")
        try:
            if isinstance(row, ValueError):
                raise row
            items.append(parse(_values(row, required, called, classes, numbers)))
        except ValueError as error:
            wrong += 1
            if wrong <= _SHOWN_ROWS:
                bad.append(f"{place}: {error}")
    if bad:
        more = [f"and {wrong - len(bad):,} more"] if wrong > len(bad) else []
        raise DataError("\n  ".join([f"{what}: {wrong:,} of {count:,} rows can't be used", *bad, *more]))
    if not items:
        raise DataError(f"{what} has no rows")
    return items


def read_split(
    source: Any, split: Split, parse: Callable[[dict[str, str]], Item], key: Callable[[Item], str], **how: Any
) -> tuple[Item, ...]:
    """The rows of one split, those with the same ``key`` once (the first); no key is in both splits.

    A mapping with ``"train"`` and ``"test"`` (a dict, or the ``DatasetDict`` of Hugging Face) says itself what is in which; what is in both
    is left out of ``"train"``. Any other source is split by the keys' checksums: the first fifth in their order, at least
    one, is for testing.

    Args:
        source: as for :func:`read`, or a mapping of two such.
        split: which to return.
        parse: as for :func:`read`.
        key: from an item to what tells it from others: its text, for example.
        how: further arguments of :func:`read`.

    Raises:
        DataError: as :func:`read`, and when a split would be empty.
    """
    if isinstance(source, Mapping):
        if missing := [name for name in SPLITS if name not in source]:
            raise DataError(f"data by split need 'train' and 'test'; there is no {' and no '.join(map(repr, missing))}")
        parts = {name: _once(read(source[name], parse, **how), key) for name in SPLITS}
        chosen = parts["test"] if split == "test" else {name: item for name, item in parts["train"].items() if name not in parts["test"]}
        if not chosen:
            raise DataError("all rows of 'train' are in 'test' too")
        return tuple(chosen.values())
    items = _once(read(source, parse, **how), key)
    if len(items) < 2:
        raise DataError("data with only one distinct text can't be split into 'train' and 'test'")
    ordered = sorted(items, key=lambda name: hashlib.sha256(name.encode("utf-8")).digest())
    tests = set(ordered[: math.ceil(TEST_SHARE * len(ordered))])
    return tuple(item for name, item in items.items() if (name in tests) == (split == "test"))


def is_named(argument: str, source: Any, names: Collection[str], columns: Mapping[str, str] | None) -> bool:
    """Whether a source is one of the family's own, which have names, and not a user's.

    Raises:
        ValueError: for a text that is neither a name nor the path of a file that can be read, and for ``columns`` with a name.
    """
    if not isinstance(source, str) or Path(source).suffix.lower() in _READERS:
        return False
    if source not in names:
        listed = ", ".join(map(repr, names))
        raise ValueError(f"{argument} must be one of {listed}, a list, a data set or the path of a .csv or .jsonl file; got {source!r}")
    if columns:
        raise ValueError(f"columns are for data of your own, not for {argument}={source!r}")
    return True


def shown(value: Any) -> str:
    """A value as an error quotes it: short, and with everything escaped that a terminal couldn't print."""
    text = ascii(value) if isinstance(value, (str, bytes, int, float, type(None))) else f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _once(items: Iterable[Item], key: Callable[[Item], str]) -> dict[str, Item]:
    kept: dict[str, Item] = {}
    for item in items:
        kept.setdefault(key(item), item)
    return kept


def _open(source: Any) -> tuple[str, Iterator[Place]]:
    """What errors call a source, and its rows with where they are."""
    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.suffix.lower() not in _READERS:
            raise DataError(
                f"{ascii(str(source))} is neither a {' nor a '.join(_READERS)} file; lists and data sets can be passed as they are"
            )
        return path.name, _file(path)
    if hasattr(source, "to_dict") and hasattr(source, "iterrows"):
        source = source.to_dict("records")
    if isinstance(source, (bytes, Mapping)) or not isinstance(source, Iterable):
        raise DataError(f"expected a list of rows, the path of a .csv or .jsonl file, or a data set; got {shown(source)}")
    if iter(source) is source:
        raise DataError(f"expected rows that can be read more than once; a {type(source).__name__} can't, a list of it can")
    return "the data", ((f"row {number}", row) for number, row in enumerate(source, start=1))


def _file(path: Path) -> Iterator[Place]:
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except (OSError, ValueError) as error:
        raise DataError(f"can't read {ascii(str(path))}: {getattr(error, 'strerror', None) or error}") from error
    with file:
        try:
            yield from _READERS[path.suffix.lower()](file, path.name)
        except UnicodeDecodeError as error:
            raise DataError(f"{path.name} is not UTF-8 text ({error.reason})") from error


def _csv(file: Iterable[str], name: str) -> Iterator[Place]:
    reader = csv.reader(file, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        start = reader.line_num + 1
        for fields in reader:
            if fields:  # not an empty line
                fits = len(fields) == len(header)
                problem = ValueError(f"{len(fields)} fields, the header has {len(header)}")
                yield f"line {start}", dict(zip(header, fields, strict=True)) if fits else problem
            start = reader.line_num + 1
    except csv.Error as error:  # nothing after it can be trusted to begin where it should
        raise DataError(f"{name} is not CSV, at line {reader.line_num}: {error}") from error


def _json_lines(file: Iterable[str], name: str) -> Iterator[Place]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            yield f"line {number}", _json(line)


def _json(line: str) -> Any:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return ValueError(f"not JSON: {error}")
    return row if isinstance(row, dict) else ValueError(f"expected a JSON object, got {shown(row)}")


_READERS: Mapping[str, Callable[[Iterable[str], str], Iterator[Place]]] = {".csv": _csv, ".jsonl": _json_lines}


def _class_names(source: Any, called: Mapping[str, str]) -> dict[str, Sequence[str]]:
    """Names of classes by column, where the source's ``features`` have them."""
    features = getattr(source, "features", None)
    if not isinstance(features, Mapping):
        return {}
    found = {column: getattr(features.get(theirs), "names", None) for column, theirs in called.items()}
    return {column: names for column, names in found.items() if isinstance(names, Sequence)}


def _listed(row: Any) -> str:
    names = [shown(name) for name in row] if isinstance(row, Mapping) else []
    return ", ".join([*names[:_SHOWN_COLUMNS], *(["…"] if len(names) > _SHOWN_COLUMNS else [])]) or "none"


def _values(
    row: Any, required: Sequence[str], called: Mapping[str, str], classes: Mapping[str, Sequence[str]], numbers: Collection[str]
) -> dict[str, str]:
    """A row's values by column, checked; a ``ValueError`` says what is wrong with it."""
    if isinstance(row, str) and len(required) == 1:
        row = (row,)
    if isinstance(row, (tuple, list)):
        if not len(required) <= len(row) <= len(called):
            raise ValueError(f"expected the values of {', '.join(called)}, got {len(row)}")
        values = dict(zip(called, row, strict=False))
    elif isinstance(row, Mapping):
        values = {column: row[theirs] for column, theirs in called.items() if theirs in row}
    else:
        raise ValueError(f"expected {'a text, ' if len(required) == 1 else ''}a tuple or a mapping, got {shown(row)}")
    checked = {}
    for column, theirs in called.items():
        value = values.get(column)
        if column in classes and isinstance(value, int) and 0 <= value < len(classes[column]):
            value = classes[column][value]
        if column in numbers and not isinstance(value, bool) and isinstance(value, Real):
            value = repr(float(value))
        if value is None and column not in required:
            value = ""
        if value is None and column not in values:
            raise ValueError(f"no column {theirs!r}; there is {_listed(row)}")
        if not isinstance(value, str):
            raise ValueError(f"{theirs} must be text, got {shown(value)}")
        checked[column] = well_formed(value).strip()
        if not checked[column] and column in required:
            raise ValueError(f"{theirs} is empty")
        if len(checked[column]) > MAX_CHARS:
            raise ValueError(f"{theirs} has {len(checked[column]):,} characters, at most {MAX_CHARS:,} are read")
    return checked
