"""What a call remembers of what happens, without any chart naming it; and that all of it is bounded."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from fsm import triggers as t
from fsm.context import EMPTY, END_REASONS, UNTOLD, BotSettings, CallContext, changed, merged, remember, settle
from fsm.history import Message

CALL = CallContext(call_id="CA1")
ORDERS = t.ToolCall(call_id="c1", tool="orders", arguments='{"order": 7}')


def after(*happened: t.Trigger, call: CallContext = CALL) -> CallContext:
    for trigger in happened:
        call = remember(call, trigger)
    return call


# -- identities -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trigger",
    [t.UserSilent(), t.UserIdle(), t.PlaybackFinished(), t.After(name="after.setup"), t.CallEnded(), t.StsFailed()],
    ids=lambda trigger: trigger.name,
)
def test_what_is_nothing_to_remember_costs_no_copy(trigger: t.Trigger) -> None:
    assert remember(CALL, trigger) is CALL


def test_first_socket_tells_who_calls() -> None:
    call = after(
        t.CallStarted(carrier="twilio", caller="+1", called="+2", stream_id="MZ1", media_format="audio/x-mulaw")
    )

    assert (call.carrier, call.caller, call.called) == ("twilio", "+1", "+2")
    assert (call.stream_id, call.media_format) == ("MZ1", "audio/x-mulaw")


def test_what_a_webhook_told_of_the_caller_stays_if_the_socket_says_nothing() -> None:
    known = replace(CALL, carrier="twilio", caller="+1", called="+2")

    call = after(t.CallStarted(stream_id="MZ1"), call=known)

    assert (call.carrier, call.caller, call.called, call.stream_id) == ("twilio", "+1", "+2", "MZ1")


def test_only_a_socket_with_proof_becomes_the_calls() -> None:
    foreign = t.CallResumed(stream_id="MZ9")

    assert remember(CALL, foreign) is CALL
    assert after(replace(foreign, proof=True, media_format="pcm")) == replace(CALL, stream_id="MZ9", media_format="pcm")


RESULT = t.AgentCompleted(result="It comes on Friday.")
TELLING = t.ReplyStarted(response_id="r2", item_id="i2", purpose="result")


@pytest.mark.parametrize(
    ("happened", "known"),
    [
        ([], True),
        ([t.ReplyFinished(item_id="i1")], True),
        ([TELLING], True),
        ([TELLING, t.ReplyFinished(item_id="i2", interrupted=True)], True),
        ([TELLING, t.CallLost(can_return=True), t.CallResumed(proof=True)], True),
        ([TELLING, t.UserTranscript(reason="failed", item_id="u1")], True),
        ([TELLING, t.ReplyFinished(item_id="i2")], False),
        ([t.UserTranscript(text="never mind", item_id="u1")], False),
        ([replace(TELLING, purpose="pick_up"), t.ReplyFinished(item_id="i2")], False),
        ([replace(TELLING, purpose="answer"), t.ReplyFinished(item_id="i2")], True),
    ],
    ids=lambda value: " ".join(trigger.name for trigger in value) if isinstance(value, list) else "",
)
def test_a_result_is_known_until_the_caller_has_heard_it_or_speaks_of_something_else(
    happened: list[t.Trigger], known: bool
) -> None:
    call = after(RESULT, *happened)

    assert call.progress.get(UNTOLD, "") == ("It comes on Friday." if known else "")
    assert known or call.progress == {}


def test_an_agent_without_a_result_leaves_nothing_to_tell() -> None:
    assert remember(CALL, t.AgentCompleted()) is CALL


def test_an_interrupted_errand_is_known_until_the_caller_hears_of_it() -> None:
    call = replace(CALL, interrupted="order_status")

    assert after(t.ReplyStarted(response_id="r1", purpose="answer"), call=call).interrupted == "order_status"
    assert after(t.CallLost(can_return=True), call=call).interrupted == "order_status"
    assert after(t.ReplyStarted(response_id="r2", purpose="pick_up"), call=call).interrupted == ""


def test_model_sessions_and_responses_are_known_by_their_ids() -> None:
    call = after(t.StsReady(session_id="s1"), t.StsRenewed(session_id="s2"), t.ReplyStarted(response_id="r1"))

    assert (call.sts_session_id, call.response_id) == ("s2", "r1")
    assert remember(call, t.ReplyStarted(response_id="r1")) is call


# -- what the caller said -------------------------------------------------------------------------


def test_transcript_is_marked_as_taken() -> None:
    call = after(t.UserTranscript(text="hello", item_id="u1"))

    assert (call.seen_items, call.turn, call.history) == (("u1",), 1, ())


def test_transcript_without_an_item_only_counts() -> None:
    assert after(t.UserTranscript(text="hello")) == replace(CALL, turn=1)
    assert remember(CALL, t.UserTranscript()) is CALL


def test_breath_is_no_turn() -> None:
    assert after(t.UserTranscript(item_id="u1")).turn == 0


def test_utterance_that_was_not_transcribed_keeps_its_place_for_late_text() -> None:
    call = after(t.UserTranscript(item_id="u1", reason="timed_out"))
    call = replace(call, history=(*call.history, Message(role="assistant", text="Yes?", item_id="a1")))

    call = after(t.UserTranscript(text="my order", item_id="u1"), call=call)

    assert [(m.role, m.text) for m in call.history] == [("caller", "my order"), ("assistant", "Yes?")]
    assert call.turn == 1


def test_repeated_transcript_changes_nothing() -> None:
    call = after(t.UserTranscript(text="hello", item_id="u1"))

    assert remember(call, t.UserTranscript(text="hello", item_id="u1")) is call
    assert remember(call, t.UserTranscript(item_id="u1")) is call


def test_items_taken_are_forgotten_in_the_end() -> None:
    call = after(*(t.UserTranscript(text="x", item_id=f"u{n}") for n in range(200)))

    assert len(call.seen_items) == 64
    assert call.seen_items[-1] == "u199"


# -- usage ----------------------------------------------------------------------------------------


def test_tokens_of_all_responses_are_added_up() -> None:
    usage = t.Usage(input_tokens=5, output_tokens=4, cached_tokens=3, input_audio_tokens=2, output_audio_tokens=1)

    call = after(
        t.ReplyFinished(item_id="a1"),
        t.ReplyFinished(item_id="a2", usage=usage),
        t.ReplyFailed(usage=usage),
        t.ToolCalled(usage=usage),
    )

    assert call.usage == t.Usage(
        input_tokens=15, output_tokens=12, cached_tokens=9, input_audio_tokens=6, output_audio_tokens=3
    )


# -- function calls -------------------------------------------------------------------------------


def test_function_call_waits_for_its_output_and_stands_in_the_history() -> None:
    call = after(t.ToolCalled(calls=(ORDERS,)))

    assert call.tool_calls == (ORDERS,)
    assert call.history == (Message(role="tool_call", text='{"order": 7}', item_id="c1", tool="orders"),)


def test_function_call_that_is_repeated_is_not_run_again() -> None:
    once = after(t.ToolCalled(calls=(ORDERS, ORDERS)))
    settled = settle(once, {"c1": "{}"})

    assert once.tool_calls == (ORDERS,)
    assert after(t.ToolCalled(calls=(ORDERS,)), call=once).tool_calls == (ORDERS,)
    assert after(t.ToolCalled(calls=(ORDERS,)), call=settled).tool_calls == ()


def test_settled_function_call_has_its_result_behind_it() -> None:
    call = settle(after(t.ToolCalled(calls=(ORDERS,))), {"c1": '{"ok": true}', "unknown": "{}"})

    assert call.tool_calls == ()
    assert call.tool_outputs == {"c1": '{"ok": true}'}
    assert call.history[-1] == Message(role="tool_result", text='{"ok": true}', item_id="c1", tool="orders")


def test_result_of_a_call_that_was_truncated_away_is_not_kept() -> None:
    call = settle(replace(CALL, tool_calls=(ORDERS,)), {"c1": "{}"})

    assert (call.history, call.tool_outputs) == ((), {"c1": "{}"})


def test_new_session_is_not_answered_what_the_lost_one_asked() -> None:
    call = after(t.ToolCalled(calls=(ORDERS,)), t.StsReady(session_id="s2"))

    assert (call.tool_calls, call.tool_outputs) == ((), EMPTY)
    assert call.history[-1].text == '{"error": "interrupted"}'


def test_function_calls_do_not_grow_without_bound() -> None:
    call = after(*(t.ToolCalled(calls=(t.ToolCall(call_id=f"c{n}", tool="x"),)) for n in range(40)))

    assert len(call.tool_calls) == 32


def test_every_call_of_one_response_waits_for_its_output() -> None:
    call = after(t.ToolCalled(calls=tuple(t.ToolCall(call_id=f"c{n}", tool="x") for n in range(40))))

    assert len(call.tool_calls) == 40


# -- agents and failures --------------------------------------------------------------------------


def test_what_an_agent_reached_is_kept() -> None:
    call = after(t.AgentProgress(data={"a": 1, "b": 1}), t.AgentProgress(data={"b": 2}))

    assert call.progress == {"a": 1, "b": 2}


def test_newest_of_too_many_entries_stay() -> None:
    many = merged({"old": 0}, {str(n): n for n in range(64)})

    assert len(many) == 64
    assert "old" not in many


def test_last_failure_is_kept_in_short() -> None:
    call = after(
        t.ActionFailed(name="error.action.transfer", error="no target"),
        t.InvokeFailed(name="error.invoke.agent", error="x" * 1000),
    )

    assert call.last_error.startswith("error.invoke.agent: xxx")
    assert len(call.last_error) == 300


# -- bots -----------------------------------------------------------------------------------------


def test_bot_knows_its_intents_by_name() -> None:
    bot = BotSettings(intents=({"name": "hours", "reply": "nine to five"}, {"name": "bye", "goodbye": True}))

    assert bot.intent("bye") == {"name": "bye", "goodbye": True}
    assert bot.intent("unknown") == EMPTY


def test_reasons_of_an_end_are_a_closed_vocabulary() -> None:
    assert len(END_REASONS) == 15


def test_empty_context_shares_its_empty_values() -> None:
    shared = [f.name for f in fields(CallContext) if getattr(CALL, f.name) is EMPTY]

    assert shared == ["counters", "entities", "progress", "tool_outputs", "metadata"]


def test_changed_context_differs_in_what_changed_alone() -> None:
    call = replace(CALL, turn=3, history=(Message(role="caller", text="hello"),))

    other = changed(call, turn=4, language="de")

    assert other == replace(call, turn=4, language="de")
    assert call.turn == 3


def test_context_has_no_facts_but_its_own() -> None:
    with pytest.raises(KeyError):
        changed(CALL, turns=4)  # type: ignore[call-arg]  # a typing error


def test_the_shared_nothing_stays_empty() -> None:
    with pytest.raises(TypeError, match="replaced, never changed"):
        CallContext().counters["silence"] = 1  # type: ignore[index]

    assert CallContext().counters == {}
