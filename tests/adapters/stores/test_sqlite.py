"""The SQLite store: as every store, and what its file goes through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.stores.sqlite import SqliteStore
from fsm.clock import LoopClock
from tests.adapters.stores.bench import LONG, Bench
from tests.adapters.stores.conformance import StoreConformance
from tests.fakes import elapse


class TestSqlite(StoreConformance):
    @asynccontextmanager
    async def opened(self, folder: Path, *, retention: float = LONG) -> AsyncIterator[Bench]:
        clock = LoopClock()
        store = SqliteStore(folder / "calls.sqlite", retention=retention, wall=clock.wall)
        await store.start()
        try:
            yield Bench(store, elapse, clock.wall)
        finally:
            await store.aclose()
