"""The parts of the client that need no socket: utterances, memory, audio, faults, the plan of a roll-over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.carriers.contract import MediaFormat
from adapters.sts.contract import ResponseEnd
from adapters.sts.openai import events as e
from adapters.sts.openai.audio import Backlog, ReceivedAudio, size
from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.faults import Fault, classify, close_fault, handshake_fault, status_fault
from adapters.sts.openai.memory import Memory
from adapters.sts.openai.reports import Reports
from adapters.sts.openai.rollover import Plan, plan
from adapters.sts.openai.transcripts import Transcripts
from adapters.sts.openai.transport import model_url
from fsm.clock import LoopClock
from fsm.context import CallContext
from fsm.history import Message
from fsm.triggers import ToolCall
from tests.adapters.openai.peer import Notes, elapse, silence

PCMU = MediaFormat("pcmu", 8000)
SECOND = silence(1000 // 3 * 3)


# -- utterances -----------------------------------------------------------------------------------


def utterances(notes: Notes) -> Transcripts:
    return Transcripts(Reports(notes), LoopClock(), wait=3.0)


async def test_an_end_of_speech_without_a_beginning_has_words_too() -> None:
    notes = Notes()
    transcripts = utterances(notes)

    transcripts.speech_stopped("u1")
    transcripts.speech_started("u1")
    transcripts.committed("u1")
    transcripts.completed("u1", "hello")

    assert notes.all == [("stopped", "u1"), ("transcript", "u1", "hello", "")]
    assert transcripts.quiet


async def test_a_committed_utterance_is_waited_for_without_an_end_of_speech() -> None:
    notes = Notes()
    transcripts = utterances(notes)

    transcripts.committed("u1")
    transcripts.committed("u1")
    quiet = transcripts.quiet
    await elapse(3.1)

    assert not quiet
    assert notes.all == [("transcript", "u1", "", "timed_out")]


async def test_a_commit_ends_the_speech_whose_end_was_not_told() -> None:
    notes = Notes()
    transcripts = utterances(notes)

    transcripts.speech_started("u1")
    transcripts.committed("u1")
    transcripts.speech_stopped("u1")
    transcripts.completed("u1", " ")

    assert notes.all == [("started", "u1"), ("stopped", "u1"), ("transcript", "u1", " ", "")]


async def test_words_that_come_before_the_end_of_speech_are_enough() -> None:
    notes = Notes()
    transcripts = utterances(notes)

    transcripts.speech_started("u1")
    transcripts.completed("u1", "hello")
    transcripts.speech_stopped("u1")
    await elapse(5)

    assert notes.all == [("started", "u1"), ("transcript", "u1", "hello", ""), ("stopped", "u1")]


async def test_an_utterance_that_was_worded_before_the_session_was_lost_is_not_failed() -> None:
    notes = Notes()
    transcripts = utterances(notes)

    transcripts.speech_started("u1")
    transcripts.completed("u1", "hello")
    transcripts.speech_stopped("u2")
    transcripts.completed("u2", "bye")
    transcripts.lost()

    assert notes.all[2:] == [("stopped", "u2"), ("transcript", "u2", "bye", ""), ("stopped", "u1")]


async def test_utterances_do_not_pile_up() -> None:
    notes = Notes()
    transcripts = utterances(notes)

    for number in range(66):
        transcripts.speech_stopped(f"u{number}")
        if number == 0:
            transcripts.completed("u0", "hello")
    reported = notes.of("transcript")
    transcripts.close()
    await elapse(5)

    assert reported == notes.of("transcript") == [("u0", "hello", ""), ("u1", "", "failed")]


# -- memory ---------------------------------------------------------------------------------------


def test_words_that_were_under_way_when_the_session_changed_are_told_once_they_are_known() -> None:
    memory = Memory(CallContext())
    memory.noticed("u1")
    memory.noticed("a1")
    memory.noticed("a2")
    heard = Message(role="assistant", text="Yes", item_id="a1")
    memory.call = CallContext(history=(heard, Message(role="caller", text="", item_id="u1")))
    memory.session_lost()

    replayed = list(memory.replay())
    later = CallContext(
        history=(
            heard,
            Message(role="caller", text="Hello", item_id="u1"),
            Message(role="caller", text="New", item_id="u9"),
        )
    )
    missed = [*memory.remember(later), *memory.remember(later)]

    assert [i["content"][0]["text"] for i in replayed] == ["Yes"]
    assert [i["content"][0]["text"] for i in missed] == ["Hello"]


def test_lines_keep_their_place_before_the_history_once_they_are_old() -> None:
    memory = Memory(CallContext(history=(Message(role="caller", text="Hello", item_id="u1"),)))
    assert list(memory.tell("new", is_open=False)) == []
    first = [i["content"][0]["text"] for i in memory.replay()]
    memory.session_lost()
    second = [i["content"][0]["text"] for i in memory.replay()]

    assert first == ["Hello", "new"]
    assert second == ["new", "Hello"]


@pytest.mark.parametrize(
    "known",
    [
        lambda m: m.called(ToolCall(call_id="c1", tool="bill")),
        lambda m: list(
            m.remember(CallContext(tool_calls=(ToolCall(call_id="c0", tool="x"), ToolCall(call_id="c1", tool="bill"))))
        ),
        lambda m: list(
            m.remember(
                CallContext(
                    history=(
                        Message(role="caller", text="Hello", item_id="u1"),
                        Message(role="tool_call", tool="bill", text="{}", item_id="c1"),
                    )
                )
            )
        ),
    ],
)
def test_an_answer_brings_its_call_into_a_new_session(known: Callable[[Memory], object]) -> None:
    memory = Memory(CallContext(tool_calls=(ToolCall(call_id="other", tool="x"),)))
    memory.called(ToolCall(call_id="c2", tool="x"))
    known(memory)
    memory.session_lost()

    items = [*memory.answer("c1", "12"), *memory.answer("c1", "13")]

    assert [i["type"] for i in items] == ["function_call", "function_call_output", "function_call_output"]
    assert items[0]["name"] == "bill"


def test_an_answer_kept_for_a_new_session_is_not_told_twice() -> None:
    memory = Memory(CallContext())
    memory.keep_answer("c1", "12")
    memory.keep_answer("c2", "13")
    list(
        memory.remember(
            CallContext(
                history=(
                    Message(role="tool_call", tool="bill", text="{}", item_id="c1"),
                    Message(role="tool_result", tool="bill", text="12", item_id="c1"),
                )
            )
        )
    )

    items = list(memory.replay())

    assert [(i["type"], i["call_id"]) for i in items] == [
        ("function_call", "c1"), ("function_call_output", "c1"), ("function_call_output", "c2")
    ]  # fmt: skip


def test_memory_is_bounded() -> None:
    memory = Memory(CallContext())
    for number in range(70):
        memory.called(ToolCall(call_id=f"c{number}", tool="bill"))
        memory.noticed(f"a{number}")
        list(memory.tell(f"line {number}", is_open=True))
    memory.session_lost()

    told = [i["content"][0]["text"] for i in memory.replay()]
    oldest = [i["type"] for i in memory.answer("c5", "1")]
    missed = [m for n in (5, 6) for m in memory.remember(CallContext(history=(spoken(n),)))]

    assert told == [f"line {n}" for n in range(50, 70)]
    assert oldest == ["function_call_output"]
    assert [m["content"][0]["text"] for m in missed] == ["6"]


def spoken(number: int) -> Message:
    return Message(role="assistant", text=str(number), item_id=f"a{number}")


# -- audio ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("payload", "expected"), [("", 0), ("AAAA", 3), ("AAA=", 2), ("AA==", 1)])
def test_the_size_of_audio_is_told_from_its_base64(payload: str, expected: int) -> None:
    assert size(payload) == expected


def test_a_backlog_keeps_the_newest_audio() -> None:
    backlog = Backlog(PCMU, 2.0)
    for payload in (SECOND, SECOND, silence(3), silence(6)):
        backlog.add(payload)

    assert backlog.drain() == [SECOND, silence(3), silence(6)]
    assert backlog.drain() == []
    assert backlog.dropped == 1


@pytest.mark.parametrize(("heard_ms", "kept_ms"), [(0, 0), (-5, 0), (50, 50), (90, 90), (5000, 90)])
def test_no_reply_is_cut_longer_than_it_is(heard_ms: int, kept_ms: int) -> None:
    received = ReceivedAudio(PCMU)
    received.add("a1", silence(60))
    received.add("a1", silence(30))

    assert received.cut("a1", heard_ms) == kept_ms
    assert received.cut("a1", 5000) == kept_ms
    assert received.cut("a2", 5) is None


def test_old_replies_are_forgotten() -> None:
    received = ReceivedAudio(PCMU)
    for number in range(65):
        received.add(f"a{number}", silence(3))

    assert received.cut("a0", 1) is None
    assert received.cut("a1", 1) == 1
    received.clear()
    assert received.cut("a2", 1) is None


# -- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "fault"),
    [
        ("invalid_api_key", "invalid_request_error", Fault.FATAL),
        ("", "authentication_error", Fault.FATAL),
        ("session_expired", "invalid_request_error", Fault.EXPIRED),
        ("response_cancel_not_active", "invalid_request_error", Fault.BENIGN),
        ("invalid_value", "invalid_request_error", Fault.BENIGN),
        ("unknown_parameter", "invalid_request_error", Fault.NOTED),
        ("", "server_error", Fault.NOTED),
    ],
)
def test_what_an_error_of_a_running_session_means(code: str, kind: str, fault: Fault) -> None:
    assert classify(e.PeerError(kind, code, "")) is fault


@pytest.mark.parametrize(
    ("code", "kind", "reason", "retryable"),
    [
        ("unknown_parameter", "invalid_request_error", "unknown_parameter", False),
        ("", "", "error", False),
        ("session_expired", "invalid_request_error", "session_expired", True),
        ("", "server_error", "server_error", True),
        ("model_not_found", "server_error", "model_not_found", False),
    ],
)
def test_what_an_error_before_the_settings_are_in_force_means(
    code: str, kind: str, reason: str, retryable: bool
) -> None:
    fault = handshake_fault(e.PeerError(kind, code, ""))

    assert (fault.reason, fault.retryable) == (reason, retryable)


@pytest.mark.parametrize(
    ("status", "retryable"), [(401, False), (403, False), (404, False), (400, False), (429, True), (503, True)]
)
def test_which_refused_handshakes_are_final(status: int, retryable: bool) -> None:
    fault = status_fault(status)

    assert (fault.reason, fault.retryable) == (f"http_{status}", retryable)


@pytest.mark.parametrize(
    ("code", "why", "reason", "retryable"),
    [
        (4000, "invalid_request_error.beta_api_shape_disabled", "beta_api_shape_disabled", False),
        (3000, "invalid_api_key", "invalid_api_key", False),
        (1011, "keepalive ping timeout", "closed_1011", True),
    ],
)
def test_what_a_close_before_the_session_was_ready_means(code: int, why: str, reason: str, retryable: bool) -> None:
    fault = close_fault(code, why)

    assert (fault.reason, fault.retryable) == (reason, retryable)


# -- the plan, the address, the configuration -----------------------------------------------------


@pytest.mark.parametrize(
    ("lifetime", "max_session", "expected"),
    [
        (None, 3300.0, Plan(due=3400.0, last=3580.0)),
        (-5.0, 3300.0, Plan(due=3400.0, last=3580.0)),
        (9999.0, 3300.0, Plan(due=3400.0, last=3580.0)),
        (600.0, 3300.0, Plan(due=650.0, last=680.0)),
        (None, 60.0, Plan(due=160.0, last=3580.0)),
    ],
)
def test_when_a_session_is_replaced(lifetime: float | None, max_session: float, expected: Plan) -> None:
    found = plan(100.0, lifetime, max_session)

    assert (found.due, found.last) == pytest.approx((expected.due, expected.last))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("wss://api.openai.com/v1/realtime", "wss://api.openai.com/v1/realtime?model=m"),
        ("ws://127.0.0.1:9/r?a=1&b=", "ws://127.0.0.1:9/r?a=1&b=&model=m"),
        ("ws://127.0.0.1:9/r?model=other", "ws://127.0.0.1:9/r?model=m"),
    ],
)
def test_the_model_is_named_in_the_query(url: str, expected: str) -> None:
    assert model_url(url, "m") == expected


def test_the_key_is_not_shown() -> None:
    assert "sk-secret" not in repr(OpenAiConfig(api_key="sk-secret"))


def test_once_silenced_nothing_is_reported() -> None:
    notes = Notes()
    reports = Reports(notes)
    reports.silence()

    reports.to.on_ready("s")
    reports.to.on_renewed("s", "r")
    reports.to.on_failed("r")
    reports.to.on_reply_audio("r", "i", "AAAA", "p")
    reports.to.on_reply_text("i", "d")
    reports.to.on_response_end(ResponseEnd(response_id="r", purpose="p", status="completed"))
    reports.to.on_speech_started("u")
    reports.to.on_speech_stopped("u")
    reports.to.on_transcript("u", "t", "")

    assert notes.all == []
