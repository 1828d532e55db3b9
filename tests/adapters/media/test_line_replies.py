"""Replies on their way to the caller: pieces and marks, their beginning and end, barge-in."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.carriers.contract import MediaFormat
from adapters.simulators.virtual_time import run
from fsm.triggers import (
    PlaybackFinished,
    ReplyFailed,
    ReplyFinished,
    ReplyStarted,
    ToolCall,
    ToolCalled,
    Usage,
    UserSpeaking,
)
from tests.adapters.media.fakes import Call, FakeLeg, elapse, pcmu, timers

# -- from the first audio to the end ------------------------------------------------------------------


async def test_reply_is_told_at_its_first_audio_and_when_it_was_heard_to_its_end() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(300, text="Hello there.")
    call.client.speak(200, text=" Good day.")
    call.client.end()
    names_before = call.names()
    await elapse(0.499)
    still = call.names()
    await elapse(0.002)

    assert names_before == still == ["reply.started"]
    assert call.only(ReplyStarted) == ReplyStarted(response_id="resp_1", item_id="item_1", purpose="answer")
    assert call.only(ReplyFinished) == ReplyFinished(
        response_id="resp_1", item_id="item_1", text="Hello there. Good day.", heard_ms=500
    )
    assert call.names() == ["reply.started", "reply.finished", "playback.finished"]
    assert call.only(PlaybackFinished).item_id == "item_1"


async def test_reply_tells_the_conversation_that_it_belongs_to() -> None:
    call = Call().connect()
    call.client.conversation_id = "conv_1"
    call.ask()
    call.client.speak(20)

    assert call.only(ReplyStarted).conversation_id == "conv_1"
    await call.line.aclose()


async def test_audio_is_cut_into_pieces_of_sixty_milliseconds_and_nothing_is_lost() -> None:
    call = Call().connect()
    whole = base64.b64encode(bytes(range(256)) * 5).decode()
    call.client.events.on_reply_audio("resp_1", "item_1", whole, "answer")

    assert [len(base64.b64decode(piece)) for piece in call.leg.sent] == [480, 480, 320]
    assert b"".join(base64.b64decode(piece) for piece in call.leg.sent) == bytes(range(256)) * 5
    await call.line.aclose()


async def test_reply_is_not_finished_while_its_response_goes_on() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(100)
    await elapse(1.0)
    before = call.names()
    call.client.end()

    assert before == ["reply.started"]
    assert call.names() == ["reply.started", "reply.finished", "playback.finished"]


async def test_next_item_completes_the_one_before_it() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(100, item="item_1")
    call.client.speak(100, item="item_2")
    await elapse(0.15)
    before = call.names()
    call.client.end(usage=Usage(output_tokens=7))
    await elapse(0.1)

    assert before == ["reply.started", "reply.started", "reply.finished"]
    first, second = call.told(ReplyFinished)
    assert (first.item_id, first.usage) == ("item_1", None)
    assert (second.item_id, second.usage) == ("item_2", Usage(output_tokens=7))
    assert call.names()[-1] == "playback.finished"


async def test_item_that_was_heard_is_finished_as_soon_as_the_next_begins() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(100, item="item_1")
    await elapse(1.0)
    call.client.speak(100, item="item_2")

    assert call.names() == ["reply.started", "reply.started", "reply.finished"]
    await call.line.aclose()


async def test_playback_finishes_once_and_leaves_no_timer() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(100)
    call.client.end()
    await elapse(1.0)
    call.ask()
    call.client.end("resp_2", status="failed", reason="x")
    call.ask()
    call.client.speak(100, item="item_3", response="resp_3")
    left_while_playing = timers()
    call.client.end("resp_3")
    await elapse(1.0)

    assert call.names().count("playback.finished") == 2
    assert call.names()[2:4] == ["playback.finished", "reply.failed"]
    assert (left_while_playing, timers()) == (1, 0)


async def test_playback_is_not_finished_while_another_reply_is_asked_for() -> None:
    call = Call().connect()
    call.ask()
    call.ask("result")
    call.client.speak(100)
    call.client.end()
    await elapse(1.0)
    before = call.names()
    call.client.speak(100, item="item_2", response="resp_2")
    call.client.end("resp_2")
    await elapse(1.0)

    assert before == ["reply.started", "reply.finished"]
    assert call.names()[2:] == ["reply.started", "reply.finished", "playback.finished"]


async def test_carrier_without_marks_does_not_hang_the_call() -> None:
    call = Call(leg=FakeLeg(marks=False)).connect()
    call.ask()
    call.client.speak(300)
    call.client.end()
    await elapse(5.2)
    before = call.names()
    await elapse(0.2)

    assert before == ["reply.started"]
    assert call.names() == ["reply.started", "reply.finished", "playback.finished"]


@pytest.mark.parametrize(
    ("status", "spoken", "expected"),
    [
        ("failed", 0, ["reply.failed"]),
        ("failed", 60, ["reply.started", "reply.failed", "reply.finished", "playback.finished"]),
        ("incomplete", 0, ["reply.failed"]),
        ("incomplete", 60, ["reply.started", "reply.finished", "playback.finished"]),
        ("completed", 0, ["reply.failed"]),
        ("cancelled", 0, []),
    ],
    ids=["failed", "failed midway", "incomplete and silent", "incomplete", "completed and silent", "cancelled"],
)
async def test_a_response_without_speech_is_a_failed_reply_unless_it_was_cancelled(
    status: str, spoken: int, expected: list[str]
) -> None:
    call = Call().connect()
    call.ask()
    if spoken:
        call.client.speak(spoken)
    call.client.end(status=status, reason="")
    await elapse(1.0)

    assert call.names() == expected
    await call.line.aclose()


async def test_failed_reply_says_why_and_what_it_cost() -> None:
    call = Call().connect()
    call.client.end(status="failed", reason="rate_limit_exceeded", purpose="greeting", usage=Usage(input_tokens=5))

    assert call.only(ReplyFailed) == ReplyFailed(
        response_id="resp_1", reason="rate_limit_exceeded", purpose="greeting", usage=Usage(input_tokens=5)
    )


async def test_tools_are_called_once_per_response_with_all_calls_and_the_cost_is_told_once() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(60)
    calls = (ToolCall(call_id="c1", tool="look_up"), ToolCall(call_id="c2", tool="look_up"))
    call.client.end(calls=calls, usage=Usage(output_tokens=3))
    await elapse(1.0)

    assert call.only(ToolCalled) == ToolCalled(response_id="resp_1", calls=calls, usage=Usage(output_tokens=3))
    assert call.only(ReplyFinished).usage is None


async def test_cost_of_a_cancelled_response_is_told_with_the_next() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(600)
    call.line.media.interrupt()
    call.client.end(status="cancelled", usage=Usage(output_tokens=3))
    call.ask()
    call.client.speak(60, item="item_2", response="resp_2")
    call.client.end("resp_2", usage=Usage(output_tokens=4))
    await elapse(1.0)

    assert [finished.usage for finished in call.told(ReplyFinished)] == [None, Usage(output_tokens=7)]


# -- the caller speaks --------------------------------------------------------------------------------


async def test_speaking_over_a_reply_tells_which_and_how_much_of_it_was_heard() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(8000)
    call.client.end()
    await elapse(3.05)
    call.client.events.on_speech_started("item_u1")

    assert call.only(UserSpeaking) == UserSpeaking(item_id="item_1", heard_ms=3050, utterance_id="item_u1")
    await call.line.aclose()


async def test_speaking_when_all_was_heard_talks_over_nothing() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(100)
    call.client.end()
    await elapse(1.0)
    call.client.events.on_speech_started("item_u1")

    assert call.only(UserSpeaking) == UserSpeaking(utterance_id="item_u1")
    await call.line.aclose()


# -- KNOWN FAILURES: Barge-in -------------------------------------------------------------------------


async def test_barge_in_stops_the_carrier_cancels_and_truncates_once() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(8000, text="one two three four five six seven eight")
    await elapse(3.05)
    call.line.media.interrupt()
    call.line.media.interrupt()
    await elapse(1.0)

    assert call.leg.counts["clear"] == 1
    assert call.leg.heard_ms == pytest.approx(3050)
    assert call.client.log[-2:] == ["cancel", "truncate"]
    assert call.client.truncated == [("item_1", 3050)]
    assert call.only(ReplyFinished) == ReplyFinished(
        response_id="resp_1", item_id="item_1", text="one two three", heard_ms=3050, interrupted=True
    )


async def test_told_milliseconds_never_exceed_the_audio_that_was_received() -> None:
    call = Call(leg=FakeLeg(speed=0.5)).connect()
    call.ask()
    call.client.speak(55)
    await elapse(30.0)
    call.line.media.interrupt()

    assert call.client.truncated == [("item_1", 55)]


async def test_interrupt_before_the_first_frame_truncates_and_clears_nothing() -> None:
    call = Call().connect()
    call.ask()
    call.client.begin()
    call.line.media.interrupt()

    assert "clear" not in call.leg.log
    assert call.client.log[-1] == "cancel"
    assert call.client.truncated == []


async def test_cough_before_the_first_frame_does_not_talk_over_the_greeting() -> None:
    call = Call().connect()
    call.ask("greeting")
    call.client.begin()
    call.client.events.on_speech_started("item_cough")
    call.client.events.on_speech_stopped("item_cough")
    call.client.speak(100, purpose="greeting")
    call.client.end()
    await elapse(1.0)

    assert call.only(UserSpeaking).item_id is None
    assert call.names()[-2:] == ["reply.finished", "playback.finished"]
    assert not call.only(ReplyFinished).interrupted


async def test_interrupt_with_nothing_playing_or_asked_for_does_nothing() -> None:
    call = Call().connect()
    before = list(call.client.log)
    call.line.media.interrupt()

    assert call.leg.log == []
    assert call.client.log == before
    assert call.posted == []


async def test_interrupt_works_once_all_audio_was_sent_and_the_response_is_over() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(2000)
    call.client.end()
    await elapse(0.5)
    call.line.media.interrupt()

    assert call.leg.counts["clear"] == 1
    assert "cancel" not in call.client.log
    assert call.client.truncated == [("item_1", 500)]


async def test_marks_that_clear_returns_are_not_heard() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(2000)
    await elapse(0.5)
    call.line.media.interrupt()
    call.client.speak(2000, item="item_2", response="resp_2")
    await elapse(0.1)

    (reply,) = call.line.reply_snapshot()
    assert (reply.item_id, reply.heard_ms) == ("item_2", 100)
    await call.line.aclose()


async def test_every_queued_reply_is_truncated_and_unheard_ones_to_nothing() -> None:
    call = Call().connect()
    call.ask()
    call.ask()
    call.client.speak(1000, item="item_1", text="first words here")
    call.client.end()
    call.client.speak(1000, item="item_2", response="resp_2", text="second")
    await elapse(0.4)
    call.line.media.interrupt()

    assert call.client.truncated == [("item_1", 400), ("item_2", 0)]
    assert [(f.item_id, f.text, f.heard_ms) for f in call.told(ReplyFinished)] == [
        ("item_1", "first", 400),
        ("item_2", "", 0),
    ]


async def test_late_audio_and_words_of_a_cut_reply_are_dropped() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(1000)
    await elapse(0.4)
    call.line.media.interrupt()
    sent = len(call.leg.sent)
    call.client.speak(500, text="too late")
    call.client.speak(500, item="item_1b", text="same response")
    call.client.end(status="cancelled")
    await elapse(3.0)

    assert len(call.leg.sent) == sent
    assert len(call.told(ReplyFinished)) == 1
    assert "playback.finished" not in call.names()


async def test_response_that_completed_while_it_was_cancelled_does_not_answer_the_next_request() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(1000)
    call.line.media.interrupt()
    call.ask()
    call.client.end(status="completed")
    await elapse(1.0)
    drained_early = "playback.finished" in call.names()
    call.client.speak(60, item="item_2", response="resp_2")
    call.client.end("resp_2")
    await elapse(1.0)

    assert not drained_early
    assert call.names()[-1] == "playback.finished"


async def test_reply_that_waits_for_more_audio_is_still_cut() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(100)
    await elapse(1.0)
    call.client.events.on_speech_started("item_u1")
    call.line.media.interrupt()

    assert call.only(UserSpeaking).item_id == "item_1"
    assert call.client.log[-2:] == ["cancel", "truncate"]
    assert call.client.truncated == [("item_1", 100)]
    assert "clear" not in call.leg.log
    await call.line.aclose()


@settings(max_examples=60, deadline=None)
@given(
    speed=st.floats(0.5, 2.0),
    deltas=st.lists(st.tuples(st.integers(1, 700), st.floats(0, 0.3)), min_size=1, max_size=8),
    after=st.floats(0, 3),
)
def test_told_and_heard_differ_by_sixty_milliseconds_at_most(
    speed: float, deltas: list[tuple[int, float]], after: float
) -> None:
    async def phone() -> tuple[float, float]:
        call = Call(leg=FakeLeg(speed=speed)).connect()
        call.ask()
        for ms, pause in deltas:
            call.client.speak(ms)
            await elapse(pause)
        await elapse(after)
        heard = call.leg.heard_ms
        call.line.media.interrupt()
        await call.line.aclose()
        return call.client.truncated[0][1], heard

    told, heard = run(phone())

    assert abs(told - heard) <= 61  # whole milliseconds are told


@pytest.mark.parametrize("encoding", ["pcm16", "pcma"])
async def test_other_formats_are_cut_on_whole_samples(encoding: str) -> None:
    call = Call(leg=FakeLeg(media_format=MediaFormat(encoding, 8000))).connect()
    call.client.events.on_reply_audio("resp_1", "item_1", pcmu(250), "answer")

    sizes = [len(base64.b64decode(piece)) for piece in call.leg.sent]
    assert sum(sizes) == 2000
    assert max(sizes) <= 60 * MediaFormat(encoding, 8000).bytes_per_ms
    assert all(size % 2 == 0 for size in sizes)
    await call.line.aclose()


async def test_audio_of_a_reply_after_detach_is_not_played() -> None:
    call = Call().connect()
    call.ask()
    call.line.carrier.detach()
    call.client.speak(100)
    call.client.end()

    assert call.leg.sent == []
    assert call.posted == []


async def test_a_closed_client_is_not_listened_to() -> None:
    call = Call().connect()
    events = call.client.events
    call.line.sts.close_soon()
    call.client.speak(100)
    call.client.end(status="failed")
    events.on_speech_started("u")
    events.on_speech_stopped("u")
    events.on_transcript("u", "hello", "")
    events.on_reply_text("i", "hello")
    events.on_renewed("s", "")
    events.on_ready("s")
    events.on_failed("late")

    assert call.posted == []
    assert call.leg.sent == []


async def test_what_has_come_plays_out_when_the_model_is_gone() -> None:
    call = Call().connect()
    call.ask()
    call.ask()
    call.client.speak(300)
    call.client.events.on_failed("gave up")
    await elapse(1.0)

    assert call.names() == ["reply.started", "sts.failed", "reply.finished", "playback.finished"]
