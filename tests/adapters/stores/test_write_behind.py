"""Commits on their way into the store: in order, together, acknowledged once they are kept; no call waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from adapters.stores.contract import SessionStore
from adapters.stores.spool import Spool
from adapters.stores.write_behind import CallGone, WriteBehind
from fsm.clock import LoopClock
from fsm.context import BotSettings
from fsm.document import Facts, read_document
from fsm.journal import begun_as
from fsm.stored import rebuild
from fsm.triggers import SessionConfigured, UserSilent, UserSpeaking
from tests.adapters.stores.faulty import FaultyStore, a_call_on, a_spool, a_talk, records, versions
from tests.fakes import elapse
from tests.fsm.running import END, REGISTRY, a_machine


@asynccontextmanager
async def writing(store: SessionStore, spool: Spool | None = None, **more: Any) -> AsyncIterator[WriteBehind]:
    journal = WriteBehind(store, node="n1", clock=LoopClock(), spool=spool, **more)
    await journal.start()
    try:
        yield journal
    finally:
        await journal.aclose()


async def test_a_call_is_kept_from_its_first_step_to_the_last_that_it_held() -> None:
    store = FaultyStore()
    async with writing(store) as journal:
        session = a_call_on(journal)
        session.post(SessionConfigured(voice="cedar"))
        await elapse(0.1)
        session.post(END)
        await session.wait_settled()
        await journal.flushed()

    kept = [(r["seq"], r.get("event", "effects" if "effects" in r else "settled")) for r in await records(store)]
    assert kept == [
        (1, "init"), (2, "session.configured"), (2, "effects"), (3, "call.ended"), (3, "effects"), (3, "settled"),
    ]  # fmt: skip
    assert (await records(store))[-1]["tasks"] == 0
    assert await versions(store) == [1, 2, 3, 4, 5, 6]


async def test_document_is_that_of_the_last_entry() -> None:
    store = FaultyStore()
    async with writing(store, facts=lambda session: Facts(active_at=1_700_000_100.0)) as journal:
        session = a_call_on(journal)
        session.post(UserSpeaking())
        await elapse(1)
        live = await store.get("CA1")
        session.post(END)
        await session.wait_settled()
        await journal.flushed()
        over = await store.get("CA1")

    assert live is not None
    assert over is not None
    assert live.document is not None
    said = orjson.loads(live.document)
    assert (said["state"], said["seq"], said["status"], said["settled"]) == ("b", 2, "initiated", False)
    assert read_document(said, lambda name, called: BotSettings()).state == "b"
    assert (live.head.state, live.head.caller, live.head.active_at) == ("b", "+15550001", 1_700_000_100.0)
    assert (over.head.status, over.head.settled, over.head.handed_over) == ("ended", True, True)
    assert over.head.ended_at > 0
    assert orjson.loads(over.document or b"")["settled"] is True


async def test_what_queues_up_while_the_store_is_busy_is_one_commit_of_each_call() -> None:
    store = FaultyStore()
    store.faults = ["slow"]
    async with writing(store) as journal:
        calls = [a_call_on(journal, f"CA{n}") for n in range(3)]
        await elapse(0.1)
        for session in calls:
            session.post(UserSpeaking())
            session.post(UserSilent())
        await elapse(2)

        assert [[c.call_id for c in batch] for batch in store.batches] == [["CA0", "CA1", "CA2"]] * 2
        assert [(c.first, c.version) for c in store.batches[1]] == [(2, 3)] * 3
        for session in calls:
            session.post(END)
            await session.wait_settled()


async def test_call_goes_on_from_the_version_and_with_the_fence_it_was_adopted_with() -> None:
    store = FaultyStore()
    async with writing(store) as journal:
        journal.adopt("CA1", fence=7, version=0)
        session = a_call_on(journal)
        session.post(UserSpeaking())
        await journal.flushed()
        await elapse(0)
        session.give_up()
        await session.wait_settled()
        journal.adopt("CA1", fence=9, version=2)
        again = a_call_on(journal)
        again.post(END)
        await again.wait_settled()

    kept = [(entry.version, entry.fence) for entry in await store.log("CA1")]
    assert kept == [(1, 7), (2, 7), (3, 9), (4, 9), (5, 9), (6, 9)]


async def test_log_alone_rebuilds_a_call() -> None:
    store = FaultyStore()
    machine = a_talk()
    async with writing(store) as journal:
        session = a_call_on(journal, machine=machine)
        session.post(UserSpeaking())
        await journal.flushed()
        await elapse(0)
        await journal.flushed()
        kept = await records(store)
        context, state = session.context, session.state
        session.post(END)
        await session.wait_settled()

    begun = begun_as(kept[0], lambda name, called: BotSettings())
    again = rebuild(machine, REGISTRY, begun, kept)
    assert (again.context, again.state, again.seq) == (context, state, 2)


async def test_durable_returns_once_the_step_is_kept_and_not_before() -> None:
    store = FaultyStore()
    store.always = "slow"
    async with writing(store) as journal:
        session = a_call_on(journal)
        await elapse(0)
        waiting = asyncio.create_task(journal.durable("CA1", 1))
        await elapse(0.9)
        early = waiting.done()
        await elapse(0.2)

        assert (early, waiting.done()) == (False, True)
        await journal.durable("CA1", 1)
        await journal.durable("CA1", 0)
        await journal.durable("unknown", 5)
        session.post(END)
        await session.wait_settled()


async def test_store_that_is_away_is_told_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store, spool = FaultyStore(), a_spool()
    store.always = "away"
    async with writing(store, spool) as journal:
        session = a_call_on(journal)
        for _ in range(20):
            session.post(UserSpeaking())
            session.post(UserSilent())
            await elapse(0.1)
        away, held, backlog = journal.away, journal.spooled, journal.backlog
        await journal.durable("CA1", 41)
        nothing = await versions(store)
        store.always = ""
        await elapse(1)

        assert (away, held, backlog, nothing) == (True, 1, 0, [])
        assert (journal.away, journal.spooled) == (False, 0)
        assert await versions(store) == list(range(1, 42))
        session.post(END)
        await session.wait_settled()
    assert [r.message for r in caplog.records] == ["store_away", "store_back"]


async def test_reply_that_was_lost_leaves_no_second_entry() -> None:
    store, spool = FaultyStore(), a_spool()
    store.faults = ["lost", "lost"]
    async with writing(store, spool) as journal:
        session = a_call_on(journal)
        session.post(UserSpeaking())
        await elapse(3)
        session.post(END)
        await session.wait_settled()

    assert await versions(store) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("fault", ["away", "stuck", "broken"])
async def test_call_does_not_wait_for_a_store_that_fails(fault: str) -> None:
    store, spool = FaultyStore(), a_spool()
    store.always = fault
    async with writing(store, spool) as journal:
        session = a_call_on(journal)
        began = session.clock.now()
        session.post(END)
        await session.wait_settled()
        took = session.clock.now() - began
        await elapse(5)
        store.always = ""
        await elapse(5)

        assert took == 0
        assert await versions(store) == [1, 2, 3, 4]
        assert journal.backlog == 0


async def test_without_a_spool_the_queue_keeps_what_a_store_does_not_take() -> None:
    store = FaultyStore()
    store.always = "away"
    async with writing(store) as journal:
        session = a_call_on(journal)
        for _ in range(5):
            session.post(UserSpeaking())
            session.post(UserSilent())
            await elapse(1)
        backlog, lag = journal.backlog, journal.lag
        store.always = ""
        await elapse(1)

        assert (backlog, lag) == (11, 5.0)
        assert (journal.backlog, journal.lag) == (0, 0.0)
        assert await versions(store) == list(range(1, 12))
        session.post(END)
        await session.wait_settled()


async def test_queue_is_bounded_and_the_log_of_whoever_overflows_it_has_a_hole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FaultyStore()
    store.always = "away"
    async with writing(store, most=4) as journal:
        session = a_call_on(journal)
        await elapse(0.1)
        for _ in range(5):
            session.post(UserSpeaking())
            session.post(UserSilent())
        await elapse(0.1)
        dropped = journal.dropped
        store.always = ""
        await elapse(1)
        kept = await store.get("CA1")

        assert dropped == 8
        assert await versions(store) == [1, 10, 11]
        assert kept is not None
        assert orjson.loads(kept.document or b"")["seq"] == 11
        session.post(END)
        await session.wait_settled()
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [
        "store_away", "commits_dropped", "store_back", "store_lost_entries",
    ]  # fmt: skip


async def test_call_that_another_node_has_is_given_up_and_nothing_of_it_is_written() -> None:
    store, spool = FaultyStore(), a_spool()
    fenced: list[str] = []
    async with writing(store, spool, on_fenced=fenced.append) as journal:
        session = a_call_on(journal)
        await journal.flushed()
        await elapse(0)
        await journal.flushed()
        await store.claim("CA1", "n2", lease=15, force=True)
        session.post(UserSpeaking())
        await elapse(0.1)
        session.post(UserSilent())
        with pytest.raises(CallGone):
            await journal.durable("CA1", 2)
        session.give_up()
        await session.wait_settled()

        assert fenced == ["CA1"]
        assert await versions(store) == [1]
        assert (journal.refused, journal.set_aside, journal.backlog) == (1, 1, 0)


async def test_whoever_waits_for_a_step_of_a_call_that_is_lost_is_told() -> None:
    store = FaultyStore()
    store.faults = ["", "slow"]
    async with writing(store) as journal:
        session = a_call_on(journal)
        await elapse(0.1)
        await store.claim("CA1", "n2", lease=15, force=True)
        session.post(UserSpeaking())
        await elapse(0.1)
        waiting = asyncio.create_task(journal.durable("CA1", 2))
        await asyncio.wait([waiting])

        assert isinstance(waiting.exception(), CallGone)
        session.give_up()
        await session.wait_settled()


async def test_what_is_queued_of_a_call_that_was_given_up_is_dropped() -> None:
    store = FaultyStore()
    store.faults = ["slow"]
    async with writing(store) as journal:
        session = a_call_on(journal)
        await elapse(0.1)
        session.post(UserSpeaking())
        await elapse(0.1)
        session.give_up()
        await session.wait_settled()
        await elapse(2)

        assert journal.backlog == 0
    assert await versions(store) == [1]


async def test_store_that_has_lost_entries_gets_what_follows(caplog: pytest.LogCaptureFixture) -> None:
    store = FaultyStore()
    async with writing(store) as journal:
        session = a_call_on(journal)
        await elapse(0.1)
        await store.delete("CA1")
        session.post(UserSpeaking())
        await elapse(0.1)

        assert await versions(store) == [2]
        session.post(END)
        await session.wait_settled()
    assert [r.message for r in caplog.records] == ["store_lost_entries"]


async def test_odd_values_cost_no_entry_and_no_document() -> None:
    store = FaultyStore()
    async with writing(store) as journal:
        session = a_call_on(journal)
        for odd in ("half \ud800", 2**70, {7: {8: "keys"}}, object(), b"\xff", float("nan")):
            session.post(SessionConfigured(metadata={"odd": odd}))
        await elapse(0.1)
        session.post(END)
        await session.wait_settled()

    kept = [r for r in await records(store) if "event" in r]
    assert [r["seq"] for r in kept] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [r["data"]["metadata"]["odd"] for r in kept[1:4]] == ["half ?", str(2**70), {"7": {"8": "keys"}}]
    assert kept[4]["data"]["metadata"]["odd"].startswith("<object object")


async def test_one_call_that_cannot_be_written_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    store = FaultyStore()

    def facts(session: Any) -> Facts:
        if session.call_id == "CA1":
            raise ZeroDivisionError
        return Facts()

    async with writing(store, facts=facts) as journal:
        calls = [a_call_on(journal), a_call_on(journal, "CA2")]
        await elapse(0.1)
        for session in calls:
            session.post(END)
            await session.wait_settled()
        dropped = journal.dropped

    assert dropped >= 1
    assert {r.message for r in caplog.records} == {"commit_not_made"}
    assert await versions(store, "CA2") == [1, 2, 3, 4]


async def test_service_that_must_not_run_twice_starts_once_its_step_is_spooled() -> None:
    chart = """
        id: agent
        initial: a
        preempt: [call.ended]
        on: {call.ended: {target: z}, agent.progress: {}, agent.completed: {}}
        states:
          a: {invoke: [{src: agent, id: agent}]}
          z: {type: final}
    """
    store, spool = FaultyStore(), a_spool()
    store.always = "stuck"
    async with writing(store, spool) as journal:
        session = a_call_on(journal, machine=a_machine(chart))
        await elapse(2.9)
        before = session.snapshot.seq
        await elapse(0.2)
        after = session.snapshot.seq
        session.post(END)
        await session.wait_settled()
        store.always = "away"

    assert (before, after) == (1, 2)
