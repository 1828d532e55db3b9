"""Reducers: what a call knows afterwards. Pure: they compute a new context and touch nothing else."""

from __future__ import annotations

import json
from bisect import insort
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fsm.context import END_REASONS, CallContext, EndReason, changed, merged, settle
from fsm.history import Message, append, newest
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
    InvokeFailed,
    ReplyFinished,
    SegmentReceived,
    SessionConfigured,
    SessionEndRequested,
    SessionShutdown,
    StsFailed,
    ToolCalled,
    TransferRequested,
    Trigger,
    UserIdle,
    UserTranscript,
)

__all__ = [
    "append_history", "count_error", "count_resume", "count_retry", "forget_question", "forget_transfer", "hand_over",
    "merge_segment", "note_answered", "note_end", "note_intent", "note_question", "note_transfer", "reset_retries",
    "settle_agent", "settle_tools", "truncate_history", "update_context",
]  # fmt: skip

_SEGMENTS = 20  # newest pieces of a transcript from elsewhere that a call has at hand; its journal has all


# -- what was said --------------------------------------------------------------------------------


def append_history(call: CallContext, trigger: UserTranscript | ReplyFinished | CallEnded | CallLost) -> CallContext:
    """Keep what the caller said, or what was heard of our replies; a reply of which nothing was heard is not kept."""
    match trigger:
        case UserTranscript():
            said: list[Message] = [Message(role="caller", text=trigger.text, item_id=trigger.item_id)]
        case ReplyFinished():
            said = [_heard(trigger)]
        case _:
            said = [_heard(reply) for reply in trigger.replies]
    history = call.history
    for message in said:
        history = append(history, message) if message.text.strip() else history
    return call if history is call.history else changed(call, history=history)


def _heard(reply: ReplyFinished | HeardReply) -> Message:
    return Message(role="assistant", text=reply.text, item_id=reply.item_id, interrupted=reply.interrupted)


def truncate_history(call: CallContext, trigger: Trigger, *, keep: int = 20) -> CallContext:
    """Keep the newest `keep` messages; a tool call is never kept without its result, nor the reverse."""
    return call if len(call.history) <= keep else changed(call, history=newest(call.history, keep))


def merge_segment(call: CallContext, trigger: SegmentReceived) -> CallContext:
    """Put a piece of transcript in its place, by `seq`; one that comes again replaces the earlier one."""
    segments = [known for known in call.segments if known.id != trigger.id]
    insort(segments, trigger, key=lambda segment: segment.seq)
    return changed(call, segments=tuple(segments[-_SEGMENTS:]))


# -- counters -------------------------------------------------------------------------------------


def count_retry(call: CallContext, trigger: Trigger, *, counter: str) -> CallContext:
    """Count one more attempt."""
    return changed(call, counters={**call.counters, counter: call.counters.get(counter, 0) + 1})


def reset_retries(call: CallContext, trigger: Trigger, *, counter: str) -> CallContext:
    """Start to count anew."""
    if counter not in call.counters:
        return call
    return changed(call, counters={name: count for name, count in call.counters.items() if name != counter})


def count_resume(call: CallContext, trigger: CallResumed) -> CallContext:
    """Count that the caller has come back."""
    return changed(call, resumed_count=call.resumed_count + 1)


def count_error(call: CallContext, trigger: Trigger) -> CallContext:
    """Count something that went wrong and does not end the call."""
    return changed(call, errors=call.errors + 1)


# -- notes ----------------------------------------------------------------------------------------


def note_answered(call: CallContext, trigger: CallStarted) -> CallContext:
    """Keep that the caller was connected."""
    return changed(call, answered=True)


def note_intent(call: CallContext, trigger: IntentDetected) -> CallContext:
    """Keep what the caller wants; a wish that was not understood leaves an earlier, unfinished one as it is."""
    if not trigger.intent:
        return changed(call, confidence=trigger.confidence)
    return changed(
        call,
        intent=trigger.intent,
        confidence=trigger.confidence,
        entities=merged({}, trigger.entities),
        missing=trigger.missing,
        agent_type=trigger.agent_type,
    )


def note_question(call: CallContext, trigger: AgentNeedsInfo) -> CallContext:
    """Keep what an agent asks, until the caller has answered."""
    return changed(call, question=trigger.question)


def forget_question(call: CallContext, trigger: Trigger) -> CallContext:
    """Forget what an agent asked: the caller has answered."""
    return changed(call, question="") if call.question else call


def note_transfer(call: CallContext, trigger: TransferRequested) -> CallContext:
    """Keep who is to take the call over."""
    return changed(call, transfer_to=trigger.target)


