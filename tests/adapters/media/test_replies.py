"""The ledger of replies, alone: words by how far they were heard, bounds, costs."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.media.idle import IdleTimer
from adapters.media.playback import Playback
from adapters.media.replies import Replies, as_far_as_heard
from adapters.sts.contract import ResponseEnd
from fsm.clock import LoopClock
from fsm.triggers import ReplyFinished, ToolCall, ToolCalled, Usage
from tests.adapters.media.fakes import elapse, pcmu


@pytest.mark.parametrize(
    ("text", "heard", "total", "expected"),
    [
        ("one two three", 1000, 1000, "one two three"),
        ("one two three", 2000, 1000, "one two three"),
        ("one two three", 0, 1000, ""),
        ("one two three", 500, 1000, "one"),
        ("one two three", 540, 1000, "one two"),
        ("one two three", 999, 1000, "one two"),
        ("unbroken", 999, 1000, ""),
        (" led by a blank", 10, 1000, ""),
        ("", 500, 1000, ""),
        ("एक क्षण रुकिए", 600, 1000, "एक क्षण"),
    ],
)
def test_words_are_cut_where_they_were_heard_and_never_within(
    text: str, heard: float, total: float, expected: str
) -> None:
    assert as_far_as_heard(text, heard, total) == expected


@given(st.text(max_size=60), st.floats(0, 2000), st.floats(1, 1000))
def test_what_was_heard_is_a_beginning_of_what_was_said(text: str, heard: float, total: float) -> None:
    cut = as_far_as_heard(text, heard, total)

    assert text.startswith(cut)
    assert cut == text or len(cut) <= len(text) * heard / total


def test_words_that_come_before_the_audio_belong_to_the_reply() -> None:
    replies = Replies()
    replies.words("item_1", "Good ")
    replies.audio("resp_1", "item_1", 100)
    replies.words("item_1", "day")
    (reply,) = replies

    assert replies.heard(reply, 100).text == "Good day"


def test_words_of_an_item_that_never_had_audio_are_forgotten_with_its_response() -> None:
    replies = Replies()
    replies.words("item_1", "never said")
    replies.end(ResponseEnd(response_id="resp_1", purpose="", status="cancelled", item_ids=("item_1",)))
    replies.words("item_1", "at all")
    replies.audio("resp_2", "item_1", 100)
    (reply,) = replies

    assert replies.heard(reply, 100).text == ""


def test_ids_that_are_over_are_remembered_for_a_while_only() -> None:
    replies = Replies()
    replies.drop(*(f"item_{n}" for n in range(200)))

    assert not replies.is_over("item_71")
    assert replies.is_over("item_72")
    assert replies.is_over("unknown", "item_199")


def test_every_cost_is_told_once_wherever_a_response_ends() -> None:
    replies = Replies()
    told: list[Usage | None] = []
    one = Usage(input_tokens=1)
    replies.end(ResponseEnd(response_id="a", purpose="", status="cancelled", usage=one))
    replies.end(ResponseEnd(response_id="b", purpose="", status="cancelled", usage=one))
    (called,) = replies.end(
        ResponseEnd(
            response_id="c", purpose="", status="completed", usage=one, calls=(ToolCall(call_id="1", tool="t"),)
        )
    )
    assert isinstance(called, ToolCalled)
    told.append(called.usage)
    replies.audio("d", "item_1", 10)
    replies.end(ResponseEnd(response_id="d", purpose="", status="completed", usage=one))
    for reply in replies:
        told.append(replies.finish(reply, 10, interrupted=False).usage)

    assert told == [Usage(input_tokens=3), Usage(input_tokens=1)]


def test_thirds_of_a_millisecond_do_not_lose_one() -> None:
    replies = Replies()
    for _ in range(30):
        replies.audio("resp_1", "item_1", 100 / 3)
    (reply,) = replies
    finished = replies.finish(reply, sum([100 / 3] * 30), interrupted=False)

    assert finished == ReplyFinished(response_id="resp_1", item_id="item_1", heard_ms=1000)
    assert not replies


async def test_audio_without_a_leg_is_not_played_and_not_waited_for() -> None:
    posted: list[object] = []
    playback = Playback(clock=LoopClock(), post=posted.append, on_change=lambda: None)
    playback.takes_replies = True
    playback.play_clip(pcmu(100))
    playback.reply_audio("resp_1", "item_1", pcmu(100), "answer")
    playback.response_ended(ResponseEnd(response_id="resp_1", purpose="", status="failed"))
    await playback.drained()

    assert posted == []
    assert not playback.is_heard


async def test_idle_timer_counts_from_when_it_was_started_first() -> None:
    told: list[float] = []
    loop = asyncio.get_running_loop()
    idle = IdleTimer(clock=LoopClock(), after=10.0, on_idle=lambda ms: told.append(loop.time()))
    idle.start()
    await elapse(6.0)
    idle.start()
    await elapse(5.0)
    idle.stop()
    idle.stop()
    idle.heard(True)
    idle.heard(False)
    await elapse(60.0)

    assert told == [10.0]


async def test_idle_milliseconds_count_from_the_last_sound() -> None:
    told: list[int] = []
    idle = IdleTimer(clock=LoopClock(), after=10.0, on_idle=told.append)
    await elapse(7.0)
    idle.start()
    idle.heard(True)
    await elapse(5.0)
    idle.heard(False)
    await elapse(20.1)
    idle.stop()

    assert told == [10_000, 20_000]


def test_words_of_an_open_reply_outlive_the_end_of_its_response() -> None:
    replies = Replies()
    replies.audio("resp_1", "item_1", 100)
    replies.words("item_1", "still playing")
    replies.end(ResponseEnd(response_id="resp_1", purpose="", status="completed", item_ids=("item_1",)))
    (reply,) = replies

    assert replies.finish(reply, 100, interrupted=False).text == "still playing"
