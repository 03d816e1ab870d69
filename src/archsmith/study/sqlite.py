"""The durable store: one SQLite file in the run folder.

Write-ahead logging with ``synchronous=NORMAL``: a transaction that was acknowledged is in the
system's page cache, so it survives the death of the process, and others can read while it writes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .._support.errors import MISFITS, DamagedError, RunFolderError, StoreError
from .._support.files import check_links
from .lock import RunLock
from .meta import versions
from .record import Event
from .store import Store

#: ``MIGRATIONS[i]`` upgrades a file from schema ``i + 1`` to ``i + 2`` in one transaction.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = ()

#: "arch" in ASCII: distinguishes our files from other SQLite files.
APPLICATION_ID = 0x61726368

_TABLES = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, trial INTEGER NOT NULL,
    data TEXT NOT NULL
);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_INSERT = "INSERT INTO events (time, kind, trial, data) VALUES (?, ?, ?, ?)"
_ROW = ", (?, ?, ?, ?)"
_encode = json.JSONEncoder(separators=(",", ":")).encode


def _written_by(versions: object) -> str:
    with contextlib.suppress(*MISFITS):
        return str(json.loads(str(versions))["archsmith"])
    return "unknown"


def schema() -> int:
    """The schema that this version of archsmith writes."""
    return len(MIGRATIONS) + 1


class SqliteStore(Store):
    """The record of a study in ``FOLDER/study.db``.

    Args:
        folder: run folder; created if missing. One process at a time may write.
        read: open for reading only; needs no lock and works while another process writes.

    Raises:
        RunFolderError: the folder is locked by another process, has a newer schema, is not a run
            folder (reading), or cannot be written.
        StoreError: the file is damaged, or the disk is full.
    """

    folder: Path

    def __init__(self, folder: Path | str, *, read: bool = False) -> None:
        # User code may change the working directory.
        self.folder = Path(folder).absolute()
        self.path = self.folder / "study.db"
        self._ended = 0
        self._lock = None if read else self._claim()
        try:
            self._db = self._open_to_read() if read else self._open()
            self._ended = self._count()
        except sqlite3.Error as error:
            self._unlock()
            raise self._broken(error) from error
        except BaseException:
            self._unlock()
            raise

    def append(self, *events: Event) -> None:
        if not events:
            return
        if self._lock is not None:
            self._lock.check()
        values: list[Any] = []
        for kind, trial, when, data in events:
            values += (when, kind, trial, _encode(data))
        try:
            # One statement is one transaction, and half the cost of BEGIN, INSERT..., COMMIT.
            self._db.execute(_INSERT + _ROW * (len(events) - 1), values)
        except sqlite3.Error as error:
            raise self._broken(error) from error
        if events[-1].kind == "ended":
            self._ended += 1

    def events(self) -> Iterator[Event]:
        try:
            rows = self._db.execute("SELECT kind, trial, time, data FROM events ORDER BY id")
            for kind, trial, when, data in rows:
                yield Event(kind, trial, when, json.loads(data))
        except (sqlite3.Error, ValueError, TypeError, RecursionError) as error:
            raise self._broken(error) from error

    def meta(self) -> dict[str, Any]:
        try:
            rows = self._db.execute("SELECT name, value FROM meta").fetchall()
            return {name: json.loads(value) for name, value in rows}
        except (sqlite3.Error, ValueError, TypeError, RecursionError) as error:
            raise self._broken(error) from error

    def write_meta(self, values: Mapping[str, Any]) -> None:
        pairs = [(name, _encode(value)) for name, value in values.items()]
        try:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", pairs)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._db.rollback()
            raise self._broken(error) from error

    def end(self, reason: str) -> None:
        super().end(reason)
        self._merge()

    def close(self) -> None:
        if self._lock is not None:
            self._merge()
        self._db.close()
        self._unlock()

    def _merge(self) -> None:
        """Merge the write-ahead log into the file, so that a copy of the file is complete."""
        # A reader or a full disk may prevent this; the log is safe in any case.
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA busy_timeout = 100")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.execute("PRAGMA busy_timeout = 30000")

    def _claim(self) -> RunLock:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise self._broken(error) from error
            raise RunFolderError(
                str(self.folder), "a folder that can be created", str(error), "choose another one"
            ) from error
        check_links(self.folder)
        return RunLock(self.folder)

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _open(self) -> sqlite3.Connection:
        # A reader that closes last may hold the file for a moment; wait for it.
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            file_schema = self._version(db)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            if file_schema:
                self._migrate(db, file_schema)
            else:
                db.executescript(
                    f"BEGIN; {_TABLES} PRAGMA application_id = {APPLICATION_ID};"
                    f"PRAGMA user_version = {schema()}; COMMIT;"
                )
        except BaseException:
            db.close()
            raise
        return db

    def _open_to_read(self) -> sqlite3.Connection:
        if not self.path.is_file():
            raise RunFolderError(
                str(self.folder),
                "a run folder (one with a study.db)",
                "a folder without one" if self.folder.is_dir() else "no such folder",
                "give the run folder of a search",
            )
        address = f"file:{quote(str(self.path.absolute()))}?mode=ro"
        db = sqlite3.connect(address, uri=True, timeout=30, isolation_level=None)
        try:
            try:
                file_schema = self._version(db)
            except sqlite3.OperationalError:
                # In a read-only folder SQLite cannot create its index of the log. Nobody can be
                # writing there either, so the file can be read as it is.
                db.close()
                db = sqlite3.connect(f"{address}&immutable=1", uri=True, isolation_level=None)
                file_schema = self._version(db)
            if not file_schema:
                raise RunFolderError(str(self.path), "a study", "a file that is still empty")
            if file_schema == schema():
                return db
            copy = sqlite3.connect(":memory:", isolation_level=None)
            db.backup(copy)
            db.close()
            self._migrate(copy, file_schema)
            return copy
        except BaseException:
            db.close()
            raise

    def _version(self, db: sqlite3.Connection) -> int:
        """The file's schema; 0 for a file that is still empty."""
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return 0
        file_schema = int(db.execute("PRAGMA user_version").fetchone()[0])
        ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        if not ours:
            raise RunFolderError(
                str(self.path),
                "a study written by archsmith",
                "another SQLite file",
                "choose another run folder",
            )
        if file_schema > schema():
            writer = ""
            row = db.execute("SELECT value FROM meta WHERE name = 'versions'").fetchone()
            if row:
                writer = f" (written by archsmith {_written_by(row[0])})"
            raise RunFolderError(
                str(self.path),
                f"schema {schema()} or older, which archsmith {versions()['archsmith']} reads",
                f"schema {file_schema}{writer}",
                "upgrade with: pip install --upgrade archsmith",
            )
        return file_schema

    def _migrate(self, db: sqlite3.Connection, file_schema: int) -> None:
        for number, step in enumerate(MIGRATIONS[file_schema - 1 :], file_schema + 1):
            db.execute("BEGIN IMMEDIATE")
            try:
                step(db)
                db.execute(f"PRAGMA user_version = {number}")
                db.execute("COMMIT")
            except BaseException:
                db.execute("ROLLBACK")
                raise

    def _count(self) -> int:
        row = self._db.execute("SELECT count(*) FROM events WHERE kind = 'ended'").fetchone()
        return int(row[0])

    def _broken(self, error: Exception) -> StoreError:
        text = str(error)
        safe = f"{self._ended} ended trials are safe in it"
        if "full" in text or "disk I/O" in text or "No space" in text:
            return StoreError(
                str(self.path),
                "room on the disk to write",
                text,
                f"{safe}; free some space and run the same command again",
            )
        if isinstance(error, sqlite3.OperationalError):
            return StoreError(
                str(self.path),
                "a file that can be read and written",
                text,
                f"{safe}; run the same command again once the cause is removed",
            )
        return DamagedError(
            str(self.path),
            "an undamaged study",
            text,
            "restore the file from a copy, or start in another run folder",
        )
