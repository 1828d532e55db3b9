"""What is sent to the API and what it answers, for its documentation and for what has to be checked of a body."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

__all__ = [
    "RESERVED", "ActiveCall", "ActiveCalls", "AsteriskStatus", "Call", "CallList", "CreatedCall", "Ending", "Event",
    "Health", "JournalPage", "Metadata", "NewCall", "PatchedMetadata", "PipelineRun", "Resetting", "SaidLine",
    "Segment", "SegmentList", "Segments", "Stats", "Status", "Taken", "TicketGiven", "TicketWanted", "Transcript",
    "Validity", "Values",
]  # fmt: skip

_DEEPEST = 32
_MOST_MS = 2**40
RESERVED = frozenset({"active", "live", "stats"})
"""Steps of paths under `/calls/`: no call has such an id."""
_LONGEST_TEXT = 20_000


def _shallow(value: dict[str, Any]) -> dict[str, Any]:
    """Return `value`, unless it nests deeper than what is written may be read again."""
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        inner = [item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer)]
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return value
    raise ValueError(f"nests deeper than {_DEEPEST} levels")


def _free(call_id: str) -> str:
    if call_id in RESERVED:
        raise ValueError("this word stands in addresses of the API; choose another id")
    return call_id


Values = Annotated[dict[str, Any], AfterValidator(_shallow)]
NewId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}$"), AfterValidator(_free)
]  # fmt: skip
Name = Annotated[str, StringConstraints(max_length=128)]
Milliseconds = Annotated[int, Field(ge=0, le=_MOST_MS)]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-05-04T10:00:00.000Z"])]


class _Said(BaseModel):
    """A body. What it does not know, it refuses, and takes nothing for something else."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Shown(BaseModel):
    """An answer. It may have more than is said here."""

    model_config = ConfigDict(extra="allow")


# -- what is sent -------------------------------------------------------------------------------------


class NewCall(_Said):
    """A call without a carrier."""

    call_id: NewId | None = Field(default=None, description="Letters, digits and . _ : @ + -; none: a new one is made.")
    bot: Name = Field(
        default="", description="Its chart must be one that listens; empty: the first bot with such a chart."
    )
    metadata: Values = Field(default_factory=dict)


class Segment(_Said):
    """A piece of transcript."""

    id: Name = Field(default="", description="One that comes again replaces the earlier one; empty: a new one is made.")
    seq: int | None = Field(default=None, ge=0, le=2**53, description="Its place; none: after those before it.")
    text: str = Field(max_length=_LONGEST_TEXT)
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None
    final: bool = True


class Segments(_Said):
    segments: list[Segment] = Field(min_length=1, max_length=500)


class Event(_Said):
    """What happened, as `callchart simulate` writes it."""

    event: str = Field(min_length=1, max_length=128, examples=["user.transcript"])
    data: Values = Field(default_factory=dict)


class Metadata(_Said):
    """A merge patch (RFC 7396) of a call's metadata."""

    metadata: Values
    version: int | None = Field(
        None, ge=0, le=2**53, description="`metadata_version` that this is based on; or send If-Match. None: any."
    )


class TicketWanted(_Said):
    """What a browser's socket is to be allowed."""

    call_id: str | None = Field(
        default=None, min_length=1, max_length=256, description="The only call; none: all of them."
    )
    control: bool = Field(default=False, description="Whether it may do more than look.")


# -- what is answered ---------------------------------------------------------------------------------


class Call(_Shown):
    """A call's document; `fsm/document.py` has all of its fields."""

    call_id: str
    status: Literal["initiated", "active", "ended", "error"]
    state: str
    created_at: Time | None
    last_activity: Time | None
    ended_at: Time | None
    duration: float
    metadata: dict[str, Any]
    metadata_version: int


class _Calls(_Shown):
    """Calls of all nodes."""

    complete: bool = Field(
        default=True,
        description="Only there as `false`: the store does not answer, and these are the calls of the node that was "
        "asked, no others; ask again later.",
    )


class CallList(_Calls):
    calls: list[Call]
    next_cursor: str | None


class ActiveCall(_Shown):
    call_id: str
    start_time: Time | None
    last_activity: Time | None
    cumulative_transcript: str
    total_audio_duration: float
    segment_count: int
    status: str
    state: str


class ActiveCalls(_Calls):
    calls: list[ActiveCall]
    next_cursor: None


class Stats(_Calls):
    active_sessions: int
    total_audio_duration: float
    total_segments: int
    average_duration_per_session: float
    session_list: list[str]


class SaidLine(_Shown):
    """One thing said."""

    role: str
    text: str
    id: str
    at: Time | None
    start_ms: int | None
    end_ms: int | None
    seq: int
    interrupted: bool
    final: bool
    tool: str


class Transcript(_Shown):
    call_id: str
    text: str
    lines: list[SaidLine]


class SegmentList(_Shown):
    call_id: str
    segments: list[SaidLine]


class JournalPage(_Shown):
    call_id: str
    records: list[dict[str, Any]]
    next_after: int | None = Field(description="What to ask `after` next; none: there is no more.")


class CreatedCall(_Shown):
    call_id: str
    state: str
    status: str


class Taken(_Shown):
    seq: int


class Ending(_Shown):
    status: Literal["ending", "ended"]


class Validity(_Shown):
    valid: bool
    reason: str


class PatchedMetadata(_Shown):
    metadata: dict[str, Any]
    metadata_version: int


class PipelineRun(_Shown):
    run_id: str


class Resetting(_Shown):
    ending: int


class TicketGiven(_Shown):
    ticket: str
    expires_in: int


class AsteriskStatus(_Shown):
    status: Literal["not_configured"]
    enabled: bool
    active_calls: int


class Status(_Shown):
    status: Literal["ok", "draining", "degraded"]


class Sessions(_Shown):
    active_count: int
    uuids: list[str]


class Health(_Shown):
    status: Literal["ok", "draining"]
    sessions: Sessions
