"""What a hub keeps, when it cuts somebody off, and what it says of an end; without sockets."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest

from adapters.bus.local import LocalBus
from adapters.live.app import Live
from adapters.live.events import END, Place
from adapters.live.fronts import Fronts, Key
from adapters.live.hub import Closed, Hub, Lagged
from adapters.live.pace import Pace
from fsm.clock import LoopClock
from fsm.errors import CallchartError
from fsm.observe import Journal
from fsm.triggers import CallEnded
from tests.adapters.live.world import a_world
from tests.fakes import elapse

KEY = Key("called", "+15550100")


def a_hub(**more: Any) -> Hub:
    return Hub(clock=LoopClock(), node="n1", **more)


def told(hub: Hub, *seqs: int, call_id: str = "CA1") -> None:
    hub.heard([(call_id, seq, 0, "transition", {"seq": seq}) for seq in seqs])


def seqs(placed: Any) -> list[int] | None:
    return None if placed is None else [each.event.place.seq for each in placed]


async def test_the_ring_tells_what_came_after_a_place_if_it_lacks_nothing() -> None:
    hub = a_hub(kept=4)
    told(hub, 1, 2, 3)
    assert seqs(hub.since_place("CA1", Place(0, 0))) == [1, 2, 3]
    assert seqs(hub.since_place("CA1", Place(1, END - 1))) == [2, 3]

    told(hub, 4, 5)
    assert seqs(hub.since_place("CA1", Place(1, 0))) is None
    assert seqs(hub.since_place("CA1", Place(2, 0))) == [3, 4, 5]

    told(hub, 7)
    assert seqs(hub.since_place("CA1", Place(3, 0))) is None
    assert seqs(hub.since_place("CA2", Place(1, 0))) is None


async def test_ids_of_the_stream_of_all_calls_grow_and_name_their_node() -> None:
    hub, other = a_hub(), Hub(clock=LoopClock(), node="n2")
    with hub.subscribe() as heard:
        told(hub, 1, 2)
        await elapse(0.01)
        told(hub, 3)
        placed = [await heard.next(1) for _ in range(3)]

    ids = [hub.id_of(each) for each in placed if each is not None]
    assert len({each.ms for each in placed if each is not None}) == 2
    assert seqs(hub.since(ids[0])) == [2, 3]
    assert seqs(hub.since(ids[2])) == []
    assert hub.latest_id() == ids[2]
    assert hub.tag != other.tag


async def test_after_an_id_of_another_node_the_last_seconds_are_told_again() -> None:
    hub = a_hub()
    await elapse(60)
    told(hub, 1)
    await elapse(10)
    told(hub, 2)
    await elapse(4)
    now = int(hub.clock.wall() * 1000)

    assert seqs(hub.since(f"{now}-0-{hub.tag}")) == []
    assert seqs(hub.since(f"{now}-0-ffffff")) == [2]


async def test_an_id_from_before_this_node_began_says_nothing_here() -> None:
    hub = a_hub()
    now = int(hub.clock.wall() * 1000)

    assert hub.since(f"{now}-0-ffffff") is None
    assert hub.since(f"{now}-0-{hub.tag}") == []


async def test_whoever_is_too_far_behind_is_cut_off_and_nobody_else() -> None:
    hub = a_hub(queue=2)
    slow, quick = hub.subscribe("CA1"), hub.subscribe()
    for seq in range(1, 5):
        told(hub, seq)
        assert seqs([await quick.next(1)]) == [seq]

    with pytest.raises(Lagged, match="more than 2 events behind"):
        await slow.next(1)
    assert hub.watched == 1
    quick.close()
    with pytest.raises(Closed):
        await quick.next(1)


async def test_an_end_that_is_never_durable_is_not_told_and_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing(Journal):
        async def durable(self, call_id: str, seq: int) -> None:
            raise CallchartError("another node has it")

    async with a_world(journal=Refusing()) as world:
        session = world.answer()
        with world.live.hub.subscribe("CA1") as heard, caplog.at_level(logging.WARNING):
            session.post(CallEnded())
            await session.wait_settled()
            types = []
            while (placed := await heard.next(5)) is not None:
                types.append((placed.event.type, placed.event.data.get("status")))

    assert ("call.status_changed", "active") in types
    assert ("call.status_changed", "ended") not in types
    assert [record.message for record in caplog.records] == ["end_not_told"]


async def test_a_stop_waits_for_ends_for_a_while_and_leaves_no_task() -> None:
    class Slow(Journal):
        async def durable(self, call_id: str, seq: int) -> None:
            await asyncio.sleep(1 if call_id == "CA1" else 3600)

    async with a_world(journal=Slow()) as world:
        ended = []
        with world.live.hub.subscribe() as heard:
            for call_id in ("CA1", "CA2"):
                session = world.answer(call_id)
                session.post(CallEnded())
                await session.wait_settled()
            began = world.clock.now()
            await world.live.aclose()
            assert world.clock.now() - began == pytest.approx(2, abs=0.1)
            with suppress(Closed):
                while (placed := await heard.next(5)) is not None:
                    ended += [placed.event.call_id] if placed.event.ends_call else []

    assert ended == ["CA1"]


async def test_what_is_left_again_waits_as_long_again() -> None:
    fronts = Fronts(clock=LoopClock(), lasts=600)
    fronts.configure(None, KEY, {"voice": "ash"})
    await elapse(400)
    fronts.configure(None, KEY, {"voice": "cedar"})
    await elapse(400)
    assert fronts.unclaimed == 1
    await elapse(201)

    assert fronts.unclaimed == 0
    assert fronts.claim("CA1", called="+15550100") is None


async def test_what_was_left_by_token_outdoes_id_and_number() -> None:
    fronts = Fronts(clock=LoopClock())
    fronts.configure(None, KEY, {"voice": "number", "language": "de", "metadata": {"a": 1, "b": 1}})
    fronts.configure(None, Key("call_id", "CA1"), {"voice": "id", "instructions": "by id", "metadata": {"b": 2}})
    fronts.configure(None, Key("token", "t" * 16), {"voice": "token"})

    job = fronts.claim("CA1", called="+15550100", parameters={"front_token": "t" * 16})

    assert job is not None
    assert (job.voice, job.instructions, job.language) == ("token", "by id", "de")
    assert job.metadata == {"a": 1, "b": 2}
    assert fronts.waiting == 0


async def test_a_front_that_has_gone_is_told_nothing() -> None:
    class Gone:
        def bound(self, call_id: str, by: str) -> None:
            pytest.fail("it has gone")

        def dropped(self, why: str) -> None:
            pytest.fail("it has gone")

        def cleared(self) -> None:
            pytest.fail("it has gone")

    fronts, front = Fronts(clock=LoopClock()), Gone()
    fronts.wait(front, KEY)
    fronts.configure(front, KEY, {"voice": "ash"})
    fronts.leave(front, KEY)
    fronts.configure(None, KEY, {"voice": "cedar"})
    fronts.clear()

    assert fronts.waiting == 0


async def test_a_message_of_the_bus_that_is_none_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async with a_world() as world:
        for message in (b"\xff", b"[]", b'{"live": 7}', b'{"live": [[1]]}', b'{"front": "odd"}', b'{"other": 1}', b"1"):
            world.live.heard(message)

        assert world.live.fronts.waiting == 0
        assert {record.message for record in caplog.records} == {"bus_message_unreadable"}


async def test_a_bucket_fills_again_and_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.live.pace._REMEMBERED", 4)
    pace = Pace(LoopClock(), burst=2, rate=1.0)

    assert [pace.allows("a") for _ in range(3)] == [True, True, False]
    await elapse(1)
    assert [pace.allows("a") for _ in range(2)] == [True, False]
    assert all(pace.allows(key) for key in "bcdefghij")
    assert len(pace._left) <= 4


async def test_where_there_is_no_other_node_nothing_is_written_for_it() -> None:
    published = []

    class Alone(LocalBus):
        def publish(self, message: bytes) -> None:
            published.append(message)

    live = Live(clock=LoopClock(), bus=Alone("n1"))
    live.hub.notify("CA1", "front.told", {"text": "hello"})

    assert published == []
    assert seqs(live.hub.since_place("CA1", Place(0, 0))) == [0]
