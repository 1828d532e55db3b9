"""Reducers compute what a call knows next; none of them changes the value it was given."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fsm.context import EMPTY, BotSettings, CallContext
from fsm.history import Message
from fsm.triggers import (
    ActionFailed,
    After,
    AgentCompleted,
    AgentFailed,
    AgentNeedsInfo,
    AgentProgress,
    CallEnded,
    CallLost,
    CallOverLimit,
    CallResumed,
    CallStarted,
    CallTransferred,
    HeardReply,
    IntentDetected,
    InvokeDone,
    InvokeFailed,
    ReplyFinished,
    SegmentReceived,
    SessionConfigured,
    SessionEndRequested,
    SessionShutdown,
    StsFailed,
    ToolCall,
    ToolCalled,
    TransferRequested,
    Trigger,
    Usage,
    UserIdle,
    UserTranscript,
)
from handlers import reducers

CALL = CallContext(call_id="CA1")
HELLO = Message(role="caller", text="hello", item_id="u1")


# -- history --------------------------------------------------------------------------------------


def test_what_the_caller_said_is_kept_once() -> None:
    said = UserTranscript(text="hello", item_id="u1")

    once = reducers.append_history(CALL, said)

    assert once.history == (HELLO,)
    assert reducers.append_history(once, said) == once
    assert CALL.history == ()


def test_reply_is_kept_as_far_as_it_was_heard() -> None:
    cut = ReplyFinished(item_id="a1", text="We are op", interrupted=True)

    after = reducers.append_history(CALL, cut)

    assert after.history == (Message(role="assistant", text="We are op", item_id="a1", interrupted=True),)


@pytest.mark.parametrize("trigger", [ReplyFinished(item_id="a1", interrupted=True), CallEnded(), CallLost()])
def test_reply_of_which_nothing_was_heard_is_not_kept(trigger: Any) -> None:
    assert reducers.append_history(CALL, trigger) is CALL


@pytest.mark.parametrize("over", [CallEnded, CallLost])
def test_end_of_the_line_keeps_what_was_heard_of_each_reply(over: Any) -> None:
    trigger = over(replies=(HeardReply(item_id="a1", text="One", interrupted=False), HeardReply(item_id="a2"),
                            HeardReply(item_id="a3", text="Thr", heard_ms=200)))  # fmt: skip

    after = reducers.append_history(CALL, trigger)

    assert [(m.item_id, m.text, m.interrupted) for m in after.history] == [("a1", "One", False), ("a3", "Thr", True)]


def test_truncated_history_has_the_newest() -> None:
    call = replace(CALL, history=tuple(Message(role="caller", text=str(n)) for n in range(5)))

    after = reducers.truncate_history(call, UserIdle(), keep=2)

    assert [m.text for m in after.history] == ["3", "4"]
    assert reducers.truncate_history(after, UserIdle()) is after


def test_twenty_messages_are_kept_unless_the_chart_says_otherwise() -> None:
    call = replace(CALL, history=tuple(Message(role="caller", text=str(n)) for n in range(25)))

    assert [m.text for m in reducers.truncate_history(call, UserIdle()).history] == [str(n) for n in range(5, 25)]


def test_segments_stand_in_their_order_and_a_repeated_one_replaces() -> None:
    call = CALL
    for id_, seq, text in (("b", 2, "two"), ("a", 1, "one"), ("b", 2, "TWO"), ("c", 2, "also two")):
        call = reducers.merge_segment(call, SegmentReceived(id=id_, seq=seq, text=text))

    assert [(s.id, s.text) for s in call.segments] == [("a", "one"), ("b", "TWO"), ("c", "also two")]


def test_segments_do_not_grow_without_bound() -> None:
    full = tuple(SegmentReceived(id=str(n), seq=n) for n in range(1000))

    after = reducers.merge_segment(replace(CALL, segments=full), SegmentReceived(id="new", seq=1000))

    assert len(after.segments) == 20
    assert after.segments[-1].id == "new"


# -- counters and notes ---------------------------------------------------------------------------


def test_retries_are_counted_and_reset() -> None:
    twice = reducers.count_retry(
        reducers.count_retry(CALL, UserIdle(), counter="silence"), UserIdle(), counter="silence"
    )

    assert twice.counters == {"silence": 2}
    assert reducers.reset_retries(twice, UserIdle(), counter="silence").counters == {}
    assert reducers.reset_retries(twice, UserIdle(), counter="clarify") is twice


def test_resumes_and_errors_are_counted() -> None:
    after = reducers.count_error(
        reducers.count_resume(CALL, CallResumed()), ActionFailed(name="error.action.notify_fronts")
    )

    assert (after.resumed_count, after.errors) == (1, 1)


def test_answered_call_is_noted() -> None:
    assert reducers.note_answered(CALL, CallStarted()).answered


def test_intent_is_noted_with_all_that_belongs_to_it() -> None:
    wish = IntentDetected(
        intent="order_status", confidence=0.8, entities={"order": "12"}, missing=("day",), agent_type="orders"
    )

    after = reducers.note_intent(replace(CALL, intent="bye", entities={"old": "1"}), wish)

    assert (after.intent, after.confidence, after.agent_type) == ("order_status", 0.8, "orders")
    assert (dict(after.entities), after.missing) == ({"order": "12"}, ("day",))


def test_wish_that_was_not_understood_leaves_an_unfinished_one() -> None:
    call = replace(CALL, intent="order_status", missing=("order",))

    after = reducers.note_intent(call, IntentDetected(confidence=0.1))

    assert after == replace(call, confidence=0.1)


def test_question_is_kept_until_it_is_answered() -> None:
    asked = reducers.note_question(CALL, AgentNeedsInfo(question="Which order?"))

    assert asked.question == "Which order?"
    assert reducers.forget_question(asked, UserTranscript(text="7")) == CALL
    assert reducers.forget_question(CALL, UserTranscript(text="7")) is CALL


def test_failed_transfer_leaves_nothing_behind() -> None:
    wanted = reducers.note_transfer(CALL, TransferRequested(target="+1555"))

    assert wanted.transfer_to == "+1555"
    assert reducers.forget_transfer(wanted, ActionFailed(name="error.action.transfer")) == CALL


def test_configuration_changes_what_it_names_only() -> None:
    call = replace(CALL, instructions="Be brief.", voice="marin", language="en", metadata={"a": 1, "b": 1})

    after = reducers.update_context(call, SessionConfigured(language="de", metadata={"b": 2}))

    assert after == replace(call, language="de", metadata={"a": 1, "b": 2}, metadata_version=1)
    assert reducers.update_context(after, SessionConfigured(instructions="Go.", voice="cedar")) == replace(
        after, instructions="Go.", voice="cedar"
    )


def test_progress_of_an_agent_is_kept() -> None:
    after = reducers.update_context(replace(CALL, progress={"a": 1}), AgentProgress(data={"b": 2}))

    assert after.progress == {"a": 1, "b": 2}


# -- agents and function calls --------------------------------------------------------------------


def test_agent_that_is_over_leaves_no_question() -> None:
    call = replace(CALL, question="Which?", agent_type="orders", missing=("order",), intent="order_status")

    assert reducers.settle_agent(call, AgentFailed()) == replace(CALL, intent="order_status")


@pytest.mark.parametrize(
    ("facts", "errand"),
    [
        ({"intent": "order_status"}, "order_status"),
        ({"intent": "order_status", "tool_calls": (ToolCall(call_id="c1", tool="weather"),)}, "weather"),
        ({}, "something"),
    ],
    ids=["intent", "function call", "unnamed"],
)
def test_agent_whose_line_is_lost_is_given_up_and_that_is_remembered(facts: dict[str, Any], errand: str) -> None:
    call = replace(CALL, question="Which?", agent_type="orders", **facts)

    after = reducers.settle_agent(call, CallLost(can_return=True))

    assert (after.interrupted, after.question, after.agent_type) == (errand, "", "")


PENDING = replace(
    CALL,
    tool_calls=(ToolCall(call_id="c1", tool="orders"), ToolCall(call_id="c2", tool="weather")),
    history=(
        Message(role="tool_call", text="{}", item_id="c1", tool="orders"),
        Message(role="tool_call", text="{}", item_id="c2", tool="weather"),
    ),
)


@pytest.mark.parametrize(
    ("trigger", "outputs"),
    [
        (AgentCompleted(result="It is on its way."), [{"result": "It is on its way."}] * 2),
        (
            AgentCompleted(result="x", data={"tool_outputs": {"c1": {"ok": 1}, "c2": {"error": "unknown tool"}}}),
            [{"ok": 1}, {"error": "unknown tool"}],
        ),
        (AgentFailed(reason="no_such_order"), [{"error": "no_such_order"}] * 2),
        (AgentFailed(), [{"error": "failed"}] * 2),
        (InvokeFailed(name="error.invoke.agent", error="KeyError"), [{"error": "failed"}] * 2),
        (After(name="after.agent"), [{"error": "timed out"}] * 2),
        (CallLost(), [{"error": "interrupted"}] * 2),
    ],
    ids=["completed", "completed-each", "failed", "failed-why", "crashed", "timed-out", "lost"],
)
def test_every_function_call_gets_an_output_whatever_ended_the_agent(trigger: Trigger, outputs: list[Any]) -> None:
    after = reducers.settle_tools(PENDING, trigger)

    assert [json.loads(text) for text in after.tool_outputs.values()] == outputs
    assert list(after.tool_outputs) == ["c1", "c2"]
    assert after.tool_calls == ()
    assert [(m.role, m.item_id, m.tool) for m in after.history[2:]] == [
        ("tool_result", "c1", "orders"),
        ("tool_result", "c2", "weather"),
    ]


def test_settling_again_tells_the_model_nothing_twice() -> None:
    after = reducers.settle_tools(reducers.settle_tools(PENDING, CallLost()), CallLost())

    assert after.tool_outputs == EMPTY
    assert len(after.history) == 4


def test_function_call_that_comes_while_an_agent_works_is_refused_alone() -> None:
    third = ToolCall(call_id="c3", tool="orders")
    busy = replace(PENDING, tool_calls=(*PENDING.tool_calls, third))

    after = reducers.settle_tools(busy, ToolCalled(calls=(third,)))

    assert json.loads(after.tool_outputs["c3"])["error"] == "refused"
    assert after.tool_calls == PENDING.tool_calls


def test_output_that_is_no_json_does_not_keep_a_call_waiting() -> None:
    after = reducers.settle_tools(PENDING, AgentCompleted(data={"tool_outputs": {"c1": {"what": object}}}))

    assert after.tool_calls == ()


# -- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trigger", "reason"),
    [
        (CallEnded(), "caller_hung_up"),
        (CallEnded(reason="transferred"), "transferred"),
        (CallEnded(reason="Normal Clearing"), "caller_hung_up"),
        (CallLost(), "carrier_lost"),
        (CallLost(reason="orphaned"), "orphaned"),
        (CallLost(reason="ECONNRESET"), "carrier_lost"),
        (SessionEndRequested(), "end_requested"),
        (SessionEndRequested(reason="shift is over"), "end_requested"),
        (SessionShutdown(), "shutdown"),
        (CallOverLimit(limit="time"), "time_limit"),
        (CallOverLimit(limit="cost"), "cost_limit"),
        (CallOverLimit(limit="inactivity"), "inactivity"),
        (UserIdle(), "idle"),
        (StsFailed(), "sts_failed"),
        (CallStarted(at_capacity=True), "at_capacity"),
        (CallResumed(), "carrier_lost"),
        (CallTransferred(), "transferred"),
        (IntentDetected(intent="bye"), "goodbye"),
        (InvokeDone(name="done.invoke.farewell"), "goodbye"),
        (InvokeFailed(name="error.invoke.farewell"), "error"),
        (ActionFailed(name="error.action.start_sts"), "error"),
        (After(name="after.farewell"), "error"),
        (TransferRequested(target="+1555"), ""),
    ],
    ids=str,
)
def test_what_led_out_tells_why_the_call_ended(trigger: Trigger, reason: str) -> None:
    assert reducers.note_end(CALL, trigger).end_reason == reason


def test_first_reason_of_an_end_stays() -> None:
    ending = reducers.note_end(CALL, UserIdle())

    assert reducers.note_end(ending, CallEnded()) is ending


def test_chart_may_name_the_reason() -> None:
    after = reducers.note_end(CALL, After(name="after.setup"), reason="setup_timeout")

    assert after.end_reason == "setup_timeout"


def test_call_is_handed_over_once() -> None:
    call = replace(CALL, answered=True, end_reason="goodbye", created_at=1000.0, turn=3, bot=BotSettings(name="shop"),
                   carrier="twilio", usage=Usage(input_tokens=5))  # fmt: skip

    after = reducers.hand_over(call, UserIdle())

    assert after.outbox == (
        {
            "kind": "call.over",
            "call_id": "CA1",
            "bot": "shop",
            "carrier": "twilio",
            "language": "en",
            "end_reason": "goodbye",
            "created_at": 1000.0,
            "turns": 3,
            "resumed_count": 0,
            "errors": 0,
            "usage": {
                "input_tokens": 5,
                "output_tokens": 0,
                "cached_tokens": 0,
                "input_audio_tokens": 0,
                "output_audio_tokens": 0,
            },
        },
    )
    assert json.loads(json.dumps(after.outbox[0])) == after.outbox[0]
    assert reducers.hand_over(after, UserIdle()) is after


def test_call_that_was_never_answered_has_no_work_after_it() -> None:
    assert reducers.hand_over(CALL, UserIdle()) is CALL
