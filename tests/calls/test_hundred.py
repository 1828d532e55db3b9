"""A hundred calls, one after the other and all at once, leave nothing: no session, slot, socket, task, no memory."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from typing import Any

import httpx
import pytest

from adapters.simulators.misbehaviour import Misbehaviour
from adapters.simulators.twilio import CallOver, TwilioCaller
from tests.calls.world import World, a_world
from tests.fakes import elapse

_FORGOTTEN_S = 400.0  # far longer than anything of a call that is over is remembered
pytestmark = pytest.mark.timeout(240)

_SESSION = "fsm.session.Session"
_OURS = ("fsm.", "adapters.", "handlers.", "uvicorn.", "_asyncio.", "asyncio.")
_HOUSE = 5  # objects of one class that the process may have more: they are no call's
_BOUNDED = {
    "adapters.calls.activity._Entry": 256,  # of the calls that ended last
    **dict.fromkeys(("adapters.live.events.Event", "adapters.live.events.Place", "adapters.live.hub.Placed"), 10_000),
}
"""Of which so many are kept on purpose, and no more; the newest events are, for who resumes a stream of them."""


async def health(world: World) -> dict[str, Any]:
    """Return what `/api/health` counts."""
    transport = httpx.ASGITransport(app=world.application.asgi, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/api/health")
    sessions: dict[str, Any] = answer.json()["sessions"]
    return sessions


def objects() -> Counter[str]:
    """Count the living objects of our own classes, by class; those of the simulators are not ours."""
    gc.collect()
    names = (f"{type(thing).__dict__.get('__module__', '')}.{type(thing).__qualname__}" for thing in gc.get_objects())
    return Counter(name for name in names if name.startswith(_OURS) and not name.startswith("adapters.simulators."))


def grown(before: Counter[str]) -> dict[str, int]:
    """Return of which classes there are more objects than before, and than is allowed."""
    return {kind: more for kind, more in (objects() - before).items() if more > _BOUNDED.get(kind, _HOUSE)}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def forget(world: World) -> None:
    """Let go of what only this test holds, and let the time pass after which nothing of a call is remembered."""
    await world.application.switchboard.manager.idle(timeout=120.0)
    await elapse(_FORGOTTEN_S)
    for kept in (world.sessions, world.steps, world.effects, world.refusals, world.peer.connections):
        kept.clear()
    gc.collect()


async def a_call(world: World, nth: int) -> None:
    """Phone in and go, each time a little otherwise."""
    call = await world.call()
    await call.heard_more(100 + nth % 3 * 200)
    if nth % 4 == 3:
        call.abort()
        await call.over()
    else:
        await call.hang_up()
    await world.over(call)


async def a_rapid_call(world: World, nth: int) -> None:
    """Phone in and cut the line `nth` times 7 ms later, wherever the call has come to."""
    kind = nth % 4
    broken = Misbehaviour(
        abort_after_ms=7.0 * nth,
        no_start=kind == 1,
        no_stop=kind == 2,
        hang_up_silently=kind == 3,
    )
    caller = world.caller(misbehaviour=broken)
    await _dialled(caller)
    if kind == 3:
        await caller.hang_up()
    await caller.over()


async def _dialled(caller: TwilioCaller) -> None:
    try:
        await caller.dial()
    except (CallOver, TimeoutError):
        return


def check_log(caplog: pytest.LogCaptureFixture) -> None:
    """Fail if anything was logged that nobody should have to read."""
    told = [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
    assert told == []
    assert "attempted to close non-existent session" not in caplog.text


async def test_hundred_consecutive_calls_leave_neither_sessions_nor_memory(caplog: pytest.LogCaptureFixture) -> None:
    async with a_world(one_call=False, store="sqlite") as world:
        for nth in range(8):
            await a_call(world, nth)
        await forget(world)
        await a_call(world, 0)  # whoever forgets when something comes has forgotten now
        await forget(world)
        before, open_before = objects(), descriptors()

        for nth in range(100):
            await a_call(world, nth)
        assert await health(world) == {"active_count": 0, "uuids": []}
        await forget(world)
        await a_call(world, 0)
        await forget(world)

        assert grown(before) == {}
        assert objects()[_SESSION] <= before[_SESSION]
        assert descriptors() <= open_before + 1
        assert await health(world) == {"active_count": 0, "uuids": []}
    check_log(caplog)


async def test_hundred_rapid_connects_and_disconnects_leave_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with a_world(one_call=False, store="sqlite") as world:
        await a_call(world, 0)
        await forget(world)
        await a_call(world, 0)
        await forget(world)
        before, open_before = objects(), descriptors()

        await asyncio.gather(*(a_rapid_call(world, nth) for nth in range(100)))
        await forget(world)
        await a_call(world, 0)
        await forget(world)

        assert await health(world) == {"active_count": 0, "uuids": []}
        assert world.application.switchboard.manager.slots_taken == 0
        assert world.peer.open_sockets == 0
        assert grown(before) == {}
        assert objects()[_SESSION] <= before[_SESSION]
        assert descriptors() <= open_before + 1
    check_log(caplog)
