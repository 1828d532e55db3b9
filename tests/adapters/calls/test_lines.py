"""What was said in a call, from its steps as they happen and from its journal afterwards: the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from adapters.calls.contract import TranscriptLine
from adapters.calls.lines import Transcript, cumulative, fold
from fsm.compile import compile_chart
from fsm.context import CallContext
from fsm.journal import effects_record, step_record
from fsm.load import load_chart
from fsm.step import Step, begin, step
from fsm.triggers import (
    CallEnded,
    CallStarted,
    HeardReply,
    PlaybackFinished,
    ReplyFinished,
    ReplyStarted,
    SegmentReceived,
    StsReady,
    ToolCall,
    ToolCalled,
    Trigger,
    UserSilent,
    UserSpeaking,
    UserTranscript,
)
from handlers import REGISTRY

MACHINE = compile_chart(load_chart("voice_call", registry=REGISTRY), REGISTRY)
BEGAN = 1_700_000_000.0


def steps(happened: Iterable[tuple[float, Trigger]]) -> list[tuple[float, Step]]:
    """Return the steps of a call that is listening, with the seconds after its beginning at which they were taken."""
    done = [(0.0, begin(MACHINE, CallContext(call_id="CA1", created_at=BEGAN)))]
    for at, trigger in [(0.1, CallStarted()), (0.2, StsReady()), (0.3, PlaybackFinished()), *happened]:
        outcome = step(MACHINE, done[-1][1].after, trigger)
        assert isinstance(outcome, Step), trigger
        done.append((at, outcome))
    return done


def both_ways(*happened: tuple[float, Trigger]) -> list[TranscriptLine]:
    """Return what was said, having seen to it that steps and journal tell the same."""
    live, records = Transcript(BEGAN), []
    for at, done in steps(happened):
        live.take_step(done, BEGAN + at)
        records += [step_record(MACHINE, done, BEGAN + at), effects_record(done, ())]
    lines = fold(records)
    assert live.lines() == lines
    return lines


def told(line: TranscriptLine) -> tuple[Any, ...]:
    return (line.role, line.text, line.start_ms, line.end_ms)


def test_a_caller_s_words_lie_between_the_beginning_and_the_end_of_their_speech() -> None:
    lines = both_ways(
        (2.0, UserSpeaking(utterance_id="item_1")),
        (3.5, UserSilent(utterance_id="item_1")),
        (4.0, UserTranscript(text="hello", item_id="item_1")),
    )

    assert [told(line) for line in lines] == [("caller", "hello", 2000, 3500)]
    assert (lines[0].id, lines[0].at, lines[0].seq) == ("item_1", BEGAN + 4.0, 7)


def test_a_reply_ends_when_it_was_heard_and_began_as_much_earlier_as_was_heard() -> None:
    lines = both_ways(
        (1.0, ReplyStarted(item_id="r1")),
        (2.0, ReplyStarted(item_id="r2")),
        (4.0, ReplyFinished(item_id="r1", text="one", heard_ms=3000)),
        (6.0, ReplyFinished(item_id="r2", text="two", heard_ms=2000, interrupted=True)),
    )

    assert [told(line) for line in lines] == [("assistant", "one", 1000, 4000), ("assistant", "two", 4000, 6000)]
    assert [line.interrupted for line in lines] == [False, True]


def test_a_reply_does_not_begin_before_its_first_audio() -> None:
    lines = both_ways(
        (3.0, ReplyStarted(item_id="r1")),
        (4.0, ReplyFinished(item_id="r1", text="one", heard_ms=3000)),
    )

    assert told(lines[0]) == ("assistant", "one", 3000, 4000)


def test_what_was_heard_of_a_reply_when_the_caller_hung_up_is_there() -> None:
    lines = both_ways(
        (1.0, ReplyStarted(item_id="r1")),
        (2.0, CallEnded(replies=(HeardReply(item_id="r1", text="we are", heard_ms=900, interrupted=True),))),
    )

    assert [told(line) for line in lines] == [("assistant", "we are", 1100, 2000)]
    assert lines[0].interrupted


def test_words_that_come_late_take_the_place_that_was_kept_for_them() -> None:
    lines = both_ways(
        (2.0, UserSpeaking(utterance_id="item_1")),
        (3.0, UserSilent(utterance_id="item_1")),
        (6.0, UserTranscript(item_id="item_1", reason="timed_out")),
        (7.0, ReplyStarted(item_id="r1")),
        (8.0, ReplyFinished(item_id="r1", text="pardon", heard_ms=1000)),
        (9.0, UserTranscript(text="hello", item_id="item_1")),
    )

    assert [told(line) for line in lines] == [("caller", "hello", 2000, 3000), ("assistant", "pardon", 7000, 8000)]
    assert lines[0].at == BEGAN + 9.0


def test_nothing_is_lost_however_short_the_history_is() -> None:
    said = [(float(n), UserTranscript(text=f"word {n}", item_id=f"item_{n}")) for n in range(1, 61)]
    lines = both_ways(*said)

    assert [line.text for line in lines] == [f"word {n}" for n in range(1, 61)]
    assert {line.start_ms for line in lines} == {None}


def test_function_calls_and_their_outputs_are_lines_without_a_place_in_time() -> None:
    call = ToolCall(call_id="c1", tool="look_up", arguments='{"n": 1}')
    lines = both_ways((1.0, ToolCalled(calls=(call,))), (2.0, CallEnded()))

    assert [(line.role, line.tool, line.id, line.start_ms) for line in lines] == [
        ("tool_call", "look_up", "c1", None),
        ("tool_result", "look_up", "c1", None),
    ]


def test_segments_stand_by_their_seq_each_once_as_it_came_last() -> None:
    lines = both_ways(
        (1.0, SegmentReceived(id="b", seq=2, text="two", start_ms=500, end_ms=900)),
        (2.0, SegmentReceived(id="a", seq=1, text="one", start_ms=0, end_ms=500, final=False)),
        (3.0, SegmentReceived(id="a", seq=1, text="once", start_ms=0, end_ms=500)),
    )

    assert [told(line) for line in lines] == [("segment", "once", 0, 500), ("segment", "two", 500, 900)]
    assert [(line.seq, line.final) for line in lines] == [(1, True), (2, True)]


def test_segments_stand_among_what_was_said_where_they_came() -> None:
    lines = both_ways(
        (1.0, UserTranscript(text="first", item_id="i1")),
        (2.0, SegmentReceived(id="a", seq=1, text="second")),
        (3.0, UserTranscript(text="third", item_id="i2")),
        (4.0, SegmentReceived(id="b", seq=2, text="fourth")),
    )

    assert [line.text for line in lines] == ["first", "second", "third", "fourth"]
    assert cumulative(lines) == "first\nsecond\nthird\nfourth"


def test_segments_are_counted_and_their_lengths_added() -> None:
    transcript = Transcript(BEGAN)
    for at, done in steps(
        [
            (1.0, SegmentReceived(id="a", seq=7, text="one", start_ms=0, end_ms=1500)),
            (2.0, SegmentReceived(id="b", seq=8, text="two", start_ms=1500)),
            (3.0, SegmentReceived(id="a", seq=7, text="one", start_ms=0, end_ms=1700)),
        ]
    ):
        transcript.take_step(done, BEGAN + at)

    assert (transcript.segment_count, transcript.segments_ms, transcript.last_seq) == (2, 1700, 8)


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_beginning_and_a_rest_are_the_whole(cut: int) -> None:
    happened = steps(
        [
            (2.0, UserSpeaking(utterance_id="item_1")),
            (3.0, UserTranscript(item_id="item_1", reason="timed_out")),
            (4.0, SegmentReceived(id="a", seq=1, text="a segment")),
            (5.0, UserTranscript(text="hello", item_id="item_1")),
            (6.0, SegmentReceived(id="a", seq=1, text="again")),
        ]
    )
    whole, first, rest = Transcript(BEGAN), Transcript(BEGAN), Transcript(BEGAN)
    for nth, (at, done) in enumerate(happened):
        whole.take_step(done, BEGAN + at)
        (first if nth < cut else rest).take_step(done, BEGAN + at)
    first.absorb(rest)

    assert [(line.role, line.text) for line in first.lines()] == [(line.role, line.text) for line in whole.lines()]


def test_what_is_equal_is_said_as_often_as_it_is_said() -> None:
    lines = both_ways((1.0, UserTranscript(text="yes")), (2.0, UserTranscript(text="yes")))

    assert [line.text for line in lines] == ["yes", "yes"]
