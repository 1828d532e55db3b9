"""What a call knows about itself: one frozen value, replaced and never changed; read by guards, made by reducers.

Three things must stay apart: `CallContext` is facts about the conversation (it is stored and replayed), `Snapshot`
(see `step.py`) adds the machine's own position, and `Session` is the running call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, get_args

from fsm import triggers as t
from fsm.history import Message, append

__all__ = [
    "BY_API", "EMPTY", "END_REASONS", "UNTOLD", "BotSettings", "CallContext", "EndReason", "changed", "merged",
    "remember", "settle",
]  # fmt: skip

EndReason = Literal[
    "caller_hung_up", "carrier_lost", "end_requested", "shutdown", "orphaned", "setup_timeout", "idle", "inactivity",
    "time_limit", "cost_limit", "sts_failed", "at_capacity", "transferred", "goodbye", "error",
]  # fmt: skip
"""Why a call ended."""
END_REASONS: frozenset[str] = frozenset(get_args(EndReason))


class _Nothing(dict[str, Any]):
    """An empty dict that stays empty: a value like any other to whoever makes JSON of it."""

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError("a call's facts are replaced, never changed")


EMPTY: Mapping[str, Any] = _Nothing()
"""Nothing, shared by all calls."""
BY_API = "api"
"""The carrier of a call that has none: its words come by API."""
UNTOLD = "untold_result"
"""In `progress`: an agent's result that the caller has not heard to its end."""
_TELLING = "told_by_item"  # in `progress`: the reply that tells it
_SEEN = 64  # item ids remembered so that a repeated transcript is recognised
_PENDING = 32  # function calls that may wait for their output
_ERROR = 300  # characters of an error that are kept
_ENTRIES = 64  # keys of what fronts and agents send
_INTENTS = 20  # wishes remembered, the newest


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

    def intent(self, name: str) -> Mapping[str, Any]:
        """Return the declared intent called `name`: `{examples, goodbye, agent, entities, reply …}`; else nothing."""
        return next((intent for intent in self.intents if intent.get("name") == name), EMPTY)


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
    """How often the caller has said something."""
    counters: Mapping[str, int] = field(default_factory=_nothing)
    seen_items: tuple[str, ...] = ()
    """Item ids of transcripts already taken, newest last."""
    intent: str = ""
    confidence: float = 0.0
    entities: Mapping[str, str] = field(default_factory=_nothing)
    missing: tuple[str, ...] = ()
    agent_type: str = ""
    intents: tuple[Mapping[str, Any], ...] = ()
    """Wishes that were understood, newest last: `{"intent", "confidence", "item_id"}`."""
    question: str = ""
    """What an agent asked and the caller has not answered yet."""
    interrupted: str = ""
    """The wish whose agent ended with the line, until the caller has been told; it is never run again by itself."""
    progress: Mapping[str, Any] = field(default_factory=_nothing)
    tool_calls: tuple[t.ToolCall, ...] = ()
    """Function calls that have no output yet."""
    tool_outputs: Mapping[str, str] = field(default_factory=_nothing)
    """Outputs, as JSON text, of the function calls that were settled last, by their ids; the model is to be told."""
    transfer_to: str = ""
    instructions: str | None = None
    voice: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=_nothing)
    metadata_version: int = 0
    """How often `metadata` was changed."""
    sts_session_id: str = ""
    conversation_id: str = ""
    response_id: str = ""
    usage: t.Usage = t.Usage()
    resumed_count: int = 0
    errors: int = 0
    last_error: str = ""
    end_reason: EndReason | Literal[""] = ""
    """Why it ended, or is about to; the first reason stays."""
    segments: tuple[t.SegmentReceived, ...] = ()
    outbox: tuple[Mapping[str, Any], ...] = ()
    """What is handed over after the call; rides in the commit that closes it."""
    created_at: float = 0.0
    """Seconds since the epoch."""

    def knows_tool_call(self, call_id: str) -> bool:
        """Whether the model's function call has been taken: it is pending, or stands in the history."""
        return any(c.call_id == call_id for c in self.tool_calls) or any(
            m.item_id == call_id and m.role == "tool_call" for m in self.history
        )


