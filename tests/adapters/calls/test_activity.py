"""When a call was last active, and the end of one in which nothing happens any more."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.calls.activity import Activity
from adapters.stores.contract import Head, Kept
from fsm.clock import LoopClock
from fsm.document import iso
from fsm.triggers import (
    CallDtmf,
    CallOverLimit,
    PlaybackFinished,
    ReplyFinished,
    ReplyStarted,
    SegmentReceived,
    SessionConfigured,
    Trigger,
    UserSilent,
    UserSpeaking,
    UserTranscript,
)
from tests.adapters.calls.node import LEASE, some_nodes
from tests.adapters.media.fakes import pcmu
from tests.fakes import a_call, elapse


async def test_a_call_without_activity_ends_after_its_time() -> None:
    async with some_nodes(inactivity=100.0) as (one,):
        await one.book.create(call_id="API1", bot="notes", metadata={})
        session = one.session("API1")
        await elapse(99.9)
        before = session.closed
        await elapse(0.2)

        assert (before, session.closed) == (False, True)
        assert session.context.end_reason == "inactivity"


@pytest.mark.parametrize(
    "trigger",
    [
        UserSpeaking(),
        UserSilent(),
        UserTranscript(text=""),
        CallDtmf(digits="1"),
        ReplyStarted(),
        ReplyFinished(),
        PlaybackFinished(),
        SegmentReceived(id="a", seq=1, text="hello"),
    ],  # fmt: skip
    ids=lambda t: t.name,
)
async def test_speech_keys_replies_and_segments_are_activity(trigger: Trigger) -> None:
    async with some_nodes(inactivity=100.0) as (one,):
        await one.book.create(call_id="API1", bot="notes", metadata={})
        session = one.session("API1")
        for _ in range(3):
            await elapse(60)
            session.post(trigger)
        await elapse(99.9)
        before = session.closed
        await elapse(0.2)

        assert (before, session.closed) == (False, True)


async def test_an_event_that_an_operator_posts_is_activity() -> None:
    async with some_nodes(inactivity=100.0) as (one,):
        await one.book.create(call_id="API1", bot="notes", metadata={})
        session = one.session("API1")
        await elapse(60)
        await one.book.post("API1", "session.configured", {"language": "de"})
        await elapse(99.9)
        before = session.closed
        await elapse(0.2)

        assert (before, session.closed) == (False, True)


async def test_what_an_operator_asks_of_a_call_is_activity_and_looking_is_not() -> None:
    async with some_nodes(inactivity=100.0) as (one,):
        await one.book.create(call_id="API1", bot="notes", metadata={})
        session = one.session("API1")
        await elapse(60)
        await one.book.patch("API1", {"n": 1}, version=None)
        await elapse(60)
        await one.book.get("API1")
        await one.book.validate("API1")
        active_at = one.activity.facts(session).active_at
        document = await one.book.get("API1")
        await elapse(39.9)
        before = session.closed
        await elapse(0.2)

        assert active_at == pytest.approx(session.context.created_at + 60, abs=0.1)
        assert document["last_activity"] > document["created_at"]
        assert (before, session.closed) == (False, True)


async def test_frames_and_other_events_are_no_activity() -> None:
    async with some_nodes(inactivity=100.0) as (one,):
        leg = await one.phone("CA1", called="+15550109")
        session = one.session("CA1")
        assert leg.events is not None
        for n in range(12):
            await elapse(10)
            leg.events.on_audio(pcmu(20), 20 * n)
            session.post(SessionConfigured(language="de"))
        await elapse(1)

        assert session.closed
        assert session.context.end_reason == "inactivity"


async def test_each_call_has_its_own_time_and_one_timer_serves_all() -> None:
    async with some_nodes(inactivity=100.0, max_calls=100) as (one,):
        for n in range(50):
            await one.book.create(call_id=f"API{n}", bot="notes", metadata={})
            await elapse(1)
        handles = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]  # no public way to count timers
        ours = [handle for handle in handles if not handle.cancelled() and "Activity" in repr(handle)]
        await elapse(59.5)
        live = [session.call_id for session in one.here.live()]
        await elapse(45.5)

        assert len(ours) == 1
        assert len(live) == 40
        assert [session.call_id for session in one.here.live()] == []


async def test_a_chart_that_goes_on_is_told_again() -> None:
    activity = Activity(clock=LoopClock(), timeout=100.0)
    session = a_call(call_id="CA1")
    activity.on_commit(session, _step("call.started"))
    await elapse(250)
    told = list(session.posted)
    activity.on_settled(session)
    await elapse(250)

    assert told == [CallOverLimit(limit="inactivity")] * 2
    assert session.posted == told
    activity.aclose()


async def test_a_call_that_goes_on_elsewhere_keeps_when_it_was_active_and_what_was_received() -> None:
    async with some_nodes(2, inactivity=100.0) as (one, two):
        leg = await one.phone("CA1", called="+15550109")
        assert leg.events is not None
        for n in range(100):
            leg.events.on_audio(pcmu(20), 20 * n)
        one.session("CA1").post(UserSpeaking())
        await elapse(60)
        active_at = one.activity.facts(one.session("CA1")).active_at
        await one.die()
        await elapse(LEASE + 1)
        await two.desk.take_over("CA1")
        document = await two.book.get("CA1")
        kept_at = two.activity.facts(two.session("CA1")).active_at
        await elapse(35)

        assert kept_at == pytest.approx(active_at)
        assert document["audio"] == {"received_seconds": 2.0, "dropped_frames": 0}
        assert document["last_activity"] == iso(active_at)
        assert one.clients
        assert (await two.book.get("CA1"))["end_reason"] == "carrier_lost"


async def test_time_without_a_server_does_not_count() -> None:
    async with some_nodes(2, inactivity=100.0) as (one, two):
        await one.book.create(call_id="API1", bot="notes", metadata={})
        await elapse(1)
        await one.die()
        await elapse(500)
        await two.desk.take_over("API1")
        session = two.session("API1")
        await elapse(99)
        before = session.closed
        await elapse(1.1)

        assert (before, session.closed) == (False, True)
        assert session.context.end_reason == "inactivity"


async def test_a_call_that_was_to_be_resumed_and_was_not_is_forgotten() -> None:
    activity = Activity(clock=LoopClock(), timeout=100.0)
    head = Head(status="active", state="listening", created_at=1.0, active_at=7.0)
    activity.restore(Kept("CA1", None, head, 3, 1, "n1", -1.0))
    known = len(activity)
    await elapse(101)

    assert (known, len(activity)) == (1, 0)
    activity.aclose()


async def test_facts_tell_when_a_call_ended_and_what_its_line_received() -> None:
    async with some_nodes() as (one,):
        leg = await one.phone("CA1", called="+15550109")
        session = one.session("CA1")
        assert leg.events is not None
        leg.events.on_audio(pcmu(20), 0)
        session.post(UserSpeaking())
        await elapse(5)
        live = one.activity.facts(session)
        await one.book.end("CA1")
        await session.wait_settled()
        over = one.activity.facts(session)

        assert (live.settled, live.ended_at, live.audio["received_seconds"]) == (False, 0.0, 0.02)
        assert over.settled
        assert over.ended_at == pytest.approx(over.active_at, abs=6)
        assert over.ended_at > live.active_at
        assert over.audio == live.audio


async def test_many_calls_that_end_at_once_are_written_down_with_all_that_is_known_of_them() -> None:
    activity = Activity(clock=LoopClock(), timeout=100.0)
    sessions = [a_call(call_id=f"CA{number}") for number in range(300)]
    for session in sessions:
        activity.on_commit(session, _step("init"))
    for session in sessions:
        activity.on_settled(session)

    assert all(activity.facts(session).active_at for session in sessions)
    del session
    sessions.clear()
    gc.collect()
    assert not activity._over


def _step(name: str) -> Any:
    return SimpleNamespace(trigger=SimpleNamespace(name=name), row=SimpleNamespace(final=False))
