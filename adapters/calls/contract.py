"""What operators may ask of calls, wherever they run: on this node, on another one, or only in the store.

`Calls` is what the HTTP API, the live sockets and the browser fronts stand on; it knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from fsm.errors import CallchartError

__all__ = [
    "AlreadyThere", "BadEvent", "CallOver", "Calls", "CallsPage", "Created", "Stale", "Totals", "TranscriptLine",
    "UnknownCall", "Unreachable", "Validity",
]  # fmt: skip


class UnknownCall(CallchartError):
    """There is no such call."""


class CallOver(CallchartError):
    """The call has ended; it takes nothing any more."""


class BadEvent(CallchartError):
    """There is no such event, it does not come from outside, or its data do not fit; or a bot cannot do this."""


class AlreadyThere(CallchartError):
    """There is a call of that id."""


class Stale(CallchartError):
    """The metadata have been changed since the version that was named. `current` is theirs."""

    def __init__(self, message: str, current: int) -> None:
        self.current = current
        super().__init__(message)


class Unreachable(CallchartError):
    """The node that has the call, or the store, does not answer; try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptLine:
    """One thing said in a call.

    Attributes:
        role: `caller`, `assistant`, `agent`, `tool_call`, `tool_result`, or `segment` (posted from elsewhere).
        at: when it was known, seconds since the epoch.
        start_ms, end_ms: since the call began; None where not known.
        seq: of the step that brought it (of a segment: its own).
    """

    role: str
    text: str
    id: str = ""
    at: float = 0.0
    start_ms: int | None = None
    end_ms: int | None = None
    seq: int = 0
    interrupted: bool = False
    final: bool = True
    tool: str = ""


class Validity(NamedTuple):
    """Whether a call may be resumed; if not, why: `unknown`, `ended`, `expired`, `not_answered`."""

    valid: bool
    reason: str


class Created(NamedTuple):
    call_id: str
    state: str
    status: str


class CallsPage(NamedTuple):
    """Calls, newest first.

    Attributes:
        complete: False: the store does not answer, and these are the calls of the node that was asked, no others.
    """

    calls: list[dict[str, Any]]
    next_cursor: str | None
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Calls that are not over, of all nodes. Durations in seconds.

    Attributes:
        complete: as that of `CallsPage`.
    """

    active_sessions: int
    total_audio_duration: float
    total_segments: int
    average_duration_per_session: float
    session_list: list[str]
    complete: bool = True


class Calls(Protocol):
    """Every method may raise `Unreachable`; those that name a call, `UnknownCall`.

    Without the store, the calls of the node that is asked are shown and steered all the same.
    """

    async def get(self, call_id: str) -> dict[str, Any]:
        """Return the call's document, as fresh as its owner has it."""
        ...

    async def find(
        self, *, live: bool | None = None, state: str = "", q: str = "", cursor: str = "", limit: int = 50
    ) -> CallsPage:
        """Return documents (`fsm/document.py`), newest first; see `SessionStore.find`.

        Raises:
            ValueError: the cursor is none of ours.
            Unreachable: only the store knows what comes after this cursor.
        """
        ...

    async def active(self) -> CallsPage:
        """Return what is shown of each call that is not over, on one page.

        Each has `call_id, start_time, last_activity, cumulative_transcript, total_audio_duration, segment_count,
        status, state`.
        """
        ...

    async def totals(self) -> Totals:
        """Count the calls that are not over."""
        ...

    async def lines(self, call_id: str) -> list[TranscriptLine]:
        """Return everything that was said, in order, complete."""
        ...

    async def segments(self, call_id: str) -> list[TranscriptLine]:
        """Return the pieces of transcript that were posted, by their `seq`, each once."""
        ...

    async def journal(
        self, call_id: str, *, after: int = 0, limit: int = 500
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Return journal records from the one after version `after`, each with its `version`, and what to ask next."""
        ...

    async def create(self, *, call_id: str, bot: str, metadata: Mapping[str, Any]) -> Created:
        """Begin a call without a carrier; its segments come by API.

        Args:
            call_id: empty: a new one.
            bot: its chart must be a listening one; empty: the first bot with such a chart.

        Raises:
            AlreadyThere: there is a call of that id.
            BadEvent: no such bot, or it cannot do without a carrier.
        """
        ...

    async def add_segments(self, call_id: str, segments: Sequence[Mapping[str, Any]]) -> int:
        """Post pieces of transcript (`{id?, seq?, text, start_ms?, end_ms?, final?}`); return the call's `seq`.

        Raises:
            CallOver, BadEvent: nothing was posted.
        """
        ...

    async def post(self, call_id: str, event: str, data: Mapping[str, Any]) -> int:
        """Tell a call what happened, as `callchart simulate` writes it; return the call's `seq` when it was taken.

        Raises:
            CallOver, BadEvent
        """
        ...

    async def end(self, call_id: str, reason: str = "") -> Literal["ending", "over"]:
        """Ask for the end of a call; `over` if it has ended already."""
        ...

    async def patch(self, call_id: str, metadata: Mapping[str, Any], *, version: int | None) -> dict[str, Any]:
        """Merge `metadata` (RFC 7396) into the call's, live or over; return `{"metadata", "metadata_version"}`.

        Args:
            version: of the metadata that the change is based on; None: whatever they are.

        Raises:
            Stale: they have changed since.
        """
        ...

    async def erase(self, call_id: str) -> None:
        """Forget a call that is over: document, log, spool, files and results.

        Raises:
            CallOver: never; a live call is ended first, and erased once it has settled.
        """
        ...

    async def validate(self, call_id: str) -> Validity:
        """Tell whether a call may be resumed. Never raises `UnknownCall`."""
        ...

    async def run_pipeline(self, call_id: str) -> str:
        """Have the post-call work done, again if it was done; return an id of the run.

        Raises:
            BadEvent: the call is not over.
        """
        ...

    async def reset(self, *, wait: bool = False) -> int:
        """End every call of every node properly; return how many. With `wait` they have settled."""
        ...
