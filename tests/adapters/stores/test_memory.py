"""The memory store: as every store, and what it forgets."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.stores.memory import MemoryStore
from fsm.clock import LoopClock
from tests.adapters.stores.bench import LONG, NOON, Bench, a_commit, a_head, an_ended_head, claimed, committed
from tests.adapters.stores.conformance import StoreConformance
from tests.fakes import elapse


class TestMemory(StoreConformance):
    @asynccontextmanager
    async def opened(self, folder: Path, *, retention: float = LONG) -> AsyncIterator[Bench]:
        clock = LoopClock()
        store = MemoryStore(clock=clock, retention=retention)
        await store.start()
        yield Bench(store, elapse, clock.wall)
        await store.aclose()


async def test_call_that_ended_first_makes_room() -> None:
    store = MemoryStore(clock=LoopClock(), max_sessions=2)
    await committed(store, "first")
    await committed(store, "second", head=an_ended_head())
    await committed(store, "first", first=2, head=an_ended_head())

    await committed(store, "third")

    assert await store.get("second") is None
    assert await store.log("second") == []
    assert await store.get("first") is not None
    assert await store.list_active() == ["third"]


async def test_calls_with_something_left_to_do_never_make_room() -> None:
    store = MemoryStore(clock=LoopClock(), max_sessions=1)
    await committed(store, "live")
    await committed(store, "unsettled", head=an_ended_head(settled=False))
    await committed(store, "undelivered", head=an_ended_head(handed_over=False))

    assert len((await store.find()).calls) == 3
    assert await store.hand_over("undelivered")

    assert {kept.call_id for kept in (await store.find()).calls} == {"live", "unsettled"}


async def test_claim_alone_takes_no_room_and_is_forgotten_in_time() -> None:
    store = MemoryStore(clock=LoopClock(), max_sessions=1, cleanup_interval=300)
    await store.start()
    await claimed(store, "claimed", lease=15)
    await committed(store, "ended", head=an_ended_head(ended_at=LoopClock().wall()))

    assert await store.get("ended") is not None
    await elapse(1800)
    assert (await claimed(store, "claimed", "node-b", lease=15)).fence == 2
    await elapse(4200)
    assert (await claimed(store, "claimed", "node-c", lease=15)).fence == 1
    await store.aclose()


async def test_claims_that_begin_count_as_active() -> None:
    store = MemoryStore(clock=LoopClock())
    await committed(store, "live")
    await claimed(store, "begins", lease=15)

    assert (await claimed(store, "third", max_active=2)).refused == "full"
    assert (await claimed(store, "begins", lease=15, max_active=2)).granted
    await elapse(16)
    assert (await claimed(store, "third", max_active=2)).granted


async def test_store_looks_by_itself_for_calls_whose_retention_is_over() -> None:
    clock = LoopClock()
    store = MemoryStore(clock=clock, retention=500, cleanup_interval=300)
    await store.start()
    await committed(store, head=an_ended_head(ended_at=clock.wall()))

    await elapse(400)
    assert await store.get("CA1") is not None
    await elapse(300)

    assert await store.get("CA1") is None
    await store.aclose()


async def test_ten_thousand_calls_of_twenty_messages_fit_into_their_bounds() -> None:
    store = MemoryStore(clock=LoopClock(), max_sessions=20_000)
    message = b'{"role":"user","text":"%s","at":1800000000.123}' % (b"x" * 60)
    tracemalloc.start()
    for number in range(1000):
        document = b'{"call_id":"CA%d","history":[%s]}' % (number, b",".join([message] * 20))
        head = a_head(created_at=NOON + number, active_at=NOON + number)
        await store.commit([a_commit(f"CA{number}", 1, 20, document=document, head=head)])
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert grown / 1000 < 8192
