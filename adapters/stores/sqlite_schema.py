"""The SQLite file that calls are kept in: how it is made, checked, brought up to date, and set aside if damaged.

The schema's version is the file's `user_version` (sqlite.org/pragma.html#pragma_user_version).
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from fsm.errors import SettingError

__all__ = ["STEPS", "connect", "migrate", "primary_code", "ready"]

_log = logging.getLogger(__name__)
_OURS = 0x43414C4C  # "CALL", the application id
_LOOK = 2.0  # seconds that a check at start may take; a file that is too large for that is checked as far as it goes
_JOURNAL = 64 * 1024 * 1024  # bytes that the write-ahead log is cut back to

STEPS: tuple[tuple[str, ...], ...] = (
    (
        # Who has a call. Apart from the call, whose document would be written anew with each renewal of a lease.
        """CREATE TABLE owners (
            call_id TEXT PRIMARY KEY, fence INTEGER NOT NULL, owner TEXT NOT NULL, lease_until REAL NOT NULL,
            kept INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        # Claimed, and nothing committed yet.
        "CREATE INDEX begun ON owners (lease_until) WHERE kept = 0",
        """CREATE TABLE calls (
            call_id TEXT PRIMARY KEY, version INTEGER NOT NULL, status TEXT NOT NULL, over INTEGER NOT NULL,
            state TEXT NOT NULL, carrier TEXT NOT NULL, bot TEXT NOT NULL, caller TEXT NOT NULL, called TEXT NOT NULL,
            created_at REAL NOT NULL, active_at REAL NOT NULL, ended_at REAL NOT NULL, settled INTEGER NOT NULL,
            handed_over INTEGER NOT NULL, handed INTEGER NOT NULL, durable INTEGER NOT NULL, document BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX newest ON calls (created_at, call_id, over)",
        "CREATE INDEX by_state ON calls (state, created_at, call_id)",
        "CREATE INDEX by_caller ON calls (caller)",
        "CREATE INDEX by_called ON calls (called)",
        "CREATE INDEX by_status ON calls (status)",
        "CREATE INDEX unsettled ON calls (created_at, call_id, over) WHERE settled = 0",
        "CREATE INDEX undelivered ON calls (ended_at, call_id) WHERE over = 1 AND handed_over = 0",
        "CREATE INDEX done ON calls (ended_at) WHERE over = 1 AND settled = 1 AND handed_over = 1",
        """CREATE TABLE log (
            call_id TEXT NOT NULL, version INTEGER NOT NULL, fence INTEGER NOT NULL, record BLOB NOT NULL,
            PRIMARY KEY (call_id, version)
        ) STRICT, WITHOUT ROWID""",
    ),
)
"""What leads from each version of the schema to the next; the first one makes it."""


class _DamagedError(Exception):
    """The file is not what SQLite left behind."""


def primary_code(error: sqlite3.Error) -> int:
    """Return which kind of failure it is, without its detail (sqlite.org/rescode.html)."""
    return (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF


def ready(path: Path, *, busy: float) -> None:
    """Make the file, or bring it up to date. A damaged one is set aside, whole, and a fresh one begun.

    Raises:
        SettingError: the folder cannot be used, or the file is not ours or of a newer version.
        sqlite3.Error: it cannot be reached right now.
    """
    _make_folder(path)
    try:
        _look(path, busy)
    except _DamagedError as damage:
        aside = _set_aside(path)
        _log.error("store_damaged", extra={"file": str(path), "kept_as": str(aside), "why": str(damage)})
        _look(path, busy)


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)  # what callers said is nobody else's
    except OSError as error:
        raise SettingError(
            f"CALLCHART_DATA_DIR: {path} cannot be written: {error.strerror or error}; name a folder that can"
        ) from error


def _look(path: Path, busy: float) -> None:
    """Check a file and bring it up to date."""
    try:
        with closing(connect(path, busy=busy)) as db:
            migrate(db, path)
            _check(db)
    except sqlite3.Error as error:
        code = primary_code(error)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _DamagedError(str(error)) from error
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            raise SettingError(
                f"CALLCHART_DATA_DIR: {path} cannot be written: {error}; name a folder that can"
            ) from error
        raise


def connect(path: Path, *, busy: float, max_bytes: int = 0) -> sqlite3.Connection:
    """Open the file. Transactions are begun by hand.

    Args:
        busy: seconds to wait for a lock of somebody else.
        max_bytes: what the file may grow to; 0: no bound.
    """
    db = sqlite3.connect(path, timeout=busy, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA journal_size_limit = {_JOURNAL}")
        db.execute("PRAGMA secure_delete = ON")  # an erased call is not to be found in the file's free pages
        if max_bytes:
            (page,) = db.execute("PRAGMA page_size").fetchone()
            db.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page)}")
    except sqlite3.Error:
        db.close()
        raise
    return db


def migrate(db: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]] = STEPS) -> None:
    """Bring a file to the newest schema, in one transaction.

    Raises:
        SettingError: it is of a newer version, or another program's.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        _refuse_foreign(db, path, len(steps))
        (version,) = db.execute("PRAGMA user_version").fetchone()
        for step in steps[version:]:
            for statement in step:
                db.execute(statement)
        if version < len(steps):
            db.execute(f"PRAGMA application_id = {_OURS}")
            db.execute(f"PRAGMA user_version = {len(steps)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _refuse_foreign(db: sqlite3.Connection, path: Path, newest: int) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != _OURS:
        raise SettingError(
            f"{path} is a database of another program; name another folder with CALLCHART_DATA_DIR, or move it away"
        )
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > newest:
        raise SettingError(
            f"{path} was written by a newer version of callchart (schema {version}, this one knows 1 to {newest}); "
            "run that version, or name another folder with CALLCHART_DATA_DIR"
        )


def _check(db: sqlite3.Connection) -> None:
    """Look for damage, for a moment (sqlite.org/pragma.html#pragma_quick_check)."""
    until = time.monotonic() + _LOOK
    db.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    try:
        (first,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if primary_code(error) != sqlite3.SQLITE_INTERRUPT:
            raise
        first = "ok"
    finally:
        db.set_progress_handler(None, 0)
    if first != "ok":
        raise _DamagedError(first)


def _set_aside(path: Path) -> Path:
    """Give a file and what belongs to it another name, under which SQLite still finds all of it."""
    stem = f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    aside = path.with_name(stem)
    again = 1
    while aside.exists():
        again += 1
        aside = path.with_name(f"{stem}-{again}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
