"""Failures that callers and operators of other systems suffered, each as a whole call on real sockets.

Those that are proved closer to their cause stand elsewhere (paths below tests/):

    end waits behind a blocked task, cancel waits behind end; interrupted transition leaves the flow stuck
        calls/test_handlers.py::test_during_every_action_and_service
    SIGTERM lost while a request blocks; grace hard-coded
        calls/test_calls.py::test_drain_says_goodbye_to_calls_that_outlast_the_grace
    calls refused at the concurrency limit leak
        calls/test_calls.py::test_socket_without_a_webhook_and_without_a_free_slot_is_told_busy_and_leaves_nothing
    an unanswered call holds its slot for 20 minutes
        calls/test_calls.py::test_announced_call_holds_a_slot_for_the_time_of_setup_only
    memory grows over a dozen calls; tracked sessions never removed
        calls/test_calls.py::test_hundred_calls_one_after_the_other_leave_nothing
    webhook delivered twice: the second stream kills the first
        calls/test_calls.py::test_webhook_delivered_twice_changes_nothing
    two sockets for one call id
        calls/test_calls.py::test_two_sockets_for_one_call_id_are_one_session_and_one_model
    caller leaves during a transfer; the human's phone rings on
        adapters/twilio/test_webhooks.py::test_a_caller_who_leaves_during_a_transfer_rings_nobodys_phone
    status webhook before the session is registered
        adapters/twilio/test_webhooks.py::test_a_status_before_the_registration_leaks_nothing_and_a_late_socket_is_no_call
    conversation_already_has_active_response; response_cancel_not_active taken as fatal
        adapters/openai/test_replies.py::test_a_request_that_meets_an_active_response_is_repeated_after_its_end
        adapters/openai/test_replies.py::test_a_cancel_that_lost_the_race_is_no_error
    orphan tool call blocks transitions for ever
        handlers/test_with_chart.py::test_function_call_gets_an_output_however_the_agent_is_left
    interrupt with two queued items; audio_end_ms beyond the audio; marks that clear returns counted as heard
        adapters/media/test_line_replies.py::test_every_queued_reply_is_truncated_and_unheard_ones_to_nothing
        adapters/media/test_playhead.py
    history grows without bound
        handlers/test_with_chart.py::test_long_call_stays_small
    a class assigned where an instance was meant; a method called and never written
        handlers/test_registry.py::test_everything_the_chart_names_is_registered
"""

from __future__ import annotations

import asyncio

import pytest

from adapters.simulators.misbehaviour import Misbehaviour
from adapters.simulators.realtime import Faults, Reply, Rule
from adapters.simulators.twilio import TwilioCaller
from tests.calls.world import GOODBYE, HOURS, World, a_script, a_world
from tests.fakes import elapse

LONG = " ".join(["The shop is open from Monday to Saturday, from nine in the morning until six in the evening."] * 2)


# -- measured on unmodified code ---------------------------------------------------------------------


async def test_hang_up_while_the_model_is_idle_leaves_its_socket_open() -> None:
    async with a_world(one_call=False) as world:
        for _ in range(5):
            call = await world.call()
            await world.until(call, "listening")
            await call.elapse(500)
            await call.hang_up()
            await world.over(call, within=1.0)
        await world.peer.until(lambda: world.peer.open_sockets == 0, within_s=1.0)
        assert len(world.peer.connections) == 5


async def test_tcp_abort_30_ms_after_start_leaves_sockets_and_tasks() -> None:
    async with a_world(one_call=False) as world:
        direct = world.url.replace("http", "ws") + "/twilio/media"
        for _ in range(20):
            call = TwilioCaller(direct, misbehaviour=Misbehaviour(abort_after_ms=30))
            await call.dial()
            await call.over()
            await world.over(call, within=2.0)
        await elapse(1.0)
        assert world.peer.open_sockets == 0
        assert len(world.sessions) == 20


async def test_session_expired_at_3_s_of_a_10_s_call_leaves_the_caller_alone() -> None:
    async with a_world(a_script(HOURS), faults=[Faults(expired_at_s=3.0)]) as world:
        call = await world.call()
        await world.until_happened(call, "sts.renewed", within=10.0)
        await call.say("What are your opening hours?")
        await call.heard_more(1000)
        await call.elapse(max(0.0, 10_000 - call.now_ms))
        assert call.outcome == "live"
        await call.hang_up()


