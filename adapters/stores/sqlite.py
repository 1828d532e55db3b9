"""Calls in an SQLite file: the store of a single machine, and the spool of one whose store is away."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from adapters.stores.contract import Claim, Commit, Entry, Kept, Outcome, Page, StoreAway, StoreCounts
from adapters.stores.rules import read_cursor, write_cursor
from adapters.stores.sqlite_file import SqliteFile
from adapters.stores.sqlite_reads import Search, read_call, read_calls, read_found, read_log
from adapters.stores.sqlite_writes import Leases, expire, forget, forget_claims, hand_over, note_activity, write_commit

__all__ = ["SqliteStore"]

_PAGE = 100  # calls that are read, or forgotten, at once


class SqliteStore:
    """A `SessionStore` in a file. Several processes of one machine may share it.

    Args:
        path: of the file; it and its folder are made.
        retention: seconds that a call is kept after its end.
        wall: seconds since the epoch, the same for all who use the file: leases count by it.
        busy: seconds to wait while another process writes, before the store counts as away.
        max_bytes: what the file may grow to; 0: no bound.
    """

    def __init__(
        self,
        path: Path,
        *,
        retention: float = 30 * 86400.0,
        wall: Callable[[], float] = time.time,
        busy: float = 1.0,
        max_bytes: int = 0,
    ) -> None:
        self.path = path
        self._retention = retention
        self._wall = wall
        self._file = SqliteFile(path, busy=busy, max_bytes=max_bytes)

    async def start(self) -> None:
        await self._file.open()

    async def aclose(self) -> None:
        await self._file.aclose()

    # -- writing ---------------------------------------------------------------------------------

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        durable = any(commit.head.durable for commit in commits)

        def work(db: sqlite3.Connection) -> list[Outcome]:
            now = self._wall()
            return [write_commit(db, commit, now) for commit in commits]

        return await self._file.write(work, durable=durable)

    async def claim(self, call_id: str, owner: str, *, lease: float, force: bool = False, max_active: int = 0) -> Claim:
        def work(db: sqlite3.Connection) -> Claim:
            return Leases(db, self._wall()).claim(call_id, owner, lease, force=force, max_active=max_active)

        return await self._file.write(work, durable=True)

    async def renew(self, owner: str, fences: Collection[tuple[str, int]], *, lease: float) -> list[str]:
        def work(db: sqlite3.Connection) -> list[str]:
            leases = Leases(db, self._wall())
            return [call_id for call_id, fence in fences if not leases.renew(call_id, owner, fence, lease)]

        return await self._file.write(work)

    async def release(self, owner: str, call_id: str, fence: int) -> None:
        def work(db: sqlite3.Connection) -> None:
            Leases(db, self._wall()).release(call_id, owner, fence)

        await self._file.write(work)

    async def update_activity(self, call_id: str, at: float) -> bool:
        return await self._file.write(partial(note_activity, call_id=call_id, at=at))

    async def delete(self, call_id: str) -> bool:
        known = await self._file.write(partial(forget, call_id=call_id), durable=True)
        await self._sweep()
        return known

    async def cleanup_expired(self) -> int:
        now = self._wall()
        await self._file.write(partial(forget_claims, now=now))
        count = 0
        while forgotten := await self._file.write(partial(expire, horizon=now - self._retention, limit=_PAGE)):
            count += forgotten
        if count:
            await self._sweep()
        return count

    async def _sweep(self) -> None:
        with suppress(StoreAway):  # what was asked for is done; the log is written over some day anyway
            await self._file.sweep()

    async def hand_over(self, call_id: str) -> bool:
        return await self._file.write(partial(hand_over, call_id=call_id), durable=True)

    async def check_writes(self) -> None:
        """It takes them, as far as anybody is to know: it has one owner, who would not be waited for by others."""

    # -- reading ---------------------------------------------------------------------------------

    async def get(self, call_id: str, *, touch: bool = False) -> Kept | None:
        if touch:
            await self.update_activity(call_id, self._wall())
        return await self._file.read(lambda db: read_call(db, call_id, self._wall()))

    async def log(self, call_id: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        return await self._file.read(partial(read_log, call_id=call_id, after=after, limit=limit))

    async def list_active(self) -> list[str]:
        return await self._ids("settled = 0 AND over = 0 ORDER BY created_at, call_id")

    async def find(
        self, *, live: bool | None = None, state: str = "", q: str = "", cursor: str = "", limit: int = 50
    ) -> Page:
        search = Search(live=live, state=state, q=q, before=read_cursor(cursor) if cursor else None, limit=limit + 1)
        found = await self._file.read(lambda db: read_found(db, search, self._wall()))
        calls = tuple(found[:limit])
        more = len(found) > limit
        return Page(calls, write_cursor(calls[-1].head.created_at, calls[-1].call_id) if more else None)

    async def unsettled(self) -> list[Kept]:
        now = self._wall()
        where = "calls.settled = 0 AND owners.lease_until <= ? ORDER BY calls.created_at, calls.call_id"
        return await self._file.read(lambda db: read_calls(db, where, (now,), now))

    async def undelivered(self) -> list[str]:
        return await self._ids("over = 1 AND handed_over = 0 ORDER BY ended_at, call_id")

    async def stats(self) -> StoreCounts:
        counts = await self._file.read(
            lambda db: dict(db.execute("SELECT status, count(*) FROM calls GROUP BY status").fetchall())
        )
        return StoreCounts(**counts)

    async def everything(self) -> AsyncIterator[Kept]:
        after, where = "", "calls.call_id > ? ORDER BY calls.call_id LIMIT ?"
        while page := await self._file.read(
            lambda db, after=after: read_calls(db, where, (after, _PAGE), self._wall())  # type: ignore[misc]  # bound now
        ):
            for kept in page:
                yield kept
            after = page[-1].call_id

    async def _ids(self, where: str) -> list[str]:
        rows = await self._file.read(lambda db: db.execute(f"SELECT call_id FROM calls WHERE {where}").fetchall())
        return [call_id for (call_id,) in rows]
