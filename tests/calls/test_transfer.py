"""A call that a human takes over: the carrier is told, the stream ends, and the record says so."""

from __future__ import annotations

from fsm.triggers import TransferRequested
from tests.calls.world import a_world


async def test_transferred_call_is_recorded_as_transferred_not_as_lost() -> None:
    async with a_world() as world:
        call = await world.call()
        await world.until(call, "listening")
        world.application.switchboard.post(call.call_sid, TransferRequested(target="+15550123"))
        context = await world.over(call)

        assert await call.over() == "transferred"
        assert call.transferred_to == "+15550123"
        assert context.end_reason == "transferred"
        assert "call.lost" not in world.happened(call)
        assert world.states(call) == ["created", "greeting", "listening", "ending", "closed"]


async def test_caller_who_hangs_up_while_being_asked_to_hold_rings_nobodys_phone() -> None:
    async with a_world() as world:
        call = await world.call()
        await world.until(call, "listening")
        world.application.switchboard.post(call.call_sid, TransferRequested(target="+15550123"))
        await world.until(call, "ending")
        await call.hang_up()
        context = await world.over(call)

        assert call.transferred_to is None
        assert context.end_reason == "caller_hung_up"


async def test_transfer_to_nobody_is_apologised_for_and_the_call_goes_on() -> None:
    async with a_world() as world:
        call = await world.call()
        await world.until(call, "listening")
        world.application.switchboard.post(call.call_sid, TransferRequested(target="nobody at all"))
        await world.until_happened(call, "error.action.transfer")
        await world.until(call, "listening")

        assert "apologise" in world.actions(call)
        await call.hang_up()
        assert (await world.over(call)).end_reason == "caller_hung_up"