async def _barge_in(world: World, call: TwilioCaller, *, after_ms: float) -> float:
    """Ask, listen to so much of the answer, interrupt; return how much of it was heard."""
    await world.until(call, "listening")
    await call.say("What are your opening hours?")
    before = call.heard_ms
    await call.heard_more(after_ms)
    await call.say("Stop.")
    await world.until_happened(call, "reply.finished", times=2)
    return call.heard_ms - before


def _told(world: World) -> list[int]:
    return [one.audio_end_ms for one in world.peer.truncations]


@pytest.mark.parametrize("pace", [1.0, 10.0, 1000.0], ids=["while it is made", "as usual", "after response.done"])
async def test_barge_in_after_3_s_tells_the_model_more_than_was_heard(pace: float) -> None:
    """Also once all audio was sent, when an interrupt was ignored."""
    script = a_script(HOURS, "stop", rules=[Rule(purpose="answer", answer=Reply(text=LONG, pace=pace))])
    async with a_world(script) as world:
        call = await world.call()
        heard_ms = await _barge_in(world, call, after_ms=2700)
        assert len(_told(world)) == 1
        assert abs(_told(world)[0] - heard_ms) <= 60
        assert 2700 <= heard_ms < 4500
        assert call.buffered_ms == 0  # and the bot does not talk on for seconds
        await call.hang_up()


async def test_barge_in_before_the_first_frame_truncates_something() -> None:
    async with a_world(a_script(HOURS, "stop", think_s=3.0)) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("What are your opening hours?")
        await world.until(call, "intent")
        await call.say("Stop.")
        assert _told(world) == []
        await call.heard_more(500)
        await call.hang_up()


async def test_barge_in_with_nothing_playing_truncates_something() -> None:
    async with a_world(a_script(HOURS)) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("What are your opening hours?")
        await call.heard_more(300)
        assert _told(world) == []
        await call.hang_up()


async def test_barge_in_with_two_queued_items_truncates_only_one() -> None:
    """Two replies wait to be heard: the one that plays is cut where it was, the other was not heard at all."""
    quick = Rule(purpose="answer", answer=Reply(text=LONG, pace=1000.0))
    async with a_world(a_script(HOURS, "stop", rules=[quick])) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("What are your opening hours?")
        before = call.heard_ms
        await call.heard_more(500)
        world.session(call).sts.respond(purpose="answer")
        await world.peer.until(lambda: len(world.peer.connections[0].conversation.requests) == 3)
        await call.heard_more(2000)
        await call.say("Stop.")
        await world.until_happened(call, "reply.finished", times=3)
        assert len(_told(world)) == 2
        assert abs(_told(world)[0] - (call.heard_ms - before)) <= 60
        assert _told(world)[1] == 0
        await call.hang_up()


# -- hang-up and teardown ----------------------------------------------------------------------------


async def test_cancel_before_the_first_frame_keeps_a_worker_busy() -> None:
    async with a_world(a_script(think_s=5.0)) as world:
        call = await world.call()
        await world.until_happened(call, "sts.ready")
        await call.hang_up()
        await world.over(call, within=0.5)


async def test_caller_drops_while_the_bot_speaks_and_the_call_never_ends() -> None:
    async with a_world() as world:
        call = await world.call(broken_stream="end")
        await call.heard_more(500)
        call.abort()
        await call.over()
        assert (await world.over(call, within=31.0)).end_reason in ("carrier_lost", "caller_hung_up")


async def test_call_that_the_bot_ends_hangs() -> None:
    """And its record is lost."""
    async with a_world(a_script(GOODBYE)) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("Thank you, goodbye.")
        context = await world.over(call, within=20.0)
        assert await call.over() == "ended"
        assert [entry["end_reason"] for entry in context.outbox] == ["goodbye"]


async def test_carriers_stop_never_finalises_the_call_and_the_next_is_refused() -> None:
    async with a_world(max_calls=1, one_call=False) as world:
        for _ in range(3):
            call = await world.call()
            await call.heard_more(300)
            await call.hang_up()
            await world.over(call, within=1.0)


async def test_work_after_the_call_is_lost_when_it_ends_before_the_model_was_ready() -> None:
    async with a_world(faults=Faults(no_created=True)) as world:
        call = await world.call()
        await world.until(call, "greeting")
        await call.hang_up()
        context = await world.over(call, within=1.0)
        assert [entry["end_reason"] for entry in context.outbox] == ["caller_hung_up"]


