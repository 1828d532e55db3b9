"""Whatever happens in whatever state: the call is closed once and leaves nothing, or goes on where the chart says so.

Generated from the chart: every state that a call can be in, times everything that can happen to its two legs. A state
without a recipe to reach it fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.simulators.misbehaviour import Misbehaviour
from adapters.simulators.twilio import TwilioCaller
from fsm.load import load_chart
from fsm.registry import Service
from fsm.session import Session
from fsm.triggers import IntentDetected, Trigger
from handlers import REGISTRY
from tests.calls.world import GOODBYE, ORDER, World, a_script, a_world
from tests.fakes import elapse

CHART = load_chart("voice_call", registry=REGISTRY)
STATES = [state.name for state in CHART.leaves() if not state.final]
LIVE = [name for name in STATES if "live" in CHART.ancestors(name)]


async def detect_intent(session: Session, trigger: Trigger) -> IntentDetected:
    """The bundled one, after a second of thought: a state that lasts."""
    await elapse(1.0)
    found = REGISTRY.get("service", "detect_intent")
    assert found is not None
    detected: IntentDetected = await found.function(session, trigger)
    return detected


THOUGHTFUL = REGISTRY.extend(services=(Service(detect_intent, produces=(IntentDetected,)),))


# -- how a call gets into each state -----------------------------------------------------------------


async def created(world: World, **options: Any) -> TwilioCaller:
    """The webhook has announced it; its socket is there and says nothing yet."""
    return await world.call(misbehaviour=Misbehaviour(no_start=True), **options)


async def greeting(world: World, **options: Any) -> TwilioCaller:
    call = await world.call(**options)
    await call.heard_more(500)
    return call


async def listening(world: World, **options: Any) -> TwilioCaller:
    call = await world.call(**options)
    await world.until(call, "listening")
    return call


async def intent(world: World, **options: Any) -> TwilioCaller:
    call = await listening(world, **options)
    await call.say(ORDER)
    await world.until(call, "intent")
    return call


async def agent(world: World, **options: Any) -> TwilioCaller:
    """It has asked its question, of which something was heard."""
    call = await intent(world, **options)
    await world.until(call, "agent")
    await world.until_happened(call, "agent.needs_info")
    await call.heard_more(500)
    return call


async def ending(world: World, **options: Any) -> TwilioCaller:
    call = await listening(world, **options)
    world.application.switchboard.manager.end(call.call_sid)
    await world.until(call, "ending")
    return call


REACH: dict[str, Callable[..., Awaitable[TwilioCaller]]] = {
    "created": created,
    "greeting": greeting,
    "listening": listening,
    "intent": intent,
    "agent": agent,
    "ending": ending,
}


def a_world_of_states(**settings: Any) -> Any:
    return a_world(a_script(ORDER, GOODBYE), registry=THOUGHTFUL, **settings)


def test_every_state_has_a_recipe() -> None:
    assert sorted(REACH) == sorted(STATES)
    assert sorted(LIVE) == sorted(set(STATES) - {"created"})


@pytest.mark.parametrize("state", STATES)
async def test_every_state_is_reached(state: str) -> None:
    async with a_world_of_states() as world:
        call = await REACH[state](world)
        assert world.session(call).state == state
        await call.hang_up()


# -- the caller --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", LIVE)
async def test_caller_hangs_up(state: str) -> None:
    async with a_world_of_states() as world:
        call = await REACH[state](world, status_path=None)
        since = asyncio.get_running_loop().time()
        await call.hang_up()
        context = await world.over(call, within=1.0)
        assert context.end_reason == ("end_requested" if state == "ending" else "caller_hung_up")
        assert asyncio.get_running_loop().time() - since < 1.0
        assert world.happened(call)[-1] == "call.ended"


async def test_caller_hangs_up_before_the_stream_has_started() -> None:
    async with a_world_of_states() as world:
        call = await created(world)
        await call.hang_up()
        assert (await world.over(call, within=1.0)).answered is False


@pytest.mark.parametrize("state", STATES)
async def test_status_callback_tells_the_end(state: str) -> None:
    """The carrier's webhook says that the call is over; its media socket says nothing."""
    async with a_world_of_states() as world:
        call = await REACH[state](world, broken_stream="end", status_path=None)
        await world.post("/twilio/status", CallSid=call.call_sid, CallStatus="completed")
        await world.over(call, within=6.0)
        await call.over()


