"""Everything that can happen to a call, as frozen values. The names are the events of the chart.

A trigger says what happened, never what to do about it: the chart decides that. Fields are JSON-able, so that a
journal can be replayed and an API can post one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from fsm.carried import HeardReply, ToolCall, Usage

__all__ = [
    "TRIGGERS", "ActionFailed", "After", "AgentCompleted", "AgentFailed", "AgentNeedsInfo", "AgentProgress",
    "AgentSaid", "CallDtmf", "CallEnded", "CallLost", "CallOverLimit", "CallResumed", "CallStarted",
    "CallTransferred", "HeardReply", "IntentDetected", "InvokeDone", "InvokeFailed", "PlaybackFinished",
    "ReplyFailed", "ReplyFinished", "ReplyStarted", "SegmentReceived", "SessionConfigured", "SessionEndRequested",
    "SessionShutdown", "StsFailed", "StsReady", "StsRenewed", "ToolCall", "ToolCalled", "TransferRequested",
    "Trigger", "Usage", "UserIdle", "UserSilent", "UserSpeaking", "UserTranscript",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Something that happened."""

    name: ClassVar[str] = ""
    attaches: ClassVar[bool] = False
    """Whether it brings a carrier's socket: no event of that socket may overtake it."""


# -- the carrier ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Trigger):
    """The call's first media socket is there."""

    name = "call.started"
    attaches = True
    carrier: str = ""
    caller: str = ""
    called: str = ""
    stream_id: str = ""
    media_format: str = ""
    at_capacity: bool = False
    """No slot was free, or the process drains: the caller is told so."""
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResumed(Trigger):
    """Another media socket for a call that has had one."""

    name = "call.resumed"
    attaches = True
    carrier: str = ""
    stream_id: str = ""
    media_format: str = ""
    proof: bool = False
    """It showed our token or the carrier's signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Trigger):
    """The carrier says that the call is over."""

    name = "call.ended"
    reason: str = "caller_hung_up"
    """One of `fsm.context.EndReason`; `transferred` where the carrier ends the stream because of a transfer."""
    replies: tuple[HeardReply, ...] = ()
    """What was heard of the replies that were playing or queued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLost(Trigger):
    """The carrier's socket is gone without a word; also the first trigger of a call loaded after a crash."""

    name = "call.lost"
    can_return: bool = False
    reason: str = "carrier_lost"
    replies: tuple[HeardReply, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDtmf(Trigger):
    """The caller pressed keys."""

    name = "call.dtmf"
    digits: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTransferred(Trigger):
    """The carrier has taken the caller to somebody else."""

    name = "call.transferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOverLimit(Trigger):
    """The call has reached one of its bot's limits."""

    name = "call.over_limit"
    limit: Literal["time", "cost", "inactivity"] = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRequested(Trigger):
    """An agent, a tool or the API wants a human to take over."""

    name = "transfer.requested"
    target: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentReceived(Trigger):
    """A piece of transcript that comes from elsewhere."""

    name = "segment.received"
    id: str = ""
    seq: int = 0
    text: str = ""
    start_ms: int | None = None
    end_ms: int | None = None
    final: bool = True


# -- the model ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StsReady(Trigger):
    """The model's session is open and has confirmed our formats."""

    name = "sts.ready"
    session_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StsRenewed(Trigger):
    """The model's session was rolled over to a new one; the conversation goes on."""

    name = "sts.renewed"
    session_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StsFailed(Trigger):
    """The model is given up: every attempt failed, or the error was fatal."""

    name = "sts.failed"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpeaking(Trigger):
    """The caller started to speak, possibly over a reply."""

    name = "user.speaking"
    item_id: str | None = None
    """The reply that was playing, if any."""
    heard_ms: int = 0
    """How much of it the caller has heard, as acknowledged by the carrier, in milliseconds."""
    utterance_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSilent(Trigger):
    """The caller stopped speaking. `user.transcript` follows within 3 s."""

    name = "user.silent"
    utterance_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIdle(Trigger):
    """Neither side has been heard for the bot's `idle_after`; repeats."""

    name = "user.idle"
    idle_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTranscript(Trigger):
    """What the caller said. Blank, or with a `reason`, if transcription gave nothing."""

    name = "user.transcript"
    text: str = ""
    item_id: str = ""
    reason: str = ""
    """Why there is no text: `failed`, `timed_out`; empty if there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyStarted(Trigger):
    """The first audio of a reply's item has come from the model."""

    name = "reply.started"
    response_id: str = ""
    conversation_id: str = ""
    item_id: str = ""
    purpose: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyFinished(Trigger):
    """A reply's item was heard to its end, or was cut; once per item."""

    name = "reply.finished"
    response_id: str = ""
    item_id: str = ""
    text: str = ""
    """As far as it was heard."""
    heard_ms: int = 0
    interrupted: bool = False
    usage: Usage | None = None
    """What the response cost; on the last of its items only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyFailed(Trigger):
    """A response ended without speech, by the model's fault. A cancelled one is not failed."""

    name = "reply.failed"
    response_id: str = ""
    reason: str = ""
    purpose: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackFinished(Trigger):
    """Everything that was queued has been heard, and no more is coming."""

    name = "playback.finished"
    item_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCalled(Trigger):
    """The model asks for functions: once per response, with all of its calls."""

    name = "tool.called"
    response_id: str = ""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None


# -- intents and agents ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentDetected(Trigger):
    """What the caller wants, as far as it can be told."""

    name = "intent.detected"
    intent: str = ""
    confidence: float = 0.0
    """0 to 1."""
    entities: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """Entities the intent's agent needs and the caller has not said."""
    requires_agent: bool = False
    agent_type: str = ""
    item_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentNeedsInfo(Trigger):
    """The agent asks the caller something."""

    name = "agent.needs_info"
    question: str = ""
    slot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentProgress(Trigger):
    """The agent tells what it has reached; kept in the call's context, not spoken."""

    name = "agent.progress"
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSaid(Trigger):
    """The agent wants something said."""

    name = "agent.said"
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCompleted(Trigger):
    """The agent is done; the result is to be spoken."""

    name = "agent.completed"
    result: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFailed(Trigger):
    """The agent gave up."""

    name = "agent.failed"
    reason: str = ""


# -- operators ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEndRequested(Trigger):
    """Somebody asked for the end of this call."""

    name = "session.end_requested"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionShutdown(Trigger):
    """The process stops, and the grace period is over."""

    name = "session.shutdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfigured(Trigger):
    """A front sent a job: how to speak, and what to know. None leaves a thing as it is."""

    name = "session.configured"
    instructions: str | None = None
    voice: str | None = None
    language: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


# -- what the machine itself reports --------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class After(Trigger):
    """A timer of an active node is due. Named `after.<delay>`."""

    name: str  # type: ignore[misc]  # a field here, a class attribute elsewhere
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeDone(Trigger):
    """A service ended without a trigger of its own. Named `done.invoke.<id>`."""

    name: str  # type: ignore[misc]  # as above


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeFailed(Trigger):
    """A service raised. Named `error.invoke.<id>`."""

    name: str  # type: ignore[misc]  # as above
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFailed(Trigger):
    """An action raised or outlasted its deadline. Named `error.action.<action>`."""

    name: str  # type: ignore[misc]  # as above
    error: str = ""
    timed_out: bool = False


TRIGGERS: tuple[type[Trigger], ...] = (
    CallStarted, CallEnded, CallLost, CallResumed, CallDtmf, CallTransferred, CallOverLimit, TransferRequested,
    SegmentReceived, StsReady, StsRenewed, StsFailed, UserSpeaking, UserSilent, UserIdle, UserTranscript,
    ReplyStarted, ReplyFinished, ReplyFailed, PlaybackFinished, ToolCalled, IntentDetected, AgentNeedsInfo,
    AgentProgress, AgentSaid, AgentCompleted, AgentFailed, SessionEndRequested, SessionShutdown, SessionConfigured,
)  # fmt: skip