async def test_hang_up_is_asked_for_337_times() -> None:
    async with a_world() as world:
        call = await world.call()
        await world.until(call, "listening")
        for _ in range(337):
            world.application.switchboard.manager.end(call.call_sid)
        await world.over(call)
        await call.over()
        assert world.actions(call).count("hang_up") == 1


async def test_barge_in_during_the_goodbye_cancels_the_hang_up() -> None:
    async with a_world(a_script(GOODBYE, "wait")) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("Thank you, goodbye.")
        await world.until(call, "ending")
        await call.heard_more(500)
        talking = asyncio.create_task(call.say("No, wait, one more thing."))
        assert (await world.over(call, within=20.0)).end_reason == "goodbye"
        await call.over()
        await asyncio.gather(talking, return_exceptions=True)


async def test_call_lasts_longer_than_its_cap() -> None:
    async with a_world(a_script()) as world:
        call = await world.call(called="+15550102")
        await world.until(call, "listening")
        talking = asyncio.create_task(_talk_for_ever(call))
        context = await world.over(call, within=100.0)
        assert context.end_reason in ("time_limit", "over_limit")
        assert 60_000 <= call.now_ms <= 76_000
        await call.over()
        await asyncio.gather(talking, return_exceptions=True)


async def _talk_for_ever(call: TwilioCaller) -> None:
    while True:
        await call.say("Hm.")
        await call.elapse(7_000)


# -- the next call, duplicates, limits ---------------------------------------------------------------


async def test_second_call_is_silent() -> None:
    async with a_world(a_script(HOURS), one_call=False) as world:
        for _ in range(3):
            call = await world.call()
            await world.until(call, "listening")
            await call.say("What are your opening hours?")
            await call.heard_more(500)
            await call.hang_up()
            await world.over(call)


async def test_caller_who_speaks_at_once_is_greeted_twice() -> None:
    """A greeting asked for, and the server's own turn detection, both answered."""
    async with a_world(a_script("hello", think_s=1.0)) as world:
        call = await world.call()
        await call.say("Hello?")
        await world.until(call, "listening")
        await call.elapse(3_000)
        requests = world.peer.connections[0].conversation.requests
        assert [request["metadata"]["purpose"] for request in requests] == ["greeting"]
        await call.hang_up()


async def test_every_event_of_the_model_twice_launches_everything_twice() -> None:
    async with a_world(a_script(HOURS), faults=Faults(duplicate_events=True)) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("What are your opening hours?")
        await world.until_happened(call, "reply.finished", times=2)
        assert world.actions(call).count("answer") == 1
        await call.hang_up()


async def test_stalled_stream_has_no_time_out() -> None:
    stalls = Rule(purpose="answer", answer=Reply(text=LONG, stall_after_ms=600))
    async with a_world(a_script(HOURS, rules=[stalls])) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("What are your opening hours?")
        await world.until_happened(call, "reply.started", times=2)
        await world.until_happened(call, "sts.renewed", within=30.0)
        assert call.outcome == "live"
        await call.hang_up()


async def test_cough_before_the_first_frame_wipes_the_greeting() -> None:
    async with a_world(a_script("", think_s=2.0), faults=Faults(phantom_speech_at_s=0.5)) as world:
        call = await world.call()
        await world.until(call, "listening")
        assert call.heard_ms > 1000
        await call.hang_up()


@pytest.mark.parametrize("faults", [{}, {"mute": True}, {"hiss": True}, {"no_media": True}], ids=str)
async def test_silent_caller_holds_the_line_for_ever(faults: dict[str, bool]) -> None:
    async with a_world() as world:
        call = await world.call(misbehaviour=Misbehaviour(**faults))  # type: ignore[arg-type]  # switches
        assert (await world.over(call, within=90.0)).end_reason == "idle"
        await call.over()


async def test_idle_timer_fires_while_the_carrier_still_plays() -> None:
    long_reply = Rule(purpose="answer", answer=Reply(text=" ".join([LONG] * 2), pace=1000.0))
    async with a_world(a_script(HOURS, rules=[long_reply])) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("What are your opening hours?")
        await world.until_happened(call, "reply.finished", times=2)
        assert "user.idle" not in world.happened(call)
        await call.hang_up()


async def test_status_says_speaking_and_calls_that_ended_are_listed() -> None:
    async with a_world() as world:
        call = await world.call()
        assert world.application.switchboard.manager.call_ids() == [call.call_sid]
        await call.hang_up()
        await world.over(call)
        assert world.application.switchboard.manager.call_ids() == []
