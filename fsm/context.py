"""What a call knows about itself: one frozen value, replaced and never changed; read by guards, made by reducers.

Three things must stay apart: `CallContext` is facts about the conversation (it is stored and replayed), `Snapshot`
(see `step.py`) adds the machine's own position, and `Session` is the running call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from fsm import triggers as t
from fsm.history import Message, append

__all__ = ["EMPTY", "BotSettings", "CallContext", "remember"]

EMPTY: Mapping[str, Any] = MappingProxyType({})
"""Nothing, shared by all calls."""
_SEEN = 64  # item ids remembered so that a repeated transcript is recognised


def _nothing() -> Mapping[str, Any]:
    return EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class BotSettings:
    """What the chart leaves open, as its bot fills it (see `bots.py`); one value shared by a bot's calls."""

    name: str = "default"
    instructions: str = "You are a friendly telephone assistant. Keep every answer short."
    greeting: str = "Greet the caller briefly and ask how you can help."
    voice: str = "marin"
    language: str = "en"
    model: str = ""
    """Empty: the setting OPENAI_REALTIME_MODEL decides."""
    transcription_model: str = "gpt-transcribe"
    turn_detection: Mapping[str, Any] = field(default_factory=_nothing)
    tools: tuple[Mapping[str, Any], ...] = ()
    intents: tuple[Mapping[str, Any], ...] = ()
    idle_after: float = 10.0
    """Seconds without either side being heard that make a `user.idle`."""
    longest_call: float = 0.0
    """Seconds; 0: no limit."""
    largest_cost: float = 0.0
    """US dollars; 0: no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """The facts of one call."""

    call_id: str = ""
    carrier: str = ""
    caller: str = ""
    called: str = ""
    stream_id: str = ""
    media_format: str = ""
    bot: BotSettings = BotSettings()
    language: str = "en"
    answered: bool = False
    history: tuple[Message, ...] = ()
    turn: int = 0
    counters: Mapping[str, int] = field(default_factory=_nothing)
    seen_items: tuple[str, ...] = ()
    """Item ids of transcripts already taken, newest last."""
    intent: str = ""
    confidence: float = 0.0
    entities: Mapping[str, str] = field(default_factory=_nothing)
    missing: tuple[str, ...] = ()
    agent_type: str = ""
    question: str = ""
    """What an agent asked and the caller has not answered yet."""
    progress: Mapping[str, Any] = field(default_factory=_nothing)
    tool_calls: tuple[t.ToolCall, ...] = ()
    """Function calls that have no output yet."""
    transfer_to: str = ""
    instructions: str | None = None
    voice: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=_nothing)
    sts_session_id: str = ""
    response_id: str = ""
    usage: t.Usage = t.Usage()
    resumed_count: int = 0
    errors: int = 0
    last_error: str = ""
    end_reason: str = ""
    segments: tuple[t.SegmentReceived, ...] = ()
    outbox: tuple[Mapping[str, Any], ...] = ()
    """What is handed over after the call; rides in the commit that closes it."""
    created_at: float = 0.0
    """Seconds since the epoch."""


def remember(call: CallContext, trigger: t.Trigger) -> CallContext:
    """Fold `trigger` into the bookkeeping that no chart need name. Runs after the guards, before the actions."""
    fold = _FOLDS.get(type(trigger))
    return call if fold is None else fold(call, trigger)


def _session(call: CallContext, trigger: t.StsReady | t.StsRenewed) -> CallContext:
    return replace(call, sts_session_id=trigger.session_id)


def _reply_started(call: CallContext, trigger: t.ReplyStarted) -> CallContext:
    return replace(call, response_id=trigger.response_id)


def _reply_ended(call: CallContext, trigger: t.ReplyFinished | t.ReplyFailed) -> CallContext:
    return call if trigger.usage is None else replace(call, usage=_sum(call.usage, trigger.usage))


def _tool_called(call: CallContext, trigger: t.ToolCalled) -> CallContext:
    known = {c.call_id for c in call.tool_calls}
    fresh = tuple(c for c in trigger.calls if c.call_id not in known)
    return replace(call, tool_calls=(*call.tool_calls, *fresh), usage=_sum(call.usage, trigger.usage))


def _transcript(call: CallContext, trigger: t.UserTranscript) -> CallContext:
    """Mark the item as taken. One without text keeps its place in the history, and late text fills it."""
    if not trigger.item_id:
        return call
    said = Message(role="caller", text=trigger.text, item_id=trigger.item_id)
    if trigger.item_id not in call.seen_items:
        history = append(call.history, said) if trigger.reason else call.history
        return replace(call, history=history, seen_items=(*call.seen_items[1 - _SEEN :], trigger.item_id))
    if trigger.text and any(m.item_id == said.item_id and m.role == "caller" and not m.text for m in call.history):
        return replace(call, history=append(call.history, said))
    return call


def _agent_progress(call: CallContext, trigger: t.AgentProgress) -> CallContext:
    return replace(call, progress={**call.progress, **trigger.data})


def _failed(call: CallContext, trigger: t.ActionFailed | t.InvokeFailed) -> CallContext:
    return replace(call, last_error=f"{trigger.name}: {trigger.error}")


def _started(call: CallContext, trigger: t.CallStarted) -> CallContext:
    return replace(
        call,
        carrier=trigger.carrier or call.carrier,
        caller=trigger.caller or call.caller,
        called=trigger.called or call.called,
        stream_id=trigger.stream_id,
        media_format=trigger.media_format,
    )


def _resumed(call: CallContext, trigger: t.CallResumed) -> CallContext:
    if not trigger.proof:
        return call
    return replace(call, stream_id=trigger.stream_id, media_format=trigger.media_format)


def _sum(a: t.Usage, b: t.Usage | None) -> t.Usage:
    return a if b is None else t.Usage(**{f.name: getattr(a, f.name) + getattr(b, f.name) for f in fields(t.Usage)})


_FOLDS: dict[type[t.Trigger], Callable[[CallContext, Any], CallContext]] = {
    t.StsReady: _session,
    t.StsRenewed: _session,
    t.ReplyStarted: _reply_started,
    t.ReplyFinished: _reply_ended,
    t.ReplyFailed: _reply_ended,
    t.ToolCalled: _tool_called,
    t.UserTranscript: _transcript,
    t.AgentProgress: _agent_progress,
    t.ActionFailed: _failed,
    t.InvokeFailed: _failed,
    t.CallStarted: _started,
    t.CallResumed: _resumed,
}
