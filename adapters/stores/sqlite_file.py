"""One SQLite file and two threads: one writes, one reads.

Whoever writes while a transaction runs is in the next one, together with all others who came meanwhile: one
synchronisation of the disk serves them all (group commit). A group is synchronised if anything in it must survive a
power failure; what must only survive the end of the process is safe without (sqlite.org/pragma.html#pragma_synchronous,
NORMAL in WAL mode).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from adapters.stores.contract import StoreAway
from adapters.stores.sqlite_schema import connect, primary_code, ready
from fsm.errors import SettingError

__all__ = ["SqliteFile"]

T = TypeVar("T")
_File: TypeAlias = tuple[int, int]
_log = logging.getLogger(__name__)
_GROUP = 512  # writes in one transaction, at most


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """Something to write. It is done again, alone, if the group that it was in fails by the fault of another."""

    work: Callable[[sqlite3.Connection], Any]
    durable: bool
    done: Future[Any] = field(default_factory=Future)


class SqliteFile:
    """Runs work on a file, in the order in which it came.

    Args:
        busy: seconds to wait for another process that has the file.
        max_bytes: what the file may grow to; 0: no bound.
    """

    def __init__(self, path: Path, *, busy: float, max_bytes: int) -> None:
        self.path = path
        self._busy = busy
        self._max_bytes = max_bytes
        self._waiting: deque[_Job] = deque()
        self._writer = ThreadPoolExecutor(1, "callchart-store-writer")
        self._reader = ThreadPoolExecutor(1, "callchart-store-reader")
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._writes_to: _File | None = None
        self._reads_from: _File | None = None
        self._open = False
        self._closed = False

    async def open(self) -> None:
        """Make the file ready and open it.

        Raises:
            SettingError: it cannot be used; the message says what to change.
            StoreAway: it cannot be reached right now.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self._open_writing)
        await loop.run_in_executor(self._reader, self._open_reading)
        self._open = True

    def _open_writing(self) -> None:
        try:
            ready(self.path, busy=self._busy)
            self._writing = connect(self.path, busy=self._busy, max_bytes=self._max_bytes)
            self._writes_to = _file_at(self.path)
        except sqlite3.Error as error:
            raise _away(self.path, error) from error

    def _open_reading(self) -> None:
        try:
            self._reading = connect(self.path, busy=self._busy)
            self._reading.execute("PRAGMA query_only = ON")
            self._reads_from = self._writes_to
        except sqlite3.Error as error:
            raise _away(self.path, error) from error

    async def aclose(self) -> None:
        """Do what is waiting, and let go of file and threads."""
        self._open = False
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        for thread, close in ((self._reader, self._close_reading), (self._writer, self._close_writing)):
            await loop.run_in_executor(thread, close)
            thread.shutdown()

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _close_writing(self) -> None:
        if self._writing is not None:
            self._writing.close()
            self._writing = None

    async def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        """Run `work` in a transaction, perhaps with others, and return what it returns, once that is committed.

        Args:
            work: must do the same when it is done again: its transaction may be rolled back. It is not done at all if
                whoever wants it gives up before its turn.
            durable: whether it must survive a power failure.

        Raises:
            StoreAway: the file cannot be written; nothing of it was.
        """
        self._refuse_if_closed()
        job = _Job(work, durable)
        self._waiting.append(job)
        try:  # As many runs as jobs, each for one job at least: after ours, ours is done.
            await asyncio.get_running_loop().run_in_executor(self._writer, self._drain)
        except asyncio.CancelledError:
            with suppress(ValueError):  # it is being done
                self._waiting.remove(job)
            raise
        result: T = job.done.result(0)
        return result

    async def sweep(self) -> None:
        """Have nothing of what was deleted left in the write-ahead log, unless somebody reads just now.

        Raises:
            StoreAway: the file cannot be written.
        """
        self._refuse_if_closed()
        await asyncio.get_running_loop().run_in_executor(self._writer, self._sweep)

    def _sweep(self) -> None:
        assert self._writing is not None
        try:
            self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise _away(self.path, error) from error

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which changes nothing, and return what it returns.

        Raises:
            StoreAway: the file cannot be read.
        """
        self._refuse_if_closed()
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, work)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._reads_from != self._writes_to:
            self._close_reading()
            self._open_reading()
        assert self._reading is not None
        try:
            return work(self._reading)
        except sqlite3.Error as error:
            raise _away(self.path, error) from error

    def _refuse_if_closed(self) -> None:
        if not self._open:
            raise StoreAway(f"{self.path}: the store was closed, or not started yet")

    def _drain(self) -> None:
        jobs: list[_Job] = []
        while self._waiting and len(jobs) < _GROUP:
            jobs.append(self._waiting.popleft())
        if jobs:
            self._perform(jobs)

    def _perform(self, jobs: list[_Job]) -> None:
        try:
            self._follow()
            results = self._transact(jobs)
        except (sqlite3.Error, StoreAway) as error:
            away = error if isinstance(error, StoreAway) else _away(self.path, error)
            for job in jobs:
                job.done.set_exception(away)
        except Exception as error:  # noqa: BLE001  # what SQLite has no place for, say: its sender's fault, and no other's
            if len(jobs) == 1:
                jobs[0].done.set_exception(error)
                return
            for job in jobs:
                self._perform([job])
        else:
            for job, result in zip(jobs, results, strict=True):
                job.done.set_result(result)

    def _follow(self) -> None:
        """Write to where the path leads. A file that was deleted takes everything, and the next process finds nothing.

        Raises:
            StoreAway: another file is there, beside which a log of ours may lie: it is not for us to open.
        """
        try:
            there = _file_at(self.path)
            if there == self._writes_to and self._writing is not None:
                return
            if there is not None and self._writing is not None:
                raise StoreAway(
                    f"{self.path}: another file was put in its place; put it back, or start callchart again"
                )
            self._begin_anew()
        except (OSError, SettingError) as error:
            raise StoreAway(f"{self.path}: it cannot be looked at or made again: {error}") from error

    def _begin_anew(self) -> None:
        if self._writing is not None:
            _log.error(
                "store_deleted", extra={"file": str(self.path), "hint": "what was in it is gone; a new one begins"}
            )
            self._close_writing()
            for suffix in ("-wal", "-shm"):  # of no use without it, and no part of the next one
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self._open_writing()

    def _transact(self, jobs: list[_Job]) -> list[Any]:
        db = self._writing
        assert db is not None
        if db.in_transaction:  # it could not even be rolled back
            db.execute("ROLLBACK")
        db.execute(f"PRAGMA synchronous = {'FULL' if any(job.durable for job in jobs) else 'NORMAL'}")
        db.execute("BEGIN IMMEDIATE")
        try:
            results = [job.work(db) for job in jobs]
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return results


def _file_at(path: Path) -> _File | None:
    """Return what tells the file of this path from any other one; None: there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _away(path: Path, error: sqlite3.Error) -> StoreAway:
    """Return what a failure of SQLite means for whoever uses the store, with `error` as its cause."""
    match primary_code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            what = "another process keeps it locked; only callchart may write to it"
        case sqlite3.SQLITE_FULL:
            what = "there is no room left for it; make room on its disk"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            what = f"it is damaged ({error}); stop callchart, move the file away, and start it again"
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            what = f"it cannot be read or written ({error}); look at its disk, and at who may write to its folder"
        case _:
            what = str(error)
    away = StoreAway(f"{path}: {what}")
    away.__cause__ = error
    return away