if TYPE_CHECKING:
    from dataclasses import replace as changed  # checks names and types of what changes
else:

    def changed(call: CallContext, **facts: Any) -> CallContext:
        """Return `call` with other `facts`, as `dataclasses.replace` does, in a fifth of its time: steps are many."""
        other = object.__new__(CallContext)
        for write, value in zip(_WRITERS.values(), _read(call), strict=True):
            write(other, value)
        for name, value in facts.items():
            _WRITERS[name](other, value)
        return other


_NAMES = tuple(f.name for f in fields(CallContext))
_read = attrgetter(*_NAMES)
_WRITERS: dict[str, Callable[[CallContext, Any], None]] = {n: getattr(CallContext, n).__set__ for n in _NAMES}


def remember(call: CallContext, trigger: t.Trigger) -> CallContext:
    """Fold `trigger` into the bookkeeping that no chart need name. Runs after the guards, before the actions."""
    fold = _FOLDS.get(type(trigger))
    return call if fold is None else fold(call, trigger)


def settle(call: CallContext, outputs: Mapping[str, str]) -> CallContext:
    """Give pending function calls their outputs: none of them is pending any more, and the history has the results.

    Args:
        call: the call.
        outputs: JSON text by the calls' ids; calls that are not pending are left out.
    """
    settled = tuple(c for c in call.tool_calls if c.call_id in outputs)
    told = {message.item_id for message in call.history if message.role == "tool_call"}
    history = call.history
    for tool in settled:
        if tool.call_id in told:
            result = Message(role="tool_result", text=outputs[tool.call_id], item_id=tool.call_id, tool=tool.tool)
            history = append(history, result)
    return changed(
        call,
        history=history,
        tool_calls=tuple(c for c in call.tool_calls if c.call_id not in outputs),
        tool_outputs={c.call_id: outputs[c.call_id] for c in settled},
    )


