"""Whatever happens during whatever handler, and whatever a handler does: the call is closed once and leaves nothing.

Generated from the chart: every action, service, reducer and guard that it names, wherever one of the tours below makes
it run, times the ways to misbehave, times what happens meanwhile. In virtual time, on sessions with ports in memory;
`test_states.py` does the same on real sockets, by state.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import pytest

from adapters.simulators.virtual_time import run
from fsm.triggers import (
    CallDtmf,
    CallEnded,
    CallLost,
    CallOverLimit,
    CallResumed,
    CallStarted,
    CallTransferred,
    HeardReply,
    PlaybackFinished,
    ReplyFailed,
    ReplyFinished,
    SegmentReceived,
    SessionConfigured,
    SessionEndRequested,
    SessionShutdown,
    StsFailed,
    StsReady,
    ToolCall,
    ToolCalled,
    TransferRequested,
    UserIdle,
    UserSpeaking,
    UserTranscript,
)
from tests.calls import sabotage
from tests.calls.sabotage import WAYS, Call, Place, Sabotage, Tour, Way, a_call, machine, named, play, rehearse


def said(text: str, item_id: str, reason: str = "") -> UserTranscript:
    return UserTranscript(text=text, item_id=item_id, reason=reason)


def tool(call_id: str) -> ToolCalled:
    return ToolCalled(calls=(ToolCall(call_id=call_id, tool="order_status", arguments="{}"),))


def no_transfer(ports: Any) -> None:
    ports.carrier.can_transfer = False


def a_transfer(ports: Any) -> None:
    ports.carrier.can_transfer = True


def no_configuration(ports: Any) -> None:
    ports.sts.configure = None  # whoever calls it fails


ANSWERED: Tour = (CallStarted(stream_id="MZ1"), StsReady(session_id="s1"), ReplyFinished(item_id="a0", text="Hi!"))
LISTENING: Tour = (*ANSWERED, PlaybackFinished())
RETURNED = CallResumed(stream_id="MZ2", proof=True)

TOURS: dict[str, Tour] = {
    "a talk": (
        *LISTENING,
        said("hours", "u1"), ReplyFinished(item_id="a1", text="Nine."), UserSpeaking(item_id="a1", heard_ms=9),
        said("hours", "u1"), said("?!", "u2"), said("", "u3", "failed"),
        said("mumble", "u4"), said("mumble", "u5"), said("mumble", "u6"),
        SegmentReceived(id="x", seq=1, text="Hm."), SessionConfigured(instructions="Be brief."),
        ReplyFailed(reason="no_audio"), UserIdle(), UserIdle(), UserIdle(), tool("c9"), said("thanks", "u7"), 15.0,
    ),
    "agents": (
        *LISTENING,
        said("book", "u1"), said("order", "u2"), UserIdle(), CallDtmf(digits="456"), CallDtmf(digits="#"),
        said("order", "u3"), said("", "u4", "failed"), ReplyFailed(reason="no_audio"), said("one two three", "u5"),
        said("complain", "u6"), UserIdle(), 6.0, UserSpeaking(item_id="a1"), said("nobody", "u7"),
        said("order", "u8"), UserIdle(), UserIdle(), UserIdle(), 15.0,
    ),
    "functions": (
        *LISTENING, tool("c1"), tool("c1"), tool("c2"), said("one two three", "u1"), tool("c3"), 601.0,
        said("bye", "u2"), 15.0,
    ),
    "a greeting": (
        CallStarted(), no_configuration, SessionConfigured(voice="cedar"), StsReady(), said("hello", "u1"),
        said("?!", "u2"),
        UserSpeaking(item_id="a0", heard_ms=80), CallOverLimit(), 15.0,
    ),
    "a return": (
        *LISTENING, CallLost(can_return=True, replies=(HeardReply(item_id="a1", text="I"),)), CallLost(can_return=True),
        RETURNED, StsReady(), CallResumed(stream_id="MZ3", proof=True), CallResumed(), CallLost(can_return=True),
        CallResumed(),
    ),
    "a caller who stays away": (*LISTENING, CallLost(can_return=True), 31.0),
    "a transfer": (
        *LISTENING, TransferRequested(), no_transfer, TransferRequested(target="+15550100"), a_transfer,
        TransferRequested(target="+15550100"), CallTransferred(),
    ),
    "an end in the middle of a sentence": (
        *LISTENING, said("order", "u1"), CallEnded(replies=(HeardReply(item_id="a1", text="I"),)),
    ),
    "no model": (CallStarted(), StsFailed(reason="refused"), 15.0),
    "no slot": (CallStarted(at_capacity=True),),
    "no caller": (11.0,),
}  # fmt: skip

FAULTS: dict[str, Tour] = {
    "nothing": (),
    "hang-up": (CallEnded(),),
    "abort": (CallLost(can_return=False),),
    "abort and return": (CallLost(can_return=True), 0.2, RETURNED),
    "abort without return": (CallLost(can_return=True),),
    "model lost": (StsFailed(reason="gone"),),
    "shutdown": (SessionShutdown(),),
    "end requested": (SessionEndRequested(),),
}
AT_ONCE = {"hang-up": 3.0, "abort": 3.0}
"""Seconds in which a call is closed although a handler runs: what an exit action may take, and its grace."""


@asynccontextmanager
async def sabotaged(plan: Sabotage, tour: str, *, asynchronous: bool, fault: str = "nothing") -> AsyncIterator[Call]:
    """Play a tour with one misbehaving handler, have `fault` happen meanwhile, hang up at last; then give the call."""
    call = a_call(asynchronous=asynchronous)
    during: list[asyncio.Task[None]] = []

    def strike() -> None:
        if not during:
            call.struck_at = asyncio.get_running_loop().time()
            during.append(asyncio.create_task(play(call, FAULTS[fault])))

    plan.strike = strike
    sabotage.plan = plan
    try:
        await play(call, TOURS[tour])
        if during:
            await during[0]
        call.post(CallEnded())
        async with asyncio.timeout(60.0):
            await call.session.wait_settled()
        yield call
    finally:
        sabotage.plan = Sabotage()


@cache
def ran(*, asynchronous: bool) -> dict[str, list[tuple[str, str, str]]]:
    """Return what runs in each tour when nothing misbehaves."""
    return {tour: run(_undisturbed(tour, asynchronous=asynchronous)) for tour in TOURS}


async def _undisturbed(tour: str, *, asynchronous: bool) -> list[tuple[str, str, str]]:
    plan = Sabotage()
    async with sabotaged(plan, tour, asynchronous=asynchronous) as call:
        call.check_nothing_is_left()
        assert call.session.refused == (tour == "a return")  # a second socket without proof
    return plan.ran


def places(name: str, *, asynchronous: bool) -> list[Place]:
    """Return where a handler runs: once for each state and trigger that it runs for."""
    return [place for handler, place in rehearse(ran(asynchronous=asynchronous)) if handler == name]


ACTIONS = sorted(name for kind, name in named() if kind in ("action", "service"))
PURE = sorted(name for kind, name in named() if kind in ("guard", "reducer"))


@pytest.mark.parametrize("name", [*ACTIONS, *PURE])
def test_tours_make_every_handler_of_the_chart_run(name: str) -> None:
    assert places(name, asynchronous=True)
    assert places(name, asynchronous=False)


def test_tours_lead_through_every_state() -> None:
    states = {state for runs in ran(asynchronous=True).values() for _, state, _ in runs if state}
    assert states == set(machine(asynchronous=True).leaves)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ACTIONS)
def test_during_every_action_and_service(name: str, way: Way, fault: str) -> None:
    for tour, nth in places(name, asynchronous=True):
        run(_one(name, way, fault, tour, nth, asynchronous=True))


@pytest.mark.parametrize("name", [*ACTIONS, *PURE])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_handler_raises(name: str, fault: str) -> None:
    for tour, nth in places(name, asynchronous=False):
        run(_one(name, "raises", fault, tour, nth, asynchronous=False))


@pytest.mark.parametrize("name", [*ACTIONS, *PURE])
@pytest.mark.parametrize("tour", TOURS)
async def test_handler_raises_every_time(name: str, tour: str) -> None:
    async with sabotaged(Sabotage(name, "raises"), tour, asynchronous=False) as call:
        call.check_nothing_is_left()


async def _one(name: str, way: Way, fault: str, tour: str, nth: int, *, asynchronous: bool) -> None:
    async with sabotaged(Sabotage(name, way, nth), tour, asynchronous=asynchronous, fault=fault) as call:
        call.check_nothing_is_left()
        assert call.struck_at >= 0.0 or way == "slow after"  # its own work may fail, or never end
        if call.struck_at >= 0.0 and fault in AT_ONCE:
            assert call.closed_at <= call.struck_at + AT_ONCE[fault]
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left
