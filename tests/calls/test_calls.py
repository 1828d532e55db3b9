"""Whole calls as they are promised: slots, drain, sockets that come twice, roll-over, apologies, many calls at once."""

from __future__ import annotations

import asyncio

import pytest

from adapters.simulators.misbehaviour import Misbehaviour
from adapters.simulators.realtime import Faults, FunctionCall, Reply, Rule, Utterance
from adapters.simulators.twilio import TwilioCaller
from tests.calls.world import GOODBYE, HOURS, ORDER, World, a_script, a_world
from tests.fakes import elapse


async def test_call_from_hello_to_goodbye() -> None:
    async with a_world(a_script(HOURS, ORDER, "four five six", GOODBYE)) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("What are your opening hours?")
        await call.heard_more(1000)
        await call.say("Where is my order?")
        await world.until(call, "agent")
        await world.until_happened(call, "agent.needs_info")
        await call.heard_silence()
        await call.say("four five six")
        await world.until_happened(call, "agent.completed")
        await call.heard_silence()
        await call.say("thank you, goodbye")
        context = await world.over(call)
        assert await call.over() == "ended"
        assert context.end_reason == "goodbye"
        assert world.states(call) == [
            "created", "greeting", "listening", "intent", "listening", "intent", "agent", "listening", "intent",
            "ending", "closed",
        ]  # fmt: skip


# -- slots and drain ---------------------------------------------------------------------------------


async def test_webhook_without_a_free_slot_answers_busy_and_makes_no_call() -> None:
    async with a_world(max_calls=1) as world:
        first = await world.call()
        second = await world.call()
        assert await second.over() == "rejected"
        assert second.call_sid not in world.sessions
        await first.hang_up()
        await world.over(first)
        third = await world.call()
        await world.until(third, "listening")
        await third.hang_up()


async def test_socket_without_a_webhook_and_without_a_free_slot_is_told_busy_and_leaves_nothing() -> None:
    async with a_world(max_calls=1) as world:
        first = await world.call()
        direct = TwilioCaller(world.url.replace("http", "ws") + "/twilio/media")
        await direct.dial()
        assert (await world.over(direct)).end_reason == "at_capacity"
        await direct.over()
        assert direct.heard_ms > 1000
        assert world.application.switchboard.manager.slots_taken == 1
        assert len(world.peer.connections) == 1
        await first.hang_up()


async def test_announced_call_holds_a_slot_for_the_time_of_setup_only() -> None:
    async with a_world(max_calls=1) as world:
        await world.post("/twilio/voice", CallSid="CA1", From="+15550100", To="+15550101")
        assert world.application.switchboard.manager.slots_taken == 1
        await elapse(10.1)
        assert world.application.switchboard.manager.slots_taken == 0


async def test_drain_refuses_new_calls_and_lets_live_ones_finish() -> None:
    async with a_world() as world:
        live = await world.call()
        await world.until(live, "listening")
        drain = asyncio.create_task(world.application.drain())
        await elapse(1.0)
        late = await world.call()
        assert await late.over() == "rejected"
        await live.hang_up()
        began = asyncio.get_running_loop().time()
        await drain
        assert asyncio.get_running_loop().time() - began < 2.0


async def test_drain_says_goodbye_to_calls_that_outlast_the_grace() -> None:
    async with a_world(drain_grace=5.0) as world:
        live = await world.call()
        await world.until(live, "listening")
        heard_ms = live.heard_ms
        await world.application.drain()
        assert (await world.over(live, within=0.1)).end_reason == "shutdown"
        assert await live.over() == "ended"
        assert live.heard_ms > heard_ms + 500


# -- sockets and webhooks that come twice ------------------------------------------------------------


async def test_two_sockets_for_one_call_id_are_one_session_and_one_model() -> None:
    async with a_world() as world:
        call = await world.call()
        await world.until(call, "listening")
        thief = TwilioCaller(world.url.replace("http", "ws") + "/twilio/media", call_sid=call.call_sid)
        await thief.dial()
        await thief.over()
        assert call.outcome == "live"
        assert len(world.peer.connections) == 1
        assert len(world.application.switchboard.manager) == 1
        await call.hang_up()


async def test_second_socket_with_proof_takes_over() -> None:
    async with a_world() as world:
        call = await world.call(status_path=None)
        await world.until(call, "listening")
        call.outcome = "aborted"  # its line is dead, which we have not heard of; nobody asks for what comes next
        again = await world.call(call_sid=call.call_sid, status_path=None)  # its TwiML has the token
        await world.until_happened(call, "call.resumed")
        assert world.session(call).state == "listening"
        await elapse(1.0)
        assert call.streams[0].close_code is not None
        assert world.peer.open_sockets == 1
        assert again.outcome == "live"
        await again.hang_up()
        await world.over(again)
        await call.over()