@pytest.mark.parametrize("state", LIVE)
async def test_carrier_aborts_and_does_not_return(state: str) -> None:
    async with a_world_of_states() as world:
        call = await REACH[state](world, broken_stream="end", status_path=None)
        call.abort()
        await call.over()
        if state != "ending":
            await world.until(call, "created", within=1.0)
            await world.peer.until(lambda: world.peer.open_sockets == 0, within_s=2.0)
        context = await world.over(call, within=31.0)
        assert context.end_reason == ("end_requested" if state == "ending" else "carrier_lost")


async def test_carrier_aborts_before_the_stream_has_started() -> None:
    async with a_world_of_states() as world:
        call = await created(world, broken_stream="end", status_path=None)
        call.abort()
        assert (await world.over(call, within=11.0)).end_reason == "setup_timeout"


@pytest.mark.parametrize("state", LIVE)
async def test_carrier_breaks_and_returns(state: str) -> None:
    """The stream breaks, Twilio asks the `action` URL and brings the caller back on a new stream."""
    async with a_world_of_states() as world:
        call = await REACH[state](world)
        _break_stream(call)
        if state == "ending":
            await world.over(call)
            assert await call.over() == "ended"
            return
        await world.until_happened(call, "call.resumed", within=5.0)
        await world.until(call, "listening", within=1.0)
        assert len(call.streams) == 2
        before = call.heard_ms
        await call.heard_more(500)
        assert world.actions(call).count("greet") <= 1
        assert call.heard_ms > before
        await call.hang_up()
        await world.over(call, within=1.0)
        assert len({step.after.context.call_id for step in world.steps[call.call_sid]}) == 1


def _break_stream(call: TwilioCaller) -> None:
    """Reset the stream's connection as a network does: the carrier knows nothing of it, and goes on with the call."""
    call.streams[-1].abort()


# -- the model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", LIVE)
async def test_model_is_lost_and_the_call_goes_on(state: str) -> None:
    async with a_world_of_states() as world:
        call = await REACH[state](world)
        world.lose_model()
        if state == "ending":
            await world.over(call)
            return
        await world.until_happened(call, "sts.renewed", within=10.0)
        assert len(world.peer.connections) == 2
        await call.heard_more(300, within_ms=30_000)
        await call.hang_up()
        await world.over(call, within=2.0)
        assert world.actions(call).count("greet") == 1


@pytest.mark.parametrize("state", LIVE)
async def test_model_fails_for_good_and_the_caller_hears_it(state: str) -> None:
    async with a_world_of_states() as world:
        call = await REACH[state](world)
        heard_ms = call.heard_ms
        world.fail_model()
        await world.over(call, within=30.0)
        assert await call.over() == "ended"
        assert call.heard_ms > heard_ms
        assert world.actions(call).count("apologise") == (0 if state == "ending" else 1)


@pytest.mark.parametrize("state", LIVE)
async def test_model_is_gone_and_stays_away(state: str) -> None:
    async with a_world_of_states() as world:
        call = await REACH[state](world)
        await world.peer.stop()
        await world.over(call, within=40.0)
        assert await call.over() == "ended"


# -- the process -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
async def test_shutdown(state: str) -> None:
    async with a_world_of_states() as world:
        call = await REACH[state](world)
        await world.application.switchboard.manager.drain(0.0)
        context = await world.over(call, within=0.1)
        assert context.end_reason in ("shutdown", "end_requested")
        await call.over()


@pytest.mark.parametrize("state", STATES)
async def test_end_is_requested(state: str) -> None:
    async with a_world_of_states() as world:
        call = await REACH[state](world)
        assert world.application.switchboard.manager.end(call.call_sid)
        assert (await world.over(call, within=30.0)).end_reason == "end_requested"
        await call.over()


# -- a call that waits for its carrier ---------------------------------------------------------------


async def lost(world: World) -> TwilioCaller:
    call = await listening(world, broken_stream="end", status_path=None)
    call.abort()
    await call.over()
    await world.until(call, "created", within=1.0)
    return call


async def test_call_that_waits_for_its_carrier_is_shut_down() -> None:
    async with a_world_of_states() as world:
        call = await lost(world)
        await world.application.switchboard.manager.drain(0.0)
        await world.over(call, within=0.1)


async def test_call_that_waits_for_its_carrier_is_ended() -> None:
    async with a_world_of_states() as world:
        call = await lost(world)
        world.application.switchboard.manager.end(call.call_sid)
        await world.over(call, within=1.0)


async def test_call_that_waits_for_its_carrier_is_hung_up_there() -> None:
    async with a_world_of_states() as world:
        call = await lost(world)
        await world.post("/twilio/status", CallSid=call.call_sid, CallStatus="completed")
        await world.over(call, within=1.0)
