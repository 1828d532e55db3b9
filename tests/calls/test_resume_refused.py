"""Who may not come back, and what comes to a node that does not have the call."""

from __future__ import annotations

import httpx
import pytest

from adapters.simulators.twilio import TwilioCaller
from adapters.simulators.webhook import post_form
from fsm.context import changed
from fsm.triggers import CallDtmf, TransferRequested
from tests.calls.nodes import Node
from tests.calls.test_resume import NODES, answered, greetings, token_of
from tests.calls.world import HOURS, World, a_script, a_world
from tests.fakes import elapse

# -- who may not come back ---------------------------------------------------------------------------


async def refused(world: World, node: Node, call: TwilioCaller, caplog: pytest.LogCaptureFixture) -> str:
    """Bring the call's socket to a node that does not have it; return why it was refused."""
    caplog.clear()
    back = TwilioCaller(
        node.url.replace("http", "ws") + "/twilio/media",
        call_sid=call.call_sid,
        parameters={"token": token_of(node, call.call_sid), "again": "1"},
    )
    await back.dial()
    await back.over()
    assert back.streams[0].close_code == 1008
    (line,) = [r for r in caplog.records if r.message == "socket_refused" and r.name.endswith("desk")]
    return str(line.__dict__["why"])


async def test_a_call_that_has_ended_is_not_resumed(caplog: pytest.LogCaptureFixture) -> None:
    async with a_world(a_script(HOURS), **NODES) as world, world.another_node() as other:
        call = await answered(world)
        await call.hang_up()
        await world.over(call)
        await elapse(0.5)

        assert await refused(world, other, call, caplog) == "ended"
        answer = await post_form(
            other.url + "/twilio/after-stream", {"CallSid": call.call_sid, "CallStatus": "in-progress"}, {}
        )
        assert "<Hangup" in answer.body


async def test_a_call_of_another_carrier_is_not_resumed_and_stays_with_its_node(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with a_world(a_script(HOURS), **NODES) as world, world.another_node() as other:
        call = await answered(world)
        session = world.session(call)
        session.snapshot = session.snapshot._replace(context=changed(session.context, carrier="vonage"))
        session.post(CallDtmf(digits="1"))
        await world.nodes[0].application.keeping.write_behind.flushed()
        await elapse(0.1)

        assert await refused(world, other, call, caplog) == "foreign"
        assert world.nodes[0].application.switchboard.manager.call_ids() == [call.call_sid]
        await call.hang_up()


async def test_a_call_that_is_too_old_is_not_resumed_and_ends_as_orphaned(caplog: pytest.LogCaptureFixture) -> None:
    shared = {**NODES, "resume_max_age": 20.0, "delays": {"RESUME_WINDOW": 60.0}}
    async with a_world(a_script(HOURS), **shared) as world, world.another_node() as other:
        call = await answered(world)
        call.abort()
        await world.nodes[0].kill()
        await elapse(25.0)

        assert await refused(world, other, call, caplog) == "expired"
        assert (await world.over(call, within=2.0)).end_reason == "orphaned"  # nobody waits for the window any more


async def test_downtime_does_not_make_a_call_too_old() -> None:
    shared = {**NODES, "resume_max_age": 20.0, "delays": {"RESUME_WINDOW": 60.0}}
    async with a_world(a_script(HOURS, HOURS), **shared) as world:
        call = await answered(world)
        call.outcome = "aborted"
        await world.nodes[0].kill()
        await elapse(600.0)
        async with world.another_node() as other:
            back = TwilioCaller(
                other.url.replace("http", "ws") + "/twilio/media",
                call_sid=call.call_sid,
                parameters={"token": token_of(other, call.call_sid), "again": "1"},
            )
            await back.dial()
            await world.until_happened(call, "call.resumed")
            assert greetings(world, call) == 1
            await back.hang_up()
            await world.over(call)
            await elapse(3.0)


async def test_a_store_that_is_away_lets_new_calls_in_and_no_call_be_resumed(caplog: pytest.LogCaptureFixture) -> None:
    async with a_world(a_script(HOURS), **NODES, one_call=False) as world, world.another_node() as other:
        call = await answered(world)
        other.isolate()

        assert await refused(world, other, call, caplog) == "store_away"
        assert other.application.keeping.is_away()
        newcomer = await world.call(node=other)
        await world.until(newcomer, "listening")
        other.rejoin()
        await elapse(6.0)
        assert not other.application.keeping.is_away()
        kept = await world.store.get(newcomer.call_sid)
        assert kept is not None
        assert (kept.owner, kept.fence, kept.lease_left > 0) == (other.application.node, 1, True)
        await newcomer.hang_up()
        await call.hang_up()


# -- webhooks that come to the wrong node ------------------------------------------------------------


async def completed(node: Node, call: TwilioCaller) -> None:
    await post_form(node.url + "/twilio/status", {"CallSid": call.call_sid, "CallStatus": "completed"}, {})


async def test_the_end_that_a_webhook_tells_another_node_reaches_the_owner() -> None:
    async with a_world(a_script(HOURS), **NODES) as world, world.another_node() as other:
        call = await world.call(status_path=None)
        await world.until(call, "listening")

        await completed(other, call)
        assert (await world.over(call)).end_reason == "caller_hung_up"
        assert world.given_up[call.call_sid] == 0
        await call.over()


async def test_the_end_of_a_call_whose_node_is_dead_is_taken_by_the_node_that_hears_of_it() -> None:
    async with a_world(a_script(HOURS), **NODES) as world, world.another_node() as other:
        call = await world.call(status_path=None, broken_stream="end")
        await world.until(call, "listening")
        await world.nodes[0].kill()
        await call.over()

        await completed(other, call)
        context = await world.over(call, within=10.0)

        assert context.end_reason == "caller_hung_up"
        assert [entry["kind"] for entry in context.outbox] == ["call.over"]


async def test_a_transfer_is_dialled_by_the_node_that_the_carrier_asks_and_the_owner_is_told() -> None:
    async with a_world(a_script(HOURS), **NODES) as world, world.another_node() as other:
        call = await answered(world)
        world.session(call).post(TransferRequested(target="+15550123"))
        await world.until(call, "ending")
        world.goes_to(call, other)

        assert await call.over() == "transferred"
        context = await world.over(call)

        assert call.transferred_to == "+15550123"
        assert context.end_reason == "transferred"
        assert world.given_up[call.call_sid] == 0


async def test_readiness_tells_that_the_store_is_away() -> None:
    async with a_world(**NODES, lease=3.0) as world:
        node = world.nodes[0]
        node.isolate()
        await elapse(5.0)
        async with httpx.AsyncClient(trust_env=False) as client:
            away = await client.get(node.url + "/readyz")
            node.rejoin()
            await elapse(5.0)
            back = await client.get(node.url + "/readyz")

    assert (away.status_code, away.json()) == (200, {"status": "degraded", "store": "away"})
    assert (back.status_code, back.json()["status"]) == (200, "ok")
