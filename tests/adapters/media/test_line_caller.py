"""The caller's audio to the model: kept back, in order, gaps filled; and who is heard at all."""

from __future__ import annotations

import base64

import pytest

from adapters.carriers.contract import MediaFormat
from fsm.context import CallContext
from fsm.triggers import StsFailed, StsReady, StsRenewed, UserIdle, UserSilent, UserTranscript
from tests.adapters.media.fakes import Call, FakeLeg, elapse, pcmu

SILENT = 0xFF


def _silent_ms(payloads: list[str]) -> int:
    """Milliseconds of mu-law silence among `payloads`."""
    return sum(len(audio) // 8 for p in payloads if set(audio := base64.b64decode(p)) == {SILENT})


async def _talk(call: Call, frames: int, *, start_ms: int = 0) -> None:
    for n in range(frames):
        call.caller.on_audio(pcmu(20), start_ms + 20 * n)
        await elapse(0.02)


# -- until the model is ready -------------------------------------------------------------------------


async def test_audio_before_the_model_is_ready_is_kept_and_sent_in_order() -> None:
    call = Call()
    call.offer()
    call.caller.on_audio(pcmu(20, 1), 0)
    call.line.carrier.attach()
    call.line.sts.start(CallContext())
    call.caller.on_audio(pcmu(20, 2), 20)
    call.line.media.open()
    too_early = list(call.client.appended)
    call.client.events.on_ready("sess_1")
    call.line.media.open()
    call.caller.on_audio(pcmu(20, 3), 40)
    call.line.media.open()

    assert too_early == []
    assert call.client.appended == [pcmu(20, 1), pcmu(20, 2), pcmu(20, 3)]
    assert call.told(StsReady) == [StsReady(session_id="sess_1")]
    await call.line.aclose()


async def test_ten_seconds_are_kept_and_what_is_older_is_dropped_and_counted() -> None:
    call = Call()
    call.offer()
    for n in range(600):
        call.caller.on_audio(pcmu(20, n % 256), 20 * n)
    dropped = call.line.dropped_frames
    call.connect_rest()

    assert dropped == 100
    assert len(call.client.appended) == 500
    assert call.client.appended[0] == pcmu(20, 100)
    await call.line.aclose()


async def test_what_the_caller_sends_is_counted_in_milliseconds_whatever_the_format() -> None:
    call = Call()
    call.offer()
    for n in range(7):
        call.caller.on_audio(pcmu(20), 20 * n)
    call.caller.on_audio(pcmu(13), 140)
    kept = call.line.received_ms
    call.connect_rest()
    call.caller.on_audio(pcmu(20), 153)

    assert kept == 153
    assert call.line.received_ms == 173
    await call.line.aclose()


async def test_what_the_caller_sends_goes_on_being_counted_on_another_socket() -> None:
    call = Call()
    call.offer()
    call.caller.on_audio(pcmu(20), 0)
    call.leg = call.offer(FakeLeg("MZ2", media_format=MediaFormat("pcm16", 8000)))
    call.caller.on_audio(pcmu(20), 0)

    assert call.line.received_ms == 30
    await call.line.aclose()


async def test_audio_that_was_kept_in_another_format_is_not_sent() -> None:
    call = Call()
    call.offer()
    call.caller.on_audio(pcmu(20), 0)
    call.leg = call.offer(FakeLeg("MZ2", media_format=MediaFormat("pcm16", 8000)))
    call.caller.on_audio("AAAA", 0)
    call.connect_rest()

    assert call.client.appended == ["AAAA"]
    await call.line.aclose()


async def test_audio_that_was_kept_survives_another_socket_of_the_same_format() -> None:
    call = Call()
    call.offer()
    call.caller.on_audio(pcmu(20), 0)
    call.offer(FakeLeg("MZ2"))
    call.connect_rest()

    assert call.client.appended == [pcmu(20)]
    await call.line.aclose()


async def test_the_payload_goes_through_as_it_came() -> None:
    call = Call().connect()
    payload = pcmu(20)
    call.caller.on_audio(payload, 20)

    assert call.client.appended[0] is payload
    assert call.posted == []
    await call.line.aclose()


async def test_audio_goes_on_to_the_same_client_after_a_roll_over() -> None:
    call = Call().connect()
    call.client.events.on_speech_started("item_u1")
    call.client.events.on_renewed("sess_2", "time limit")
    call.caller.on_audio(pcmu(20), 20)
    await elapse(30.0)

    assert call.only(StsRenewed) == StsRenewed(session_id="sess_2", reason="time limit")
    assert call.client.appended == [pcmu(20)]
    assert len(call.clients) == 1
    await call.line.aclose()


# -- gaps ---------------------------------------------------------------------------------------------


async def test_media_that_stops_while_the_caller_speaks_is_filled_with_silence() -> None:
    call = Call().connect()
    await _talk(call, 10)
    call.client.events.on_speech_started("item_u1")
    await elapse(0.7)
    before = _silent_ms(call.client.appended)
    await elapse(0.1)
    first = _silent_ms(call.client.appended)
    call.client.events.on_speech_stopped("item_u1")
    await elapse(60.0)

    assert (before, first) == (0, 750)
    assert _silent_ms(call.client.appended) == 750
    assert call.only(UserSilent) == UserSilent(utterance_id="item_u1")


async def test_a_pause_is_filled_for_ten_seconds_at_most() -> None:
    call = Call().connect()
    await _talk(call, 1)
    call.client.events.on_speech_started("item_u1")
    await elapse(60.0)

    assert _silent_ms(call.client.appended) == 10_000
    await call.line.aclose()


async def test_a_jump_of_the_timestamps_is_filled_while_the_caller_speaks() -> None:
    call = Call().connect()
    await _talk(call, 2)
    call.client.events.on_speech_started("item_u1")
    call.caller.on_audio(pcmu(20), 540)

    assert _silent_ms(call.client.appended) == 500
    assert call.client.appended[-1] == pcmu(20)
    await call.line.aclose()


async def test_what_was_filled_while_waiting_is_not_filled_again_when_media_return() -> None:
    call = Call().connect()
    await _talk(call, 1)
    call.client.events.on_speech_started("item_u1")
    await elapse(0.98)
    call.caller.on_audio(pcmu(20), 1000)

    assert _silent_ms(call.client.appended) == 980
    await call.line.aclose()


async def test_a_second_pause_is_filled_as_well() -> None:
    call = Call().connect()
    await _talk(call, 1)
    call.client.events.on_speech_started("item_u1")
    await elapse(60.0)
    call.caller.on_audio(pcmu(20), None)
    await elapse(0.8)

    assert _silent_ms(call.client.appended) == 10_750
    await call.line.aclose()


async def test_gaps_are_left_alone_while_the_caller_is_silent() -> None:
    call = Call().connect()
    await _talk(call, 2)
    await elapse(5.0)
    call.caller.on_audio(pcmu(20), 5000)

    assert _silent_ms(call.client.appended) == 0
    await call.line.aclose()


async def test_jitter_and_frames_that_come_twice_are_no_gap() -> None:
    call = Call().connect()
    await _talk(call, 2)
    call.client.events.on_speech_started("item_u1")
    call.caller.on_audio(pcmu(20), 80)
    call.caller.on_audio(pcmu(20), 80)
    call.caller.on_audio(pcmu(20), 20)

    assert _silent_ms(call.client.appended) == 0
    await call.line.aclose()


async def test_timestamps_of_another_socket_begin_anew() -> None:
    call = Call().connect()
    await _talk(call, 2, start_ms=600_000)
    call.client.events.on_speech_started("item_u1")
    call.offer(FakeLeg("MZ2"))
    call.line.carrier.attach()
    call.caller.on_audio(pcmu(20), 5)

    assert _silent_ms(call.client.appended) == 0
    await call.line.aclose()


# -- KNOWN FAILURES: Limits, idleness -----------------------------------------------------------------


async def test_line_is_idle_when_neither_side_was_heard_and_again_every_while() -> None:
    call = Call(idle_after=10.0).connect()
    await elapse(9.9)
    before = call.names()
    await elapse(20.2)

    assert before == []
    assert call.posted == [UserIdle(idle_ms=10_000), UserIdle(idle_ms=20_000), UserIdle(idle_ms=30_000)]
    await call.line.aclose()


async def test_comfort_noise_does_not_defeat_the_idle_timer() -> None:
    call = Call(idle_after=10.0).connect()
    await _talk(call, 520)

    assert call.names() == ["user.idle"]
    await call.line.aclose()


async def test_line_is_not_idle_while_the_carrier_still_plays() -> None:
    call = Call(idle_after=10.0).connect()
    call.ask()
    call.client.speak(30_000)
    call.client.end()
    await elapse(39.9)
    before = call.names()
    await elapse(0.2)

    assert "user.idle" not in before
    assert call.names()[-1] == "user.idle"
    await call.line.aclose()


async def test_line_is_not_idle_while_the_caller_speaks() -> None:
    call = Call(idle_after=10.0).connect()
    await elapse(5.0)
    call.client.events.on_speech_started("item_u1")
    await elapse(30.0)
    call.client.events.on_speech_stopped("item_u1")
    await elapse(9.9)
    before = call.names()
    await elapse(0.2)

    assert before == ["user.speaking", "user.silent"]
    assert call.names()[-1] == "user.idle"
    await call.line.aclose()


async def test_line_is_idle_only_between_open_and_detach() -> None:
    call = Call(idle_after=1.0)
    call.offer()
    call.line.carrier.attach()
    await elapse(5.0)
    call.connect_rest()
    call.line.carrier.detach()
    await elapse(5.0)

    assert call.names() == ["sts.ready"]
    await call.line.aclose()


async def test_a_detector_that_was_renewed_while_the_caller_spoke_does_not_hold_the_line_for_ever() -> None:
    call = Call(idle_after=10.0).connect()
    call.client.events.on_speech_started("item_u1")
    call.client.events.on_renewed("sess_2", "lost")
    await elapse(10.1)

    assert call.names()[-1] == "user.idle"
    await call.line.aclose()


async def test_idle_time_of_nothing_means_never() -> None:
    call = Call(idle_after=0.0).connect()
    await elapse(3600.0)

    assert call.posted == []
    await call.line.aclose()


# -- the model's side of the line ---------------------------------------------------------------------


async def test_what_handlers_ask_of_the_model_reaches_its_client() -> None:
    call = Call().connect()
    context = CallContext(call_id="CA1")
    call.line.sts.configure(context)
    call.line.sts.tell("caller pressed 1")
    call.line.sts.tool_result("c1", "{}")
    call.line.sts.respond(purpose="answer", instructions="short")
    call.line.sts.start(context)
    call.line.remember(context)

    assert call.client.log == [
        "start pcmu 8000",
        "configure",
        "tell caller pressed 1",
        "tool_result c1 {}",
        "respond answer",
    ]
    assert call.client.remembered == [context]
    assert call.line.sts.usable
    assert len(call.clients) == 1
    await call.line.aclose()


async def test_nothing_is_asked_of_a_model_that_is_not_there() -> None:
    call = Call()
    call.line.sts.configure(CallContext())
    call.line.sts.tell("x")
    call.line.sts.tool_result("c1", "{}")
    call.line.sts.respond(purpose="answer")
    call.line.remember(CallContext())
    call.line.sts.close_soon()
    call.line.media.open()
    call.line.media.interrupt()
    await call.line.carrier.drained()

    assert not call.line.sts.usable
    assert call.clients == []
    assert call.posted == []


async def test_a_model_that_has_failed_is_told_once_and_not_usable() -> None:
    call = Call().connect()
    call.ask()
    call.client.events.on_failed("three attempts")
    call.client.events.on_failed("again")
    await call.line.carrier.drained()

    assert call.posted == [StsFailed(reason="three attempts")]
    assert not call.line.sts.usable
    await call.line.aclose()


@pytest.mark.parametrize(("text", "reason"), [("hello", ""), ("", "timed_out")])
async def test_the_callers_words_are_passed_on(text: str, reason: str) -> None:
    call = Call().connect()
    call.client.events.on_transcript("item_u1", text, reason)

    assert call.only(UserTranscript) == UserTranscript(text=text, item_id="item_u1", reason=reason)
    await call.line.aclose()


async def test_frames_that_keep_coming_while_the_caller_speaks_are_not_filled() -> None:
    call = Call().connect()
    await _talk(call, 10)
    call.client.events.on_speech_started("item_u1")
    call.client.events.on_speech_started("item_u1")
    await _talk(call, 150, start_ms=200)

    assert _silent_ms(call.client.appended) == 0
    assert len(call.client.appended) == 160
    await call.line.aclose()


async def test_nothing_is_filled_while_the_model_does_not_hear_the_caller() -> None:
    call = Call()
    call.offer()
    call.line.carrier.attach()
    call.line.sts.start(CallContext())
    call.client.events.on_speech_started("item_u1")
    await elapse(5.0)

    assert call.client.appended == []
    await call.line.aclose()


async def test_a_format_that_the_model_cannot_take_leaves_no_half_started_client() -> None:
    call = Call(leg=FakeLeg(media_format=MediaFormat("opus", 48000)))
    call.offer()
    with pytest.raises(ValueError, match="no such format"):
        call.line.sts.start(CallContext())
    call.line.sts.respond(purpose="answer")
    await call.line.carrier.drained()
    await call.line.aclose()

    assert not call.line.sts.usable
    assert call.client.log == ["aclose"]


async def test_a_model_that_has_failed_is_not_spoken_to_any_more() -> None:
    call = Call().connect()
    call.client.events.on_failed("three attempts")
    call.caller.on_audio(pcmu(20), 0)

    assert call.client.appended == []
    await call.line.aclose()


async def test_the_next_model_hears_the_caller_only_once_it_is_ready_itself() -> None:
    call = Call().connect()
    call.line.sts.close_soon()
    call.line.sts.start(CallContext())
    call.caller.on_audio(pcmu(20), 0)
    call.line.media.open()
    before = list(call.client.appended)
    call.client.events.on_ready("sess_2")
    call.line.media.open()

    assert before == []
    assert call.client.appended == [pcmu(20)]
    await call.line.aclose()