def forget_transfer(call: CallContext, trigger: Trigger) -> CallContext:
    """Give up a transfer: the call goes on with us."""
    return changed(call, transfer_to="", end_reason="")


def update_context(call: CallContext, trigger: SessionConfigured | AgentProgress) -> CallContext:
    """Take what a front or an agent tells us about the call; what it leaves out stays."""
    if isinstance(trigger, AgentProgress):
        return changed(call, progress=merged(call.progress, trigger.data))
    return changed(
        call,
        instructions=call.instructions if trigger.instructions is None else trigger.instructions,
        voice=call.voice if trigger.voice is None else trigger.voice,
        language=call.language if trigger.language is None else trigger.language,
        metadata=merged(call.metadata, trigger.metadata) if trigger.metadata else call.metadata,
        metadata_version=call.metadata_version + bool(trigger.metadata),
    )


# -- agents and function calls --------------------------------------------------------------------


def settle_agent(call: CallContext, trigger: Trigger) -> CallContext:
    """Forget the errand of an agent that is over: its question, and what it still needed.

    One that the loss of the line has cut is given up: the caller is told, and may ask again.
    """
    settled = changed(call, question="", agent_type="", missing=())
    if isinstance(trigger, CallLost):
        tool = call.tool_calls[-1].tool if call.tool_calls else ""
        return changed(settled, interrupted=tool or call.intent or "something")
    return settled


def settle_tools(call: CallContext, trigger: Trigger) -> CallContext:
    """Give pending function calls their outputs, whatever became of them; `answer_tools` sends them.

    Under `tool.called` only the calls that it brings are refused; under anything else all that are pending end.
    """
    calls = trigger.calls if isinstance(trigger, ToolCalled) else call.tool_calls
    return settle(call, {tool.call_id: _output(tool.call_id, trigger) for tool in calls})


def _output(call_id: str, trigger: Trigger) -> str:
    """Return the output of a function call, as JSON text, by what ended it."""
    match trigger:
        case AgentCompleted(result=result, data=data):
            outputs: Mapping[str, Any] = data.get("tool_outputs", {})
            output = outputs.get(call_id, {"result": result})
        case AgentFailed(reason=reason):
            output = {"error": reason or "failed"}
        case InvokeFailed():
            output = {"error": "failed"}
        case After():
            output = {"error": "timed out"}
        case ToolCalled():
            output = {"error": "refused", "message": "Not now. Do not call it again; talk to the caller."}
        case _:
            output = {"error": "interrupted"}
    return json.dumps(output, ensure_ascii=False, default=str)


# -- the end --------------------------------------------------------------------------------------

_ENDS: Mapping[type[Trigger], EndReason] = {
    CallStarted: "at_capacity",
    CallResumed: "carrier_lost",
    CallEnded: "caller_hung_up",
    CallLost: "carrier_lost",
    CallTransferred: "transferred",
    SessionEndRequested: "end_requested",
    SessionShutdown: "shutdown",
    UserIdle: "idle",
    StsFailed: "sts_failed",
    ActionFailed: "error",
    InvokeFailed: "error",
    After: "error",
}
_LIMITS: Mapping[str, EndReason] = {"time": "time_limit", "cost": "cost_limit", "inactivity": "inactivity"}


def note_end(call: CallContext, trigger: Trigger, *, reason: EndReason | None = None) -> CallContext:
    """Keep why the call ends, unless it is known already; without `reason`, what has just happened tells it."""
    if call.end_reason or (reason is None and isinstance(trigger, TransferRequested)):
        return call  # a transfer may still fail: then the call goes on
    return changed(call, end_reason=reason or _end_reason(trigger))


def _end_reason(trigger: Trigger) -> EndReason:
    match trigger:
        case CallOverLimit(limit=limit):
            return _LIMITS.get(limit, "error")
        case CallEnded(reason=told) | CallLost(reason=told) | SessionEndRequested(reason=told) if told in END_REASONS:
            return told  # type: ignore[return-value]  # it is one of them
        case _:
            return _ENDS.get(type(trigger), "goodbye")


def hand_over(call: CallContext, trigger: Trigger) -> CallContext:
    """Leave word of the call for the work after it; once, and not of a call that was never answered."""
    if not call.answered or any(entry["kind"] == "call.over" for entry in call.outbox):
        return call
    entry = {
        "kind": "call.over",
        "call_id": call.call_id,
        "bot": call.bot.name,
        "carrier": call.carrier,
        "language": call.language,
        "end_reason": call.end_reason,
        "created_at": call.created_at,
        "turns": call.turn,
        "resumed_count": call.resumed_count,
        "errors": call.errors,
        "usage": asdict(call.usage),
    }
    return changed(call, outbox=(*call.outbox, entry))
