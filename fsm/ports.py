"""What a call needs of the world, as its handlers see it. Adapters implement these; tests have small fakes.

Everything without `await` enqueues and returns at once. Everything may be called twice, or when there is nothing to
do, without harm. Failures that the caller of a method can do something about are `PortError`; what happens later
comes back as a trigger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fsm.context import CallContext
    from fsm.session import Session
    from fsm.triggers import IntentDetected, Trigger

__all__ = [
    "AgentPort", "CallPorts", "CarrierPort", "FrontPort", "IntentPort", "MediaPort", "SlotPort", "StsPort",
    "TranscriptPort",
]  # fmt: skip


class CarrierPort(Protocol):
    """The caller's end of the line."""

    def attach(self) -> None:
        """Take the media socket that arrived last into use and open its output; one it replaces is closed first.

        Raises:
            PortError: there is no socket.
        """
        ...

    def detach(self) -> None:
        """Stop listening to the socket and stop sending to it; it stays open until `hang_up`."""
        ...

    def play(self, clip: str, language: str) -> None:
        """Queue bundled audio (`apology`, `busy`, `hold`, `goodbye`), behind what is queued; English if unknown."""
        ...

    async def drained(self) -> None:
        """Return once all that is queued or asked for has been heard, or cannot be heard any more.

        A reply requested with `StsPort.respond` counts from the request until its audio was heard or it failed.
        """
        ...

    async def hang_up(self) -> None:
        """Let queued audio play out, then end the call at the carrier; not after a transfer that it has accepted."""
        ...

    async def transfer(self, target: str) -> None:
        """Have the carrier connect the caller to `target`; `call.transferred` follows.

        Raises:
            PortError: the carrier cannot, or there is no target.
        """
        ...


class StsPort(Protocol):
    """The model's session ("speech to speech")."""

    @property
    def usable(self) -> bool:
        """Whether a reply can be asked for now."""
        ...

    def start(self, call: CallContext) -> None:
        """Begin to connect and configure; `sts.ready` or `sts.failed` follows. History, if any, is replayed."""
        ...

    def close_soon(self) -> None:
        """Begin to close the session, if one is open; nothing it still says becomes a trigger."""
        ...

    def configure(self, call: CallContext) -> None:
        """Send what changed of instructions, language and voice."""
        ...

    def respond(self, *, purpose: str, instructions: str = "") -> None:
        """Ask for one spoken reply. Requests are served one after the other.

        Args:
            purpose: why (`greeting`, `answer`, `question` …): comes back in `reply.started` and `reply.failed`.
            instructions: for this reply only, on top of the session's own.
        """
        ...

    def tell(self, text: str) -> None:
        """Put a line of context into the conversation; nobody speaks."""
        ...

    def tool_result(self, call_id: str, output: str) -> None:
        """Answer a function call; ask for a reply with `respond` once the last one is answered."""
        ...


class MediaPort(Protocol):
    """The path of the audio between the two."""

    def open(self) -> None:
        """Let the caller's audio, kept back until now, flow to the model."""
        ...

    def interrupt(self) -> None:
        """Silence the reply: clear the carrier's queue, cancel the response, tell the model what was heard.

        `reply.finished` follows for each item that was playing or queued.
        """
        ...


class IntentPort(Protocol):
    """Tells what a caller wants."""

    async def detect(self, call: CallContext, text: str) -> IntentDetected:
        """Return the intent of `text`, the caller's newest words, in this call."""
        ...


class AgentPort(Protocol):
    """Runs business agents, one at a time for a call."""

    async def run(self, session: Session) -> Trigger:
        """Serve the call's intent until it is done; post `agent.needs_info`, `agent.said`, `agent.progress` meanwhile.

        Returns:
            `AgentCompleted` or `AgentFailed`. Cancelled when the caller hangs up or the chart goes elsewhere.
        """
        ...

    def tell(self, call_id: str, text: str) -> None:
        """Give the agent of this call what the caller said or pressed; ignored if none is waiting or running."""
        ...


class TranscriptPort(Protocol):
    """Keeps what was said."""

    def save(self, call: CallContext) -> None:
        """Keep the transcript of a call that is over."""
        ...


class FrontPort(Protocol):
    """Browser fronts that watch calls."""

    def notify(self, call_id: str, event: str, data: Mapping[str, Any]) -> None:
        """Tell every front of this call."""
        ...


class SlotPort(Protocol):
    """The call's place among `MAX_CALLS`."""

    def release(self) -> None:
        """Give it back."""
        ...


@dataclass(slots=True, kw_only=True)
class CallPorts:
    """All ports of one call. `aclose` ends whatever is still open, within bounded time, and may be called twice."""

    carrier: CarrierPort
    sts: StsPort
    media: MediaPort
    intents: IntentPort
    agents: AgentPort
    transcripts: TranscriptPort
    fronts: FrontPort
    slot: SlotPort

    def audio(self) -> Mapping[str, Any]:
        """Return what has come through the line: `received_seconds`, `dropped_frames`; nothing where there is none."""
        return {}

    async def aclose(self) -> None:
        """Close the sockets of both legs and wait until they and their tasks are gone. The adapters override it."""
