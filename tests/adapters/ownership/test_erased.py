"""A call that was erased: nothing of it comes to exist again."""

from __future__ import annotations

from adapters.ownership.keeper import Keeper
from adapters.stores.write_behind import WriteBehind
from fsm.clock import LoopClock
from tests.adapters.stores.faulty import FaultyStore, a_call_on
from tests.fsm.running import END


async def test_lease_of_a_call_that_was_erased_after_its_end_is_not_renewed() -> None:
    store = FaultyStore()
    keeper = Keeper(store, node="n1", lease=15.0, max_active=0)
    journal = keeper.writer = WriteBehind(store, node="n1", clock=LoopClock(), spool=None)
    await journal.start()
    session = a_call_on(journal, watch=(keeper,))
    keeper.hold(session, await keeper.claim("CA1"))
    session.post(END)
    await session.wait_settled()
    await journal.erase("CA1")
    assert keeper.has_settled("CA1")

    await keeper.forget("CA1")
    await store.delete("CA1")
    await keeper.renew()

    claim = await store.claim("CA1", "n2", lease=15.0)
    assert (claim.granted, claim.fence) == (True, 1)
    await journal.aclose()
