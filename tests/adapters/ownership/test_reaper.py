"""Calls that nobody has: waited for, then ended; never while their owner may only be out of sight."""

from __future__ import annotations

import pytest

from adapters.stores.contract import StoreAway
from fsm.errors import CallchartError
from tests.adapters.ownership.house import House, a_store
from tests.bus_hub import BusHub
from tests.fakes import elapse


async def orphaned(store: object, hub: BusHub) -> None:
    first = await House.open(store, hub, "first")
    await first.talk()
    await first.die()


async def test_a_call_is_ended_after_its_lease_and_the_resume_window() -> None:
    store, hub = a_store(), BusHub()
    await orphaned(store, hub)
    house = await House.open(store, hub, "b")
    await house.reaper.start()

    await elapse(40.0)
    assert house.reopened == []
    await elapse(15.0)

    assert house.reopened == ["CA1"]
    kept = await store.get("CA1")
    assert kept is not None
    assert (kept.head.status, kept.head.settled, kept.fence) == ("ended", True, 2)
    assert b'"end_reason":"orphaned"' in (kept.document or b"")
    await house.close()


async def test_downtime_does_not_count_as_waiting() -> None:
    store, hub = a_store(), BusHub()
    await orphaned(store, hub)
    await elapse(3000.0)
    house = await House.open(store, hub, "b")
    await house.reaper.start()

    await elapse(29.0)
    assert house.reopened == []
    await elapse(6.0)

    assert house.reopened == ["CA1"]
    await house.close()


async def test_of_two_nodes_that_look_one_ends_it() -> None:
    store, hub = a_store(), BusHub()
    await orphaned(store, hub)
    houses = [await House.open(store, hub, name) for name in ("b", "c")]
    for house in houses:
        await house.reaper.start()

    await elapse(60.0)

    assert sorted(len(house.reopened) for house in houses) == [0, 1]
    for house in houses:
        await house.close()


async def test_after_the_store_was_away_every_owner_has_the_whole_time_to_renew() -> None:
    store, hub = a_store(), BusHub()
    await orphaned(store, hub)
    house = await House.open(store, hub, "b")
    await house.reaper.start()
    await elapse(36.0)
    house.store.cut = True
    await elapse(20.0)

    house.store.cut = False
    await elapse(25.0)
    assert house.reopened == []
    await elapse(15.0)

    assert house.reopened == ["CA1"]
    await house.close()


async def test_after_the_store_took_no_writes_every_owner_has_the_whole_time_to_renew() -> None:
    store, hub = a_store(), BusHub()
    await orphaned(store, hub)
    full = True

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def check_writes(self) -> None:
            if full:
                raise StoreAway("out of memory")

    house = await House.open(Full(), hub, "b")
    await house.reaper.start()
    await elapse(60.0)

    full = False
    await elapse(25.0)
    assert house.reopened == []
    await elapse(15.0)

    assert house.reopened == ["CA1"]
    await house.close()


async def test_a_call_whose_lease_runs_is_never_touched() -> None:
    store, hub = a_store(), BusHub()
    owner, house = await House.open(store, hub, "a"), await House.open(store, hub, "b")
    await owner.talk()
    await owner.keeper.start()
    await house.reaper.start()

    await elapse(200.0)

    assert (house.reopened, owner.keeper.given_up) == ([], 0)
    await owner.close()
    await house.close()


async def test_calls_are_forgotten_when_their_time_has_come() -> None:
    store = a_store()
    forgotten: list[float] = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def cleanup_expired(self) -> int:
            forgotten.append(1.0)
            return 1

    house = await House.open(Counting(), BusHub(), "a")
    await house.reaper.start()
    await house.reaper.start()

    await elapse(901.0)

    assert len(forgotten) == 3
    await house.close()


@pytest.mark.parametrize("error", [CallchartError("broken"), KeyError("a mistake of ours")], ids=["told", "unforeseen"])
async def test_one_call_that_cannot_be_seen_to_does_not_keep_the_others(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    store, hub = a_store(), BusHub()
    first = await House.open(store, hub, "first")
    await first.talk("CA1")
    await first.talk("CA2")
    await first.die()
    house = await House.open(store, hub, "b")
    recover = house.reaper._recover

    async def fails(call_id: str) -> bool:
        if call_id == "CA1":
            raise error
        return await recover(call_id)

    house.reaper._recover = fails
    await house.reaper.start()
    await elapse(60.0)

    assert house.reopened == ["CA2"]
    assert "orphan_not_recovered" in [record.message for record in caplog.records]
    await house.close()
