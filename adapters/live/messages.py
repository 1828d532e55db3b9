"""Every message of the live sockets, both ways, as a schema; `docs/live.md` shows one example of each.

All have one shape, `{"type", "call_id", "data"}`, and those that can be resumed after have an `id`. Servers send what
stands under `ServerMessage`; a front sends what stands under `FrontMessage`. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter

from adapters.http.api.shapes import Values

__all__ = ["FRONT", "LARGEST", "SERVER", "FrontMessage", "Job", "ServerMessage", "type_names"]

LARGEST = 64 * 1024
"""Bytes of one message of a front."""
_ID = 128  # characters of a call id, a number or a token


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class _FromServer(_Part):
    id: str = ""
    """Resume after it: `Last-Event-ID`, or `?after=`."""
    call_id: str | None


class _Moment(_Part):
    seq: int
    """Of the call's step."""
    at: str


# -- what a server sends --------------------------------------------------------------------------


class Transition(_FromServer):
    """A step of the call; `from` is empty for the first, and equals `to` where no state was left."""

    class Data(_Moment):
        event: str
        from_: str = Field(alias="from")
        to: str

    type: Literal["transition"]
    data: Data


class StatusChanged(_FromServer):
    """The call has another status. `ended` and `error` are told once the end is durable, and are the last of a call."""

    class Data(_Moment):
        status: Literal["initiated", "active", "ended", "error"]
        sessionId: str  # the name that fronts know
        streamSid: str
        endReason: str
        state: str

    type: Literal["call.status_changed"]
    data: Data


class TranscriptUpdated(_FromServer):
    """Something was said, or is known better; one with the same role and item_id replaces what it said before."""

    class Data(_Moment):
        role: Literal["caller", "assistant", "agent", "tool_call", "tool_result", "segment"]
        text: str
        item_id: str
        interrupted: bool
        tool: str = ""
        final: bool = True
        start_ms: int | None = None
        end_ms: int | None = None

    type: Literal["transcript.updated"]
    data: Data


class IntentDetected(_FromServer):
    """What the caller wants, as it was understood."""

    class Data(_Moment):
        intent: str
        confidence: float
        entities: dict[str, Any]
        missing: list[str]
        requires_agent: bool
        agent_type: str

    type: Literal["intent.detected"]
    data: Data


class AgentNeedsInfo(_FromServer):
    """An agent asks the caller something."""

    class Data(_Moment):
        question: str
        slot: str

    type: Literal["agent.needs_info"]
    data: Data


class AgentProgress(_FromServer):
    """What an agent has reached."""

    class Data(_Moment):
        progress: dict[str, Any]

    type: Literal["agent.progress"]
    data: Data


class AgentSaid(_FromServer):
    """An agent wants this said."""

    class Data(_Moment):
        text: str

    type: Literal["agent.said"]
    data: Data


class AgentCompleted(_FromServer):
    """An agent is done."""

    class Data(_Moment):
        result: str

    type: Literal["agent.completed"]
    data: Data


class AgentFailed(_FromServer):
    """An agent gave up."""

    class Data(_Moment):
        reason: str

    type: Literal["agent.failed"]
    data: Data


class ToolCalled(_FromServer):
    """The model asks for functions; their arguments and results are in the transcript."""

    class Tool(_Part):
        tool: str
        id: str

    class Data(_Moment):
        tools: list[ToolCalled.Tool]

    type: Literal["tool.called"]
    data: Data


class Trouble(_FromServer):
    """Something failed in the call (it has `seq`), or what a front sent cannot be used (it says what to do)."""

    class Data(_Part):
        message: str
        code: str
        seq: int | None = None
        at: str

    type: Literal["error"]
    data: Data


class Snapshot(_FromServer):
    """How things are now: first after connecting, and wherever events were missed that cannot be told again.

    Of one call: its document and all that was said; of all: those that are not over.
    """

    class OneCall(_Part):
        call: dict[str, Any]
        transcript: list[dict[str, Any]]

    class AllCalls(_Part):
        calls: list[dict[str, Any]]

    type: Literal["snapshot"]
    data: OneCall | AllCalls


