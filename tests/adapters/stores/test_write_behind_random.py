"""Whatever the store does, and whenever the process is killed: nothing is lost that was acknowledged, no gap, no
duplicate, every call in its order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.simulators.virtual_time import run
from adapters.stores.spool import Spool
from adapters.stores.spool_folder import SpoolFiles
from adapters.stores.write_behind import WriteBehind
from fsm.clock import LoopClock
from fsm.observe import Observer
from fsm.session import Session
from fsm.step import Step
from fsm.triggers import UserSilent, UserSpeaking
from tests.adapters.stores.faulty import FaultyStore, a_call_on, a_memory, a_talk, records, versions
from tests.fakes import elapse
from tests.fsm.running import END

CALLS = ("CA1", "CA2", "CA3")
FAULTS = st.sampled_from(["", "", "away", "lost", "slow", "stuck", "broken"])
DEEDS = st.one_of(
    st.tuples(st.just("speak"), st.sampled_from(CALLS)),
    st.tuples(st.just("end"), st.sampled_from(CALLS)),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.1, 0.7, 4.0])),
    st.tuples(st.just("store"), FAULTS),
    st.tuples(st.just("disk"), st.sampled_from(["", "", "", "away", "lost"])),
)


class Steps(Observer):
    """What each call did, and which of it was said to be kept."""

    def __init__(self) -> None:
        self.did: dict[str, list[str]] = defaultdict(list)
        self.kept: dict[str, int] = defaultdict(int)
        self.waiting: set[asyncio.Task[None]] = set()
        self.journal: WriteBehind | None = None

    def on_commit(self, session: Session, step: Step) -> None:
        self.did[session.call_id].append(step.trigger.name)
        task = asyncio.create_task(self._wait(session.call_id, step.after.seq))
        self.waiting.add(task)
        task.add_done_callback(self.waiting.discard)

    async def _wait(self, call_id: str, seq: int) -> None:
        assert self.journal is not None
        await self.journal.durable(call_id, seq)
        self.kept[call_id] = max(self.kept[call_id], seq)

    async def stop(self) -> None:
        for task in self.waiting:
            task.cancel()
        await asyncio.gather(*self.waiting, return_exceptions=True)


async def carry_out(deeds: list[tuple[str, Any]], *, kill: bool, spooled: bool) -> None:
    store, disk, aside, steps, machine = FaultyStore(), FaultyStore(), a_memory(), Steps(), a_talk()
    journal = await begin(store, Spool(SpoolFiles(disk, aside)) if spooled else None)
    steps.journal = journal
    sessions = {call_id: a_call_on(journal, call_id, machine=machine, watch=(steps,)) for call_id in CALLS}
    for deed, what in deeds:
        await do(deed, what, sessions, store, disk)
    kept = dict(steps.kept)  # this was promised
    await steps.stop()
    store.always = disk.always = ""
    store.faults, disk.faults = [], []
    if kill:
        assert journal._flusher is not None
        journal._flusher.cancel()
        await asyncio.wait([journal._flusher])
        journal._flusher = None
        journal = await begin(store, Spool(SpoolFiles(disk, aside)))
    else:
        await elapse(10)
    await asyncio.wait_for(journal.replayed(), 60)
    await elapse(10)
    assert (journal.spooled, journal.backlog, journal.set_aside) == (0, 0, 0)
    await check(store, steps, kept, all_of_it=not kill)
    for session in sessions.values():
        session.give_up()
        await session.wait_settled()
    await journal.aclose()


async def begin(store: FaultyStore, spool: Spool | None) -> WriteBehind:
    journal = WriteBehind(store, node="n1", clock=LoopClock(), spool=spool, batch=2)
    await journal.start()
    return journal


async def do(deed: str, what: Any, sessions: dict[str, Session], store: FaultyStore, disk: FaultyStore) -> None:
    match deed:
        case "speak":
            sessions[what].post(UserSpeaking() if sessions[what].state == "a" else UserSilent())
            await asyncio.sleep(0)
        case "end":
            sessions[what].post(END)
        case "wait":
            await elapse(what)
        case "store":
            store.always = what
        case _:
            disk.always = what


async def check(store: FaultyStore, steps: Steps, kept: dict[str, int], *, all_of_it: bool) -> None:
    for call_id in CALLS:
        there, log = await versions(store, call_id), await records(store, call_id)
        assert there == list(range(1, len(there) + 1))
        events = [record["event"] for record in log if "event" in record]
        assert events == steps.did[call_id][: len(events)]
        assert len(events) >= kept.get(call_id, 0)
        if all_of_it:
            assert events == steps.did[call_id]


@given(deeds=st.lists(DEEDS, max_size=30))
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_while_the_store_comes_and_goes(deeds: list[tuple[str, Any]]) -> None:
    run(carry_out(deeds, kill=False, spooled=True))


@given(deeds=st.lists(DEEDS, max_size=30))
@settings(max_examples=150, deadline=None)
def test_what_was_acknowledged_survives_the_process(deeds: list[tuple[str, Any]]) -> None:
    run(carry_out(deeds, kill=True, spooled=True))


@given(deeds=st.lists(DEEDS.filter(lambda deed: deed[1] not in ("stuck", "broken")), max_size=30))
@settings(max_examples=100, deadline=None)
def test_nothing_is_lost_without_a_spool(deeds: list[tuple[str, Any]]) -> None:
    run(carry_out(deeds, kill=False, spooled=False))