async def test_webhook_delivered_twice_changes_nothing() -> None:
    async with a_world() as world:
        call = await world.call()
        await world.until(call, "listening")
        answer = await world.post("/twilio/voice", CallSid=call.call_sid, From="+15550100", To="+15550101")
        assert answer.status == 200
        assert "call.resumed" not in world.happened(call)
        assert len(world.application.switchboard.manager) == 1
        await elapse(1.0)
        assert call.outcome == "live"
        await call.hang_up()


# -- the model ---------------------------------------------------------------------------------------


async def test_session_is_rolled_over_before_its_limit_with_history_and_without_a_second_greeting() -> None:
    async with a_world(a_script(HOURS, HOURS), session_s=60.0) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("What are your opening hours?")
        await world.until_happened(call, "reply.finished", times=2)
        await _talk_until_renewed(world, call)
        assert len(world.peer.connections) == 2
        first, second = world.peer.connections
        assert first.close_code != 1001
        told = [event for event in second.received if event.get("type") == "conversation.item.create"]
        assert HOURS in str(told)
        assert world.actions(call).count("greet") == 1
        await call.hang_up()


async def _talk_until_renewed(world: World, call: TwilioCaller) -> None:
    """Never fall silent for too long, until the session was replaced."""
    while "sts.renewed" not in world.happened(call):
        await call.elapse(6_000)
        await call.say("Hm.")


async def test_model_that_cannot_be_reached_is_apologised_for_and_the_call_ends() -> None:
    async with a_world(faults=[Faults(refuse=500)] * 3) as world:
        call = await world.call()
        context = await world.over(call, within=30.0)
        assert await call.over() == "ended"
        assert context.end_reason == "sts_failed"
        assert len(world.peer.refused) == 3
        assert call.heard_ms > 1000
        assert world.actions(call).count("apologise") == 1


async def test_key_that_is_refused_is_not_tried_again() -> None:
    async with a_world(faults=[Faults(refuse=401)] * 3) as world:
        call = await world.call()
        await world.over(call, within=20.0)
        await call.over()
        assert world.peer.refused == [401]
        assert call.heard_ms > 1000


@pytest.mark.parametrize("transcription", ["completed", "failed", "never"])
async def test_words_follow_the_end_of_speech_within_three_seconds(transcription: str) -> None:
    utterance = Utterance(text=HOURS, transcription=transcription)  # type: ignore[arg-type]  # one of the three
    async with a_world(a_script(utterance)) as world:  # type: ignore[arg-type]  # a script takes both
        call = await world.call()
        await world.until(call, "listening")
        await call.say("What are your opening hours?")
        await world.until_happened(call, "user.silent")
        began = asyncio.get_running_loop().time()
        await world.until_happened(call, "user.transcript", within=3.0)
        assert asyncio.get_running_loop().time() - began <= 3.0
        await call.heard_more(500)  # and the caller is answered all the same
        await call.hang_up()


async def test_function_call_is_served_once_however_often_it_is_told() -> None:
    asks = Reply(calls=(FunctionCall(name="order_status", arguments={"order_number": "123"}, reports=3),))
    script = a_script(HOURS, GOODBYE, rules=[Rule(purpose="answer", answer=asks)])
    async with a_world(script) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("What are your opening hours?")
        await world.until_happened(call, "agent.completed")
        await call.heard_more(500)
        await call.hang_up()
        await world.over(call)
        outputs = [
            event
            for event in world.peer.received_of("conversation.item.create")
            if "function_call_output" in str(event)
        ]
        assert len(outputs) == 1
        assert world.actions(call).count("speak_result") == 1


# -- many calls --------------------------------------------------------------------------------------


async def test_hundred_calls_one_after_the_other_leave_nothing() -> None:
    async with a_world(one_call=False) as world:
        for nth in range(100):
            call = await world.call()
            await call.heard_more(100 + nth % 3 * 200)
            if nth % 4 == 3:
                call.abort()
                await world.post("/twilio/status", CallSid=call.call_sid, CallStatus="completed")
                await call.over()
            else:
                await call.hang_up()
            await world.over(call, within=6.0)
            assert world.application.switchboard.manager.slots_taken == 0
        await elapse(2.0)
        assert world.peer.open_sockets == 0
        assert len(world.sessions) == 100


async def test_twenty_calls_at_once_do_not_mix() -> None:
    script = a_script(HOURS, rules=[Rule(purpose="answer", answer="From nine to six.")])
    async with a_world(script, one_call=False) as world:
        calls = [await world.call(misbehaviour=Misbehaviour(hiss=nth % 2 == 0)) for nth in range(20)]
        await asyncio.gather(*(_ask(world, call) for call in calls))
        for call in calls:
            assert [m.text for m in world.context(call).history if m.role == "caller"] == [HOURS]
            assert call.streams[0].problems == []
            assert world.happened(call).count("reply.started") == 2
        assert len(world.peer.connections) == 20


async def _ask(world: World, call: TwilioCaller) -> None:
    await world.until(call, "listening")
    await call.say("What are your opening hours?")
    await world.until_happened(call, "reply.finished", times=2)
    await call.hang_up()
    await world.over(call)
