"""Calls over a store that goes away: none of them waits, and nothing of them is lost."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path
from typing import Any

import orjson

from adapters.stores.spool import Spool
from adapters.stores.spool_folder import SpoolFiles
from adapters.stores.sqlite import SqliteStore
from adapters.stores.write_behind import WriteBehind
from fsm.clock import LoopClock
from fsm.context import BotSettings
from fsm.journal import begun_as, replay
from fsm.observe import Observer
from fsm.session import Session
from fsm.step import Step
from fsm.stored import rebuild
from fsm.triggers import UserSilent, UserSpeaking
from handlers import REGISTRY
from tests.adapters.stores.faulty import FaultyStore, a_call_on, a_spool, a_talk, records, versions
from tests.calls.world import GOODBYE, HOURS, a_script, a_world
from tests.fakes import elapse
from tests.fsm.running import END

CALLS, SECONDS, A_SECOND = 200, 12, 10


class Punctual(Observer):
    """How late each step was taken after it was posted, by the calls' own clock."""

    def __init__(self) -> None:
        self.due = 0.0
        self.latest = 0.0
        self.steps = 0

    def on_commit(self, session: Session, step: Step) -> None:
        self.steps += 1
        self.latest = max(self.latest, session.clock.now() - self.due)


async def talk(calls: list[Session], watch: Punctual, store: FaultyStore, fault: str) -> None:
    """Have every call take ten steps a second; the store is away from the 3rd second to the 9th."""
    clock = LoopClock()
    for tick in range(SECONDS * A_SECOND):
        store.always = fault if 3 * A_SECOND <= tick < 9 * A_SECOND else ""
        watch.due = clock.now()
        for session in calls:
            session.post(UserSpeaking() if tick % 2 == 0 else UserSilent())
        await elapse(1 / A_SECOND)


async def two_hundred(journal: WriteBehind, store: FaultyStore, fault: str) -> Punctual:
    watch, machine = Punctual(), a_talk()
    await journal.start()
    watch.due = LoopClock().now()
    calls = [a_call_on(journal, f"CA{n}", machine=machine, watch=(watch,)) for n in range(CALLS)]
    await talk(calls, watch, store, fault)
    await elapse(5)
    assert (journal.away, journal.spooled, journal.backlog) == (False, 0, 0)
    watch.due = LoopClock().now()
    for session in calls:
        session.post(END)
        await session.wait_settled()
    await journal.aclose()
    return watch


async def assert_complete(store: FaultyStore) -> None:
    steps = 1 + SECONDS * A_SECOND + 1
    for n in range(CALLS):
        log = await records(store, f"CA{n}")
        assert [r["seq"] for r in log if "event" in r] == list(range(1, steps + 1))
        assert await versions(store, f"CA{n}") == list(range(1, len(log) + 1))


async def test_200_calls_with_10_commits_a_second_outlive_6_seconds_without_the_store() -> None:
    store = FaultyStore()
    journal = WriteBehind(store, node="n1", clock=LoopClock(), spool=a_spool())

    watch = await two_hundred(journal, store, "away")

    assert watch.latest == 0.0
    assert watch.steps == CALLS * (1 + SECONDS * A_SECOND + 1)
    await assert_complete(store)


async def test_so_they_do_with_a_store_that_hangs_and_a_spool_on_disk(tmp_path: Path) -> None:
    store = FaultyStore()
    spool = Spool(SpoolFiles(SqliteStore(tmp_path / "spool.db"), SqliteStore(tmp_path / "aside.db")))
    journal = WriteBehind(store, node="n1", clock=LoopClock(), spool=spool)

    watch = await two_hundred(journal, store, "stuck")

    assert watch.latest == 0.0
    await assert_complete(store)


async def test_spool_on_disk_outlives_its_process(tmp_path: Path) -> None:
    store = FaultyStore()
    store.always = "away"
    killed = WriteBehind(store, node="n1", clock=LoopClock(), spool=on_disk(tmp_path))
    await killed.start()
    session = a_call_on(killed)
    session.post(UserSpeaking())
    await elapse(0.1)
    await killed.flushed()
    await kill(killed, session)

    store.always = ""
    journal = WriteBehind(store, node="n2", clock=LoopClock(), spool=on_disk(tmp_path))
    await journal.start()
    await journal.replayed()
    await journal.aclose()

    kept = await store.get("CA1")
    assert kept is not None
    assert (kept.owner, kept.version, kept.head.state) == ("n1", 2, "b")
    assert await versions(store) == [1, 2]


def on_disk(folder: Path) -> Spool:
    return Spool(SpoolFiles(SqliteStore(folder / "spool.db"), SqliteStore(folder / "aside.db")))


async def kill(journal: WriteBehind, session: Session) -> None:
    """Let go of what the test must not leave behind; nothing more is written."""
    assert journal._flusher is not None
    assert journal._spool is not None
    journal._flusher.cancel()
    await asyncio.wait([journal._flusher])
    journal._flusher = None
    await journal._spool.aclose()
    if journal._timer is not None:
        journal._timer.cancel()
    session.give_up()
    await session.wait_settled()


async def test_idle_call_costs_the_journal_little() -> None:
    store, machine = FaultyStore(), a_talk()
    journal = WriteBehind(store, node="n1", clock=LoopClock(), spool=None)
    await journal.start()
    calls = [a_call_on(journal, f"CA{n}", machine=machine) for n in range(500)]
    await elapse(1)
    tracemalloc.start()
    for call_id in (f"CB{n}" for n in range(1000)):
        journal.adopt(call_id, fence=3, version=1)
    each = tracemalloc.get_traced_memory()[0] / 1000
    tracemalloc.stop()
    held = [journal._queues[f"CA{n}"].waiting for n in range(500)]
    for session in calls:
        session.post(END)
        await session.wait_settled()
    await journal.aclose()

    assert each < 400
    assert set(held) == {None}
    assert len(journal._queues) == 1000  # of those that never began: settled calls are forgotten


async def a_whole_call() -> tuple[list[dict[str, Any]], list[str], Any, Session]:
    async with a_world(a_script(HOURS, GOODBYE)) as world:
        call = await world.call()
        await call.heard_more(500)
        await call.heard_silence()
        await call.say(HOURS)
        await call.heard_more(500)
        await call.heard_silence()
        await call.say(GOODBYE)
        await world.over(call)
        await call.over()
        await world.application.write_behind.flushed()
        entries = await world.application.store.log(call.call_sid)
        session = world.session(call)
        states = [step.after.state for step in world.steps[call.call_sid]]
    return [orjson.loads(entry.record) for entry in entries], states, session.machine, session


async def test_journal_of_a_real_call_replays_to_the_same_states_and_rebuilds_it() -> None:
    kept, states, machine, session = await a_whole_call()
    bot = session.context.bot
    begun = begun_as(kept[0], lambda name, called: bot if name == bot.name else BotSettings())

    replayed = list(replay(machine, REGISTRY, begun, kept))

    assert all(one.same for one in replayed)
    assert [record["to"] for record in kept if "event" in record] == states
    assert len(replayed) == len(states)
    assert states[-1] == "closed"
    assert rebuild(machine, REGISTRY, begun, kept).context == session.context
    assert kept[-1]["settled"] is True


async def test_journal_holds_what_was_said_and_no_audio() -> None:
    kept, *_ = await a_whole_call()

    assert HOURS in [record["data"]["text"] for record in kept if record.get("event") == "user.transcript"]
    assert max(len(orjson.dumps(record)) for record in kept) < 2000
