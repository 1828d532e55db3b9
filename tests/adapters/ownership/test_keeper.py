"""Leases: renewed, lost, given up, kept until the store knows that a call has settled."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from adapters.stores.contract import Commit, Kept, SessionStore, StoreAway
from fsm.triggers import CallDtmf, CallEnded
from tests.adapters.media.fakes import FakeLeg
from tests.adapters.ownership.house import House, a_store
from tests.bus_hub import BusHub
from tests.fakes import elapse


async def lease(store: SessionStore, call_id: str = "CA1") -> tuple[str, bool]:
    kept = await store.get(call_id)
    assert kept is not None
    return kept.owner, kept.lease_left > 0


async def test_leases_are_renewed_for_as_long_as_their_calls_live() -> None:
    store = a_store()
    house = await House.open(store, BusHub(), "a")
    await house.talk()
    await house.keeper.start()

    await elapse(100.0)

    assert await lease(store) == ("a", True)
    await house.desk.post("CA1", CallEnded())
    await elapse(30.0)
    assert await lease(store) == ("a", False)
    assert await store.unsettled() == []
    assert house.keeper._settling == {}
    await house.close()


async def test_a_renewal_that_fails_for_whatever_reason_is_not_the_last_one(caplog: pytest.LogCaptureFixture) -> None:
    store = a_store()
    house = await House.open(store, BusHub(), "a")
    await house.talk()
    renew, failed = store.renew, False

    async def fails_once(owner: str, fences: Collection[tuple[str, int]], *, lease: float) -> list[str]:
        nonlocal failed
        if not failed:
            failed = True
            raise KeyError("a mistake of ours")
        return await renew(owner, fences, lease=lease)

    store.renew = fails_once  # type: ignore[method-assign]
    await house.keeper.start()
    await elapse(60.0)

    assert failed
    assert await lease(store) == ("a", True)
    assert "round_failed" in [record.message for record in caplog.records]
    await house.close()


async def test_leases_are_renewed_in_time_however_many_calls_have_settled_while_the_store_was_away() -> None:
    store = a_store()
    house = await House.open(store, BusHub(), "a")
    await house.talk()
    house.keeper._settling = {f"CB{number}": 1 for number in range(200)}
    get = store.get

    async def slowly(call_id: str, *, touch: bool = False) -> Kept | None:
        await asyncio.sleep(0.2)
        return await get(call_id, touch=touch)

    store.get = slowly  # type: ignore[method-assign]
    await house.keeper.start()
    for _ in range(20):
        await elapse(5.0)
        (kept,) = (await store.find()).calls
        assert kept.lease_left > 0

    assert house.keeper._settling == {}
    store.get = get  # type: ignore[method-assign]
    await house.close()


async def test_that_nothing_has_to_be_replayed_does_not_say_that_the_store_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = await House.open(a_store(), BusHub(), "a")
    await house.talk()
    house.store.cut = True

    for number in range(3):
        assert await house.connect(FakeLeg(f"MZ{number}"), "CA2", again=True) is None

    assert house.keeper.store_away
    assert [line.message for line in caplog.records if line.message.startswith("store_")] == ["store_away"]
    await house.close()


async def test_an_owner_that_hears_of_a_higher_fence_gives_its_call_up_and_of_a_lower_one_does_not() -> None:
    house = await House.open(a_store(), BusHub(), "a")
    leg = await house.talk()

    assert await house.keeper.answer_fenced({"op": "fenced", "call_id": "CA1", "fence": 1}) == {"given_up": False}
    assert house.state() == "greeting"
    assert await house.keeper.answer_fenced({"op": "fenced", "call_id": "CA1", "fence": 2}) == {"given_up": True}
    await elapse(0.1)

    assert house.state() == ""
    assert any(entry.startswith("close") for entry in leg.log if isinstance(entry, str))
    assert "hang_up" not in leg.log
    assert await house.keeper.answer_fenced({"op": "fenced", "call_id": "CA1", "fence": 3}) == {"given_up": False}
    await house.close()


async def test_an_owner_that_hears_nothing_learns_from_its_next_renewal() -> None:
    store = a_store()
    house = await House.open(store, BusHub(), "a")
    await house.talk()
    await house.keeper.start()
    await store.claim("CA1", "b", lease=15.0, force=True)

    await elapse(5.1)

    assert (house.state(), house.keeper.given_up) == ("", 1)
    await house.close()


async def test_an_owner_that_hears_nothing_learns_from_its_next_commit() -> None:
    store = a_store()
    house = await House.open(store, BusHub(), "a")
    await house.talk()
    await store.claim("CA1", "b", lease=15.0, force=True)
    before = await store.log("CA1")

    await house.desk.post("CA1", CallDtmf(digits="1"))
    await elapse(0.1)

    assert (house.state(), house.keeper.given_up) == ("", 1)
    assert await store.log("CA1") == before
    await house.close()


async def test_a_call_that_was_taken_and_comes_back_at_once_waits_until_its_first_session_is_gone() -> None:
    store = a_store()
    house = await House.open(store, BusHub(), "a")
    leg = await house.talk()
    leg.stuck = True  # its socket takes its time
    await store.claim("CA1", "b", lease=15.0, force=True)
    house.keeper.give_up("CA1")

    assert await house.desk.is_live("CA1")
    assert await house.connect(FakeLeg("MZ2"), again=True) is not None
    await elapse(0.1)

    assert (house.state(), house.keeper.fence("CA1")) == ("listening", 3)
    await house.close()


async def test_while_the_store_is_away_calls_are_served_and_renewed_when_it_is_back() -> None:
    store = a_store()
    house = await House.open(store, BusHub(), "a")
    await house.talk()
    await house.keeper.start()
    house.store.cut = True

    await elapse(60.0)
    assert (house.state(), house.keeper.store_away) == ("listening", True)
    house.store.cut = False
    await elapse(5.1)

    assert (house.state(), house.keeper.store_away) == ("listening", False)
    assert await lease(store) == ("a", True)
    await house.close()


async def test_a_call_that_settled_while_the_store_was_away_is_nobodys_orphan() -> None:
    store, hub = a_store(), BusHub()
    house, other = await House.open(store, hub, "a"), await House.open(store, hub, "b")
    await house.talk()
    await house.keeper.start()
    await other.reaper.start()
    real = house.store.store

    class TakesNoCommits:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        async def commit(self, commits: list[Commit]) -> object:
            raise StoreAway("full")

    house.store.store = TakesNoCommits()  # type: ignore[assignment]  # a store, but for its commits
    await house.desk.post("CA1", CallEnded())
    await elapse(100.0)
    assert other.reopened == []
    assert await lease(store) == ("a", True)

    house.store.store = real
    await elapse(10.0)

    kept = await store.get("CA1")
    assert kept is not None
    assert (kept.head.settled, kept.fence, house.keeper._settling) == (True, 1, {})
    await house.close()
    await other.close()


async def test_a_store_that_does_not_answer_keeps_nobody_waiting_for_more_than_a_second() -> None:
    house = await House.open(a_store(), BusHub(), "a")

    with pytest.raises(StoreAway, match="did not answer in 1 s"):
        await house.keeper.ask(elapse(3600.0))
    assert house.keeper.store_away
    await house.close()


@pytest.mark.parametrize("again", [True, False], ids=["again", "as if it were new"])
async def test_what_a_former_process_could_not_write_comes_before_any_resume(
    again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    store, hub = a_store(), BusHub()
    first = await House.open(store, hub, "first")
    await first.talk()
    await first.die()
    house = await House.open(store, hub, "b")

    class Replaying:
        async def replayed(self) -> None:
            await elapse(3600.0)

    writer, house.keeper.writer = house.keeper.writer, Replaying()  # type: ignore[assignment]  # what is asked of it
    assert await house.connect(FakeLeg("MZ2"), again=again) is None
    assert [r.__dict__["why"] for r in caplog.records if r.message == "socket_refused"] == ["store_away"]

    house.keeper.writer = writer
    assert await house.connect(FakeLeg("MZ2"), again=True) is not None
    await house.close()
