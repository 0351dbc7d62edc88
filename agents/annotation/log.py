"""The file that judgements are kept in: one JSON object a line, only ever appended to, on the disk before the annotator sees the next pair.

    {"version": 1, "kind": "judgement", "id": "9f1c…", "pair": "04ab…", "annotator": "Ada", "choice": "b", "left": "a", "seconds": 3.2,
     "time": "2026-11-30T10:02:11.481Z"}
    {"version": 1, "kind": "retraction", "judgement": "9f1c…", "annotator": "Ada", "time": "2026-11-30T10:02:14.019Z"}

What counts is a judgement that was not retracted; where an annotator judged a pair twice, the later one. A process that is killed may leave
half a line: it is reported, passed over, and closed by the next writer.
"""

from __future__ import annotations

import json
import os
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from agents.annotation.pairs import Side

VERSION = 1
MAX_SECONDS = 86_400.0
MAX_NAME = 64

Choice = Literal["a", "b", "tie", "skip"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
_SIDES: tuple[Side, ...] = get_args(Side)
_HEX = frozenset("0123456789abcdef")


class LogError(ValueError):
    """A file of judgements that can't be used; the message says why."""


def annotator_name(text: str) -> str:
    """A name as it is kept: composed characters, single spaces.

    Raises:
        ValueError: when it is empty, has more than `MAX_NAME` characters, or some that can't be seen.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"a name has 1 to {MAX_NAME} characters, this one {len(name):,}")
    if any(unicodedata.category(char)[0] == "C" for char in name):
        raise ValueError("a name can't have characters that can't be seen")
    return name


def _new_id() -> str:
    return secrets.token_hex(8)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Judgement:
    """What an annotator said of a pair.

    Attributes:
        id: sixteen hexadecimal digits.
        pair: its id.
        annotator: their name.
        choice: the better reply, ``"tie"``, or ``"skip"``.
        left: which reply was shown first, on the left.
        seconds: that the pair was on the screen before the choice; 0 to a day.
        time: of the choice, UTC, ISO 8601.
    """

    id: str
    pair: str
    annotator: str
    choice: Choice
    left: Side
    seconds: float
    time: str

    @classmethod
    def now(cls, pair: str, annotator: str, choice: Choice, left: Side, seconds: float) -> Judgement:
        """One that is made now."""
        return cls(_new_id(), pair, annotator, choice, left, seconds, _now())


@dataclass(frozen=True)
class Retraction:
    """An annotator takes a judgement of theirs back."""

    judgement: str
    annotator: str
    time: str

    @classmethod
    def now(cls, judgement: Judgement) -> Retraction:
        """One that is made now."""
        return cls(judgement.id, judgement.annotator, _now())


Record = Judgement | Retraction
_KINDS: dict[str, type[Judgement] | type[Retraction]] = {"judgement": Judgement, "retraction": Retraction}


def to_line(record: Record) -> bytes:
    """A record as a line of the file, with its end."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(record, cls))
    return (json.dumps({"version": VERSION, "kind": kind, **asdict(record)}, ensure_ascii=True) + "\n").encode()


def from_line(line: bytes) -> Record:
    """The record of a line.

    Raises:
        ValueError: when it is none; says what is wrong.
    """
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    if row.get("version") != VERSION:
        raise ValueError(f"version must be {VERSION}")
    cls = _KINDS.get(row["kind"]) if isinstance(row.get("kind"), str) else None
    if cls is None:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}")
    values = {name: row.get(name) for name in cls.__dataclass_fields__}
    if wrong := [name for name, value in values.items() if not _CHECKS[name](value)]:
        raise ValueError(f"{', '.join(wrong)}: missing or not as it must be")
    return cls(**values)  # type: ignore[arg-type]  # checked above


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 16 and _HEX.issuperset(value)


def _is_name(value: Any) -> bool:
    try:
        return isinstance(value, str) and annotator_name(value) == value
    except ValueError:
        return False


