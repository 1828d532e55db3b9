"""What a model's client offers, and what it tells. The relay (`adapters/media`) stands on the other side.

The client owns one conversation: connecting and its attempts, the serial queue of requests for replies, roll-over
before the time limit and after a lost socket. It does not know what was heard: the relay tells it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from adapters.carriers.contract import MediaFormat
from fsm.context import CallContext
from fsm.triggers import ToolCall, Usage

__all__ = ["ResponseEnd", "StsClient", "StsEvents"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseEnd:
    """How a response ended. `item_ids` are the spoken items it made, in order."""

    response_id: str
    purpose: str
    status: Literal["completed", "cancelled", "incomplete", "failed"]
    reason: str = ""
    item_ids: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    """Complete function calls only; a fragment of a cancelled response is not one."""
    usage: Usage | None = None


class StsEvents(Protocol):
    """What a client reports; called from its reader, so nothing here may block."""

    def on_ready(self, session_id: str) -> None:
        """First session: created, configured, formats confirmed. Once a client."""
        ...

    def on_renewed(self, session_id: str, reason: str) -> None:
        """The conversation goes on in a new session."""
        ...

    def on_failed(self, reason: str) -> None:
        """Given up; the last event."""
        ...

    def on_reply_audio(self, response_id: str, item_id: str, payload: str, purpose: str) -> None:
        """Base64 audio of a reply, in order, in the format asked for."""
        ...

    def on_reply_text(self, item_id: str, delta: str) -> None:
        """More of the words of a reply."""
        ...

    def on_response_end(self, end: ResponseEnd) -> None:
        """A response is over; exactly once each.

        Also after a lost socket: `incomplete`, reason `lost`, if its audio had begun; else it is asked for again. One
        that stalls is `failed`, reason `stalled`. `response_id` is empty if the model never took the request up.
        """
        ...

    def on_speech_started(self, item_id: str) -> None:
        """The model's detector hears the caller."""
        ...

    def on_speech_stopped(self, item_id: str) -> None:
        """The caller stopped."""
        ...

    def on_transcript(self, item_id: str, text: str, reason: str) -> None:
        """The caller's words: within 3 s of the end of speech, then again if text comes late.

        `reason` is why there is no text (`failed`, `timed_out`), else empty.
        """
        ...


class StsClient(Protocol):
    """One conversation with a model, over as many sessions as it takes. Methods enqueue and return."""

    @property
    def usable(self) -> bool:
        """Whether a session is open and configured, or is being renewed."""
        ...

    @property
    def active_response_id(self) -> str | None:
        """The response that the model is making now."""
        ...

    @property
    def conversation_id(self) -> str:
        """The conversation that the newest response belongs to; empty while there is none."""
        ...

    def start(self, call: CallContext, media_format: MediaFormat) -> None:
        """Begin to connect; audio both ways is in `media_format`. A history in `call` is replayed as text."""
        ...

    def close_soon(self) -> None:
        """Begin to close; no event follows."""
        ...

    def configure(self, call: CallContext) -> None:
        """Send what changed of instructions and language (and voice, before the first audio)."""
        ...

    def append(self, payload: str) -> None:
        """Send base64 audio of the caller."""
        ...

    def respond(self, *, purpose: str, instructions: str = "") -> None:
        """Queue a request for one reply; at most one response is active. `instructions` add to those of the call."""
        ...

    def cancel(self) -> None:
        """Cancel the active response and forget queued requests; what it still sends is dropped."""
        ...

    def truncate(self, heard: Sequence[tuple[str, int]]) -> None:
        """Tell the model how much was heard: (item id, milliseconds), never more than the item has."""
        ...

    def remember(self, call: CallContext) -> None:
        """Keep `call` as what a new session is told when the conversation is rolled over."""
        ...

    def tell(self, text: str) -> None:
        """Add a system line to the conversation."""
        ...

    def tool_result(self, call_id: str, output: str) -> None:
        """Answer a function call. Asks for no reply."""
        ...

    async def aclose(self) -> None:
        """Close, and return once the socket and all tasks are gone; at most 2 s."""
        ...