class Heartbeat(_FromServer):
    """The connection lives; after 15 s of silence, and in answer to a `ping`."""

    class Data(_Part):
        at: str

    type: Literal["heartbeat"]
    data: Data


class Waiting(_FromServer):
    """A front waits for a call; a token is used up by the first call that shows it."""

    class Data(_Part):
        by: Literal["call_id", "called", "token"]
        value: str

    type: Literal["waiting"]
    data: Data


class Bound(_FromServer):
    """A front hears this call from now on, and configures it."""

    class Data(_Part):
        by: Literal["call_id", "called", "token"]

    type: Literal["bound"]
    data: Data


class Configured(_FromServer):
    """A job configuration was taken: by the call (`seq`: its step), or it waits for one (`expires_in` seconds)."""

    class Data(_Part):
        applied: bool
        seq: int | None = None
        expires_in: float | None = None
        ignored: list[str] = []

    type: Literal["configured"]
    data: Data


class ConfigurationDropped(_FromServer):
    """A configuration that waited for a call will reach none."""

    class Data(_Part):
        why: Literal["expired", "replaced"]

    type: Literal["configuration.dropped"]
    data: Data


ServerMessage: TypeAlias = Annotated[
    Transition | StatusChanged | TranscriptUpdated | IntentDetected | AgentNeedsInfo | AgentProgress | AgentSaid
    | AgentCompleted | AgentFailed | ToolCalled | Trouble | Snapshot | Heartbeat | Waiting | Bound | Configured
    | ConfigurationDropped,
    Field(discriminator="type"),
]  # fmt: skip

# -- what a front sends ---------------------------------------------------------------------------


class Job(_Part):
    """How the call is to be conducted; what is left out stays as it is."""

    instructions: str | None = Field(None, max_length=32_000)
    voice: str | None = Field(None, min_length=1, max_length=64)
    language: str | None = Field(None, min_length=2, max_length=35)
    metadata: Values = Field(default_factory=dict, max_length=64)


class Configure(_Part):
    """A job configuration, for the call that the front is bound to, or waits for, or names."""

    type: Literal["configure"]
    call_id: str | None = Field(None, min_length=1, max_length=_ID)
    data: Job


class SessionUpdate(_Part):
    """A job configuration under the names of the model's own API; what is not listed here is ignored, and named."""

    class Session(BaseModel):
        model_config = ConfigDict(extra="allow")
        instructions: str | None = Field(None, max_length=32_000)
        voice: str | None = Field(None, min_length=1, max_length=64)

    type: Literal["session.update"]
    call_id: str | None = Field(None, min_length=1, max_length=_ID)
    session: Session = Field(validation_alias=AliasChoices("session", "data"))


class Bind(_Part):
    """Which call a front is for: this one, the next to a number, or that which shows a token (16 characters up)."""

    class Data(_Part):
        call_id: str | None = Field(None, min_length=1, max_length=_ID)
        called: str | None = Field(None, min_length=1, max_length=_ID)
        token: str | None = Field(None, min_length=16, max_length=_ID)

    type: Literal["bind"]
    call_id: str | None = Field(None, min_length=1, max_length=_ID)
    data: Data = Field(default_factory=lambda: Bind.Data(call_id=None, called=None, token=None))


class Ping(_Part):
    """Asks for a heartbeat."""

    type: Literal["ping"]
    call_id: str | None = None
    data: dict[str, Any] = {}


FrontMessage: TypeAlias = Annotated[Configure | SessionUpdate | Bind | Ping, Field(discriminator="type")]

SERVER: TypeAdapter[ServerMessage] = TypeAdapter(ServerMessage)
FRONT: TypeAdapter[Configure | SessionUpdate | Bind | Ping] = TypeAdapter(FrontMessage)


def type_names(schema: TypeAdapter[Any]) -> set[str]:
    """Return the types of messages that a schema has."""
    return set(schema.json_schema()["discriminator"]["mapping"])
