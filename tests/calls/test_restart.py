"""A process that dies and is started again on the same machine: what was live goes on, or is ended, from SQLite."""

from __future__ import annotations

import asyncio

from tests.calls.test_resume import NODES, answered, greetings, store_has, told
from tests.calls.world import HOURS, a_script, a_world
from tests.fakes import elapse


async def test_a_call_whose_process_was_killed_goes_on_after_the_restart_with_everything_that_was_said() -> None:
    async with a_world(a_script(HOURS, HOURS), store="sqlite", **NODES) as world:
        call = await answered(world, status_path=None)
        words = [message.text for message in world.context(call).history]
        call.outcome = "aborted"
        await world.nodes[0].kill()
        await call.over()
        await world.reopen_store()

        async with world.another_node() as restarted:
            back = world.caller(call_sid=call.call_sid, node=restarted, webhook_path="/twilio/after-stream")
            await back.dial()
            await world.until(call, "listening")
            await back.heard_more(500)

            assert [m.text for m in world.context(call).history][: len(words)] == words
            assert HOURS in told(world.peer.connections[-1])
            assert greetings(world, call) == 1
            assert world.context(call).resumed_count == 1
            await back.hang_up()
            assert (await world.over(call)).end_reason == "caller_hung_up"
            await elapse(1.0)
            document = await store_has(world, call)
            assert (document["settled"], document["resumed_count"]) == (True, 1)


async def test_a_call_whose_process_was_killed_and_whose_caller_is_gone_is_ended_after_the_restart() -> None:
    async with a_world(a_script(HOURS), store="sqlite", **NODES) as world:
        call = await answered(world, status_path=None, broken_stream="end")
        await world.nodes[0].kill()
        await call.over()
        await world.reopen_store()
        await elapse(3000.0)

        async with world.another_node():
            began = asyncio.get_running_loop().time()
            context = await world.over(call, within=60.0)
            waited = asyncio.get_running_loop().time() - began

            assert context.end_reason == "orphaned"
            assert 30.0 <= waited <= 41.0
            assert [entry["kind"] for entry in context.outbox] == ["call.over"]
            await elapse(3.0)
            assert await world.store.undelivered() == []
