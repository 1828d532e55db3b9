"""How calls leave the queue: erased, adopted again, lost to another node, or with the process."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from adapters.stores.queues import LostCalls
from adapters.stores.spool import Spool
from adapters.stores.spool_folder import SpoolFiles
from adapters.stores.write_behind import CallGone, WriteBehind
from fsm.clock import LoopClock
from fsm.triggers import UserSilent, UserSpeaking
from tests.adapters.stores.faulty import FaultyStore, a_call_on, a_memory, a_spool, versions
from tests.adapters.stores.test_write_behind import writing
from tests.fakes import elapse
from tests.fsm.running import END


async def test_erased_call_is_in_no_queue_and_no_spool() -> None:
    store, spool = FaultyStore(), a_spool()
    store.always = "away"
    async with writing(store, spool) as journal:
        session = a_call_on(journal)
        await elapse(0.1)
        session.post(UserSpeaking())
        await journal.erase("CA1")
        session.post(END)
        await session.wait_settled()
        store.always = ""
        await elapse(1)

        assert journal.spooled == 0
    assert await store.get("CA1") is None


async def test_once_a_call_is_erased_nothing_of_it_is_under_way() -> None:
    store = FaultyStore()
    store.always = "slow"
    async with writing(store) as journal:
        session = a_call_on(journal)
        session.post(END)
        await session.wait_settled()
        await elapse(0.5)

        await journal.erase("CA1")
        await store.delete("CA1")
        await journal.erase("unknown")
        await elapse(5)

        assert await store.get("CA1") is None
        assert journal.backlog == 0
        await journal.durable("CA1", 2)


async def test_what_was_not_taken_of_an_erased_call_is_not_sent_again() -> None:
    store = FaultyStore()
    store.always = "away"
    async with writing(store) as journal:
        session = a_call_on(journal)
        await elapse(0.1)
        await journal.erase("CA1")
        with pytest.raises(CallGone):
            await journal.durable("CA1", 1)
        store.always = ""
        await elapse(2)
        session.post(END)
        await session.wait_settled()

        assert journal.backlog == 0
    assert await store.get("CA1") is None


async def test_call_that_is_adopted_again_leaves_what_was_queued_before() -> None:
    store = FaultyStore()
    store.faults = ["", "slow"]
    async with writing(store) as journal:
        session = a_call_on(journal)
        await elapse(0.1)
        session.post(UserSpeaking())
        await elapse(0.1)
        session.post(UserSilent())
        await elapse(0.1)
        journal.adopt("CA1", fence=2, version=2)
        session.give_up()
        await session.wait_settled()
        await elapse(2)

        assert journal.backlog == 0
    assert await versions(store) == [1, 2]


async def test_call_that_never_began_leaves_nothing() -> None:
    async with writing(FaultyStore()) as journal:
        journal.adopt("CA1", fence=2, version=2)
        session = a_call_on(journal)
        session.give_up()
        await session.wait_settled()

        assert journal._queues == {}


async def test_failure_to_give_a_call_up_does_not_end_the_writing(caplog: pytest.LogCaptureFixture) -> None:
    store = FaultyStore()

    def give_up(call_id: str) -> None:
        raise ZeroDivisionError

    async with writing(store, on_fenced=give_up) as journal:
        calls = [a_call_on(journal), a_call_on(journal, "CA2")]
        await elapse(0.1)
        await store.claim("CA1", "n2", lease=15, force=True)
        for session in calls:
            session.post(UserSpeaking())
        await elapse(0.1)

        assert await versions(store, "CA2") == [1, 2]
        assert (journal.refused, journal.away) == (1, False)
        for session in calls:
            session.post(END)
            await session.wait_settled()
        assert "CA1" not in journal._queues
    assert [r.message for r in caplog.records] == ["call_not_given_up", "commits_refused"]


async def test_call_is_lost_even_if_the_disk_does_not_keep_what_is_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    store, aside = FaultyStore(), FaultyStore()
    aside.always = "away"
    fenced: list[str] = []
    async with writing(store, Spool(SpoolFiles(a_memory(), aside)), on_fenced=fenced.append) as journal:
        session = a_call_on(journal)
        await elapse(0.1)
        await store.claim("CA1", "n2", lease=15, force=True)
        session.post(UserSpeaking())
        await elapse(0.1)
        session.give_up()
        await session.wait_settled()

        assert (fenced, journal.away) == (["CA1"], False)
    assert [r.message for r in caplog.records] == ["commits_refused", "commits_lost"]


async def test_closing_writes_what_is_left() -> None:
    store = FaultyStore()
    async with writing(store) as journal:
        session = a_call_on(journal)
        session.post(END)
        await session.wait_settled()

    assert await versions(store) == [1, 2, 3, 4]


@pytest.mark.parametrize("fault", ["away", "stuck"])
async def test_closing_writes_to_the_spool_what_the_store_does_not_take(fault: str) -> None:
    store, spool = FaultyStore(), a_spool()
    store.always = fault
    async with writing(store, spool) as journal:
        session = a_call_on(journal)
        session.post(END)
        await session.wait_settled()

    assert [len(call[0].entries) for call in await spool.oldest(10)] == [4]


async def test_closing_does_not_wait_for_ever_and_tells_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    store = FaultyStore()
    store.always = "stuck"
    clock = LoopClock()
    async with writing(store) as journal:
        session = a_call_on(journal)
        session.post(END)
        await session.wait_settled()
        began = clock.now()

    assert clock.now() - began == 4.0
    assert [r.message for r in caplog.records] == ["commits_lost"]


@pytest.mark.parametrize("spooled", [True, False])
async def test_closing_tells_what_nobody_takes(spooled: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    store, disk = FaultyStore(), FaultyStore()
    store.always = disk.always = "away"
    async with writing(store, Spool(SpoolFiles(disk, a_memory())) if spooled else None) as journal:
        session = a_call_on(journal)
        session.post(END)
        await session.wait_settled()

    told: list[Any] = [(r.message, r.__dict__.get("entries")) for r in caplog.records]
    assert told == [("store_away", None), ("commits_lost", 4)]


async def test_journal_may_be_closed_twice_and_before_it_was_started() -> None:
    store = FaultyStore()
    journal = WriteBehind(store, node="n1", clock=LoopClock(), spool=a_spool())
    await journal.aclose()
    await journal.start()
    session = a_call_on(journal)
    session.post(END)
    await session.wait_settled()

    await journal.aclose()
    await journal.aclose()

    assert await versions(store) == [1, 2, 3, 4]


@pytest.mark.parametrize("ends", ["before", "after"], ids=["settled before the store refused", "or after that"])
async def test_end_of_a_call_that_another_node_has_is_never_taken_for_kept(ends: str) -> None:
    store = FaultyStore()
    async with writing(store) as journal:
        session = a_call_on(journal)
        await journal.flushed()
        await store.claim("CA1", "another", lease=15.0, force=True)
        store.always = "slow" if ends == "before" else ""
        if ends == "after":
            session.post(UserSpeaking())
            await elapse(1)
        session.post(END)
        await session.wait_settled()
        waiting = asyncio.create_task(journal.durable("CA1", session.snapshot.seq))
        await elapse(3)

        with pytest.raises(CallGone):
            await waiting
        with pytest.raises(CallGone):
            await journal.durable("CA1", session.snapshot.seq)
        await journal.flushed()
        assert journal._queues == {}
        journal.adopt("CA1", fence=3, version=1)
        await journal.durable("CA1", 1)


def test_of_lost_calls_the_latest_thousand_are_remembered() -> None:
    lost = LostCalls()
    for number in range(1001):
        lost.add(f"CA{number}")

    assert ("CA0" in lost, "CA1" in lost, "CA1000" in lost) == (False, True, True)