def merged(known: Mapping[str, Any], news: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `known` with `news`; None takes a key away (RFC 7396), and of too many keys the oldest go."""
    both = {key: value for key, value in {**known, **news}.items() if value is not None}
    return both if len(both) <= _ENTRIES else dict(list(both.items())[-_ENTRIES:])


def _ready(call: CallContext, trigger: t.StsReady) -> CallContext:
    """Begin another conversation with the model: it cannot take the outputs of an earlier one's function calls."""
    interrupted = {c.call_id: '{"error": "interrupted"}' for c in call.tool_calls}
    call = settle(call, interrupted) if interrupted else call
    return changed(call, sts_session_id=trigger.session_id, tool_outputs=EMPTY)


def _renewed(call: CallContext, trigger: t.StsRenewed) -> CallContext:
    return changed(call, sts_session_id=trigger.session_id)


def _reply_started(call: CallContext, trigger: t.ReplyStarted) -> CallContext:
    if call.interrupted and trigger.purpose == "pick_up":
        call = changed(call, interrupted="")  # the caller hears of it
    if UNTOLD in call.progress and trigger.purpose in ("result", "pick_up"):
        call = changed(call, progress=merged(call.progress, {_TELLING: trigger.item_id}))
    if trigger.response_id == call.response_id:
        return call
    conversation = trigger.conversation_id or call.conversation_id
    return changed(call, response_id=trigger.response_id, conversation_id=conversation)


def _intent_detected(call: CallContext, trigger: t.IntentDetected) -> CallContext:
    if not trigger.intent:
        return call
    wish = {"intent": trigger.intent, "confidence": round(trigger.confidence, 4), "item_id": trigger.item_id}
    return changed(call, intents=(*call.intents[1 - _INTENTS :], wish))


def _reply_finished(call: CallContext, trigger: t.ReplyFinished) -> CallContext:
    if not trigger.interrupted and trigger.item_id and call.progress.get(_TELLING) == trigger.item_id:
        call = _told(call)
    return _reply_ended(call, trigger)


def _told(call: CallContext) -> CallContext:
    return changed(call, progress=merged(call.progress, {UNTOLD: None, _TELLING: None}))


def _reply_ended(call: CallContext, trigger: t.ReplyFinished | t.ReplyFailed) -> CallContext:
    return call if trigger.usage is None else changed(call, usage=_sum(call.usage, trigger.usage))


def _tool_called(call: CallContext, trigger: t.ToolCalled) -> CallContext:
    """Keep the function calls that are new, pending and in the history; one that is repeated is not run again."""
    fresh = {c.call_id: c for c in trigger.calls if not call.knows_tool_call(c.call_id)}
    history = call.history
    for tool in fresh.values():
        asked = Message(role="tool_call", text=tool.arguments, item_id=tool.call_id, tool=tool.tool)
        history = append(history, asked)
    pending = (*call.tool_calls, *fresh.values())[-max(_PENDING, len(fresh)) :]  # each call of a response is answered
    usage = call.usage if trigger.usage is None else _sum(call.usage, trigger.usage)
    return changed(call, history=history, tool_calls=pending, usage=usage)


def _transcript(call: CallContext, trigger: t.UserTranscript) -> CallContext:
    """Mark the item as taken. One without text keeps its place in the history, and late text fills it."""
    if trigger.text and UNTOLD in call.progress:
        call = _told(call)  # the caller speaks of something else, or has heard enough
    if not trigger.item_id:
        return changed(call, turn=call.turn + 1) if trigger.text else call
    said = Message(role="caller", text=trigger.text, item_id=trigger.item_id)
    if trigger.item_id not in call.seen_items:
        history = append(call.history, said) if trigger.reason else call.history
        seen = (*call.seen_items[1 - _SEEN :], trigger.item_id)
        return changed(call, history=history, seen_items=seen, turn=call.turn + bool(trigger.text or trigger.reason))
    if trigger.text and any(m.item_id == said.item_id and m.role == "caller" and not m.text for m in call.history):
        return changed(call, history=append(call.history, said))
    return call


def _agent_progress(call: CallContext, trigger: t.AgentProgress) -> CallContext:
    return changed(call, progress=merged(call.progress, trigger.data))


def _agent_completed(call: CallContext, trigger: t.AgentCompleted) -> CallContext:
    """Keep the result until the caller has heard it: the line may break in between."""
    return changed(call, progress=merged(call.progress, {UNTOLD: trigger.result})) if trigger.result else call


def _failed(call: CallContext, trigger: t.ActionFailed | t.InvokeFailed) -> CallContext:
    return changed(call, last_error=f"{trigger.name}: {trigger.error}"[:_ERROR])


def _started(call: CallContext, trigger: t.CallStarted) -> CallContext:
    return changed(
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
    return changed(call, stream_id=trigger.stream_id, media_format=trigger.media_format)


def _sum(a: t.Usage, b: t.Usage) -> t.Usage:
    return t.Usage(**{name: getattr(a, name) + getattr(b, name) for name in _TOKENS})


_TOKENS = tuple(f.name for f in fields(t.Usage))
_FOLDS: dict[type[t.Trigger], Callable[[CallContext, Any], CallContext]] = {
    t.StsReady: _ready,
    t.StsRenewed: _renewed,
    t.ReplyStarted: _reply_started,
    t.ReplyFinished: _reply_finished,
    t.ReplyFailed: _reply_ended,
    t.ToolCalled: _tool_called,
    t.UserTranscript: _transcript,
    t.AgentProgress: _agent_progress,
    t.AgentCompleted: _agent_completed,
    t.IntentDetected: _intent_detected,
    t.ActionFailed: _failed,
    t.InvokeFailed: _failed,
    t.CallStarted: _started,
    t.CallResumed: _resumed,
}
