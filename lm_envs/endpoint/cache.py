"""Answers on disk, so that none is paid for twice."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

from lm_envs.endpoint.answer import Answer

_APPLICATION = 0x6C6D6563  # marks the file as this cache, in SQLite's header
_WAIT = 30.0  # seconds for another process that writes


class AnswerCache:
    """Answers by key in an SQLite file, which threads and processes may share.

    Each answer is a transaction of its own: whoever is killed, what was kept before is there and whole. The file holds checksums of
    prompts and the answers, no prompts and no keys.

    Args:
        path: of the file; it and its folder are made where they don't exist.

    Raises:
        ValueError: when the file is something else. It is left as it is.
        OSError: when it can't be opened or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._run("SELECT 1")

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def __len__(self) -> int:
        return int(self._run("SELECT count(*) FROM answers")[0][0])

    def get(self, key: str) -> Answer | None:
        """The answer kept under a key, if there is one that can be read."""
        for (text,) in self._run("SELECT answer FROM answers WHERE key = ?", key):
            try:
                return Answer.from_json(json.loads(text))
            except (ValueError, RecursionError):
                return None
        return None

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer; one that is there already is replaced."""
        self._run("INSERT OR REPLACE INTO answers (key, answer) VALUES (?, ?)", key, json.dumps(answer.to_json()))

    def _run(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._open().execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                raise OSError(f"the cache {self.path}: {error}") from error
            except sqlite3.DatabaseError as error:
                raise ValueError(f"{self.path} is not a cache of answers ({error}); name another file, or delete this one") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None or self._process != os.getpid():  # a connection mustn't be carried into a fork
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=_WAIT, check_same_thread=False, isolation_level=None)
            try:
                connection.execute("BEGIN IMMEDIATE")
                (application,) = connection.execute("PRAGMA application_id").fetchone()
                (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                if tables and application != _APPLICATION:
                    raise sqlite3.DatabaseError("another program's database")
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL)")
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
            self._connection, self._process = connection, os.getpid()
        return self._connection