def is_seconds(value: Any) -> bool:
    """Whether a value is a time in seconds between 0 and a day."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MAX_SECONDS


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and value.endswith("Z") and datetime.fromisoformat(value[:-1]).tzinfo is None
    except ValueError:
        return False


_CHECKS = {
    "id": _is_id,
    "pair": _is_id,
    "judgement": _is_id,
    "annotator": _is_name,
    "choice": CHOICES.__contains__,
    "left": _SIDES.__contains__,
    "seconds": is_seconds,
    "time": _is_time,
}


class Judgements:
    """The judgements that count, as records come in.

    Attributes:
        retracted: how many were taken back.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.retracted = 0
        self._by_id: dict[str, Judgement] = {}  # those that count, in the order of their making
        self._of: dict[tuple[str, str], str] = {}  # ids by annotator and pair
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Take a record in; a retraction of what isn't there, or of somebody else's judgement, changes nothing."""
        if isinstance(record, Judgement):
            if record.id not in self._by_id:  # lines that somebody wrote twice
                key = (record.annotator, record.pair)
                self._by_id.pop(self._of.get(key, ""), None)
                self._by_id[record.id] = record
                self._of[key] = record.id
            return
        judgement = self._by_id.get(record.judgement)
        if judgement is not None and judgement.annotator == record.annotator:
            del self._by_id[judgement.id], self._of[judgement.annotator, judgement.pair]
            self.retracted += 1

    def all(self) -> list[Judgement]:
        """All that count, in the order of their making."""
        return list(self._by_id.values())

    def of(self, annotator: str) -> dict[str, Judgement]:
        """An annotator's, by pair, in the order of their making."""
        return {judgement.pair: judgement for judgement in self._by_id.values() if judgement.annotator == annotator}


def read_log(path: str | Path) -> tuple[list[Record], list[str]]:
    """The records of a file, and what was wrong with lines that hold none, such as ``line 7: not JSON``.

    Raises:
        LogError: when the file can't be read.
    """
    records: list[Record] = []
    problems: list[str] = []
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except (OSError, ValueError) as error:
        raise LogError(f"can't read {ascii(str(path))}: {getattr(error, 'strerror', None) or error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(from_line(line))
        except ValueError as error:
            torn = " (the last line: its writer was stopped)" if number == len(lines) else ""
            problems.append(f"line {number}: {error}{torn}")
    return records, problems


class Log:
    """The file, open for appending by this process alone.

    Attributes:
        judgements: what counts so far.
        problems: as :func:`read_log` found them.

    Raises:
        LogError: when it can't be opened, or another process has it open.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = FileLock(f"{self.path}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise LogError(f"{self.path} is open in another process") from None
        except OSError as error:
            raise LogError(f"can't write {ascii(str(self.path))}: {error.strerror}") from error
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            self._lock.release()
            raise LogError(f"can't write {ascii(str(self.path))}: {error.strerror}") from error
        _sync_folder(self.path.absolute().parent)
        records, self.problems = read_log(self.path)
        self.judgements = Judgements(records)
        self._writing = Lock()
        size = os.fstat(self._file).st_size
        self._torn = size > 0 and self._last_byte() != b"\n"

    def append(self, record: Record) -> None:
        """Write a record to the disk, then count it.

        Raises:
            OSError: when it can't be written; it doesn't count then.
        """
        with self._writing:
            line = b"\n" * self._torn + to_line(record)
            self._torn = True  # until all of it is there
            if os.write(self._file, line) < len(line):
                raise OSError(f"{self.path}: only a part of a line could be written")
            os.fsync(self._file)
            self._torn = False
            self.judgements.add(record)

    def close(self) -> None:
        """Let another process write."""
        os.close(self._file)
        self._lock.release()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _last_byte(self) -> bytes:
        os.lseek(self._file, -1, os.SEEK_END)
        return os.read(self._file, 1)


def _sync_folder(folder: Path) -> None:
    """Put a new file's entry in its folder on the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
