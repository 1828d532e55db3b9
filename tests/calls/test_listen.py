"""The bundled chart `listen`: what is said is written down, and nobody answers; a call by API opens nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.simulators.realtime import Faults
from fsm.triggers import CallLost, SegmentReceived, SessionEndRequested, SessionShutdown, UserSpeaking
from tests.calls.world import HOURS, ORDER, World, a_script, a_world
from tests.fakes import elapse

BOTS = "default: {chart: listen, idle_after: 10s}\n"


@asynccontextmanager
async def listening(tmp_path: Any, *utterances: str, **more: Any) -> AsyncIterator[World]:
    """Give a world whose only bot listens."""
    bots = tmp_path / "bots.yaml"
    bots.write_text(BOTS, encoding="utf-8")
    async with a_world(a_script(*utterances), bots=str(bots), **more) as world:
        yield world


async def by_api(world: World) -> Any:
    """Begin a call without a carrier."""
    assert await world.application.desk.create("API1", bot="default", metadata={}) not in ("known", "full")
    call = SimpleNamespace(call_sid="API1")
    await world.until(call, "listening", within=0.1)  # type: ignore[arg-type]  # only its id is asked
    return call


# -- by API -------------------------------------------------------------------------------------------


async def test_a_call_by_api_collects_segments_until_it_is_ended(tmp_path: Any) -> None:
    async with listening(tmp_path) as world:
        call = await by_api(world)
        session = world.session(call)
        session.post(SegmentReceived(id="b", seq=2, text="and my name is Ada"))
        session.post(SegmentReceived(id="a", seq=1, text="hello"))
        await elapse(1000)
        session.post(SessionEndRequested())
        context = await world.over(call, within=1.0)

        assert [segment.text for segment in context.segments] == ["hello", "and my name is Ada"]
        assert (context.end_reason, context.answered, context.carrier) == ("end_requested", True, "api")
        assert world.states(call) == ["created", "listening", "closed"]
        assert world.peer.connections == []
        assert [entry["kind"] for entry in context.outbox] == ["call.over"]


async def test_a_call_by_api_that_nobody_ends_is_over_after_its_longest_time(tmp_path: Any) -> None:
    async with listening(tmp_path, call_session_timeout=1_000_000.0) as world:
        call = await by_api(world)
        context = await world.over(call, within=7201.0)

        assert context.end_reason == "time_limit"


async def test_a_call_by_api_in_which_nothing_happens_is_over(tmp_path: Any) -> None:
    async with listening(tmp_path, call_session_timeout=60.0) as world:
        call = await by_api(world)
        context = await world.over(call, within=61.0)

        assert context.end_reason == "inactivity"


async def test_a_call_by_api_is_shut_down_with_its_process(tmp_path: Any) -> None:
    async with listening(tmp_path) as world:
        call = await by_api(world)
        world.session(call).post(SessionShutdown())

        assert (await world.over(call, within=1.0)).end_reason == "shutdown"


async def test_a_call_by_api_goes_on_after_a_crash(tmp_path: Any) -> None:
    async with listening(tmp_path) as world:
        call = await by_api(world)
        session = world.session(call)
        session.post(SegmentReceived(id="a", seq=1, text="hello"))
        session.post(CallLost(can_return=True))
        session.post(SegmentReceived(id="b", seq=2, text="again"))
        await elapse(600)
        session.post(SessionEndRequested())
        context = await world.over(call, within=1.0)

        assert [segment.text for segment in context.segments] == ["hello", "again"]
        assert world.states(call) == ["created", "listening", "closed"]


async def test_a_call_by_api_that_cannot_go_on_is_over(tmp_path: Any) -> None:
    async with listening(tmp_path) as world:
        call = await by_api(world)
        world.session(call).post(CallLost(can_return=False, reason="orphaned"))

        assert (await world.over(call, within=1.0)).end_reason == "orphaned"


# -- with a carrier -----------------------------------------------------------------------------------


async def test_a_caller_is_written_down_and_never_answered(tmp_path: Any) -> None:
    async with listening(tmp_path, HOURS, ORDER) as world:
        call = await world.call()
        await world.until_happened(call, "sts.ready")
        await call.say(HOURS)
        await world.until_happened(call, "user.transcript")
        await call.elapse(20_000)
        await call.say(ORDER)
        await world.until_happened(call, "user.transcript", times=2)
        await call.elapse(20_000)
        await call.hang_up()
        context = await world.over(call)

        assert [message.text for message in context.history] == [HOURS, ORDER]
        assert (context.end_reason, world.states(call)) == ("caller_hung_up", ["created", "listening", "closed"])
        assert world.peer.received_of("response.create") == []
        assert call.heard_ms == 0


async def test_a_caller_who_is_silent_is_not_asked(tmp_path: Any) -> None:
    async with listening(tmp_path, call_session_timeout=120.0) as world:
        call = await world.call()
        await world.until(call, "listening")
        context = await world.over(call, within=130.0)

        assert "user.idle" in world.happened(call)
        assert context.end_reason == "inactivity"
        assert call.heard_ms == 0


async def test_a_stream_that_comes_back_is_listened_to_again(tmp_path: Any) -> None:
    async with listening(tmp_path, HOURS, ORDER) as world:
        call = await world.call()
        await world.until_happened(call, "sts.ready")
        await call.say(HOURS)
        await world.until_happened(call, "user.transcript")
        call.streams[-1].abort()
        await world.until_happened(call, "sts.ready", times=2)
        await call.say(ORDER)
        await world.until_happened(call, "user.transcript", times=2)
        await call.hang_up()
        context = await world.over(call)

        assert [message.text for message in context.history] == [HOURS, ORDER]
        assert context.resumed_count == 1
        assert world.peer.received_of("response.create") == []


@pytest.mark.parametrize(
    ("happens", "reason"),
    [(SessionEndRequested(), "end_requested"), (SessionShutdown(), "shutdown")],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_a_call_that_is_ended_is_over_at_once(tmp_path: Any, happens: Any, reason: str) -> None:
    async with listening(tmp_path) as world:
        call = await world.call()
        await world.until_happened(call, "sts.ready")
        world.session(call).post(UserSpeaking())
        world.session(call).post(happens)
        context = await world.over(call, within=1.0)

        assert context.end_reason == reason
        assert await call.over() == "ended"


async def test_a_caller_whom_no_model_hears_is_told_so(tmp_path: Any) -> None:
    async with listening(tmp_path, faults=[Faults(refuse=500)] * 3) as world:
        call = await world.call()
        context = await world.over(call, within=30.0)

        assert context.end_reason == "sts_failed"
        assert await call.over() == "ended"
        assert call.heard_ms > 1000
