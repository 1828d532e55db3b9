"""What waits to be kept of a call, and which of it must outlive a power failure."""

from __future__ import annotations

from itertools import groupby

from adapters.stores.write_behind import WriteBehind
from fsm.clock import LoopClock
from fsm.triggers import SessionConfigured, UserSpeaking
from tests.adapters.stores.faulty import FaultyStore, a_call_on
from tests.fakes import elapse
from tests.fsm.running import END


async def test_states_and_ends_must_outlive_a_power_failure_and_what_happens_in_a_state_need_not() -> None:
    store = FaultyStore()
    journal = WriteBehind(store, node="n1", clock=LoopClock(), spool=None)
    await journal.start()

    session = a_call_on(journal)
    for trigger in (SessionConfigured(voice="cedar"), UserSpeaking(), SessionConfigured(voice="marin"), END):
        await elapse(0.1)
        session.post(trigger)
    await session.wait_settled()
    await journal.flushed()
    await journal.aclose()

    kept = [(commit.head.state, commit.head.durable) for batch in store.batches for commit in batch]
    told = [one for one, _ in groupby(kept)]  # how actions ended follows in entries of its own
    assert told == [("a", True), ("a", False), ("b", True), ("b", False), ("z", True)]
