"""What every carrier's endpoint offers, and what it tells. The relay (`adapters/media`) stands on the other side.

A `Leg` is one media socket of one call: it plays audio, marks, clears and closes, and knows nothing of the
conversation. Audio is in the carrier's own wire format (`media_format`); base64 stays base64 where the carrier speaks
JSON, so that a payload is spliced from envelope to envelope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from fsm.triggers import CallStarted, Trigger

__all__ = ["Announced", "CallDesk", "Leg", "LegEvents", "MediaFormat"]


@dataclass(frozen=True, slots=True)
class MediaFormat:
    """`encoding` is `pcmu`, `pcma` or `pcm16`; `rate` in Hz; bytes of one millisecond follow from both."""

    encoding: str
    rate: int

    @property
    def bytes_per_ms(self) -> int:
        return self.rate // 1000 * (2 if self.encoding == "pcm16" else 1)


class LegEvents(Protocol):
    """What a leg reports; called from the socket's reader, so nothing here may block.

    Each leg gets its own object, so that events of a socket that has been replaced can be told apart and dropped.
    """

    def on_audio(self, payload: str, timestamp_ms: int | None) -> None:
        """Audio of the caller, base64, in the leg's format; `timestamp_ms` since the stream began, where known."""
        ...

    def on_mark(self, name: str) -> None:
        """The carrier returned a mark."""
        ...

    def on_trigger(self, trigger: Trigger) -> None:
        """Anything else of the stream that changes a state (`call.dtmf`, `call.ended`)."""
        ...

    def on_closed(self, reason: str) -> None:
        """The socket is gone, whoever closed it; the last event, exactly once."""
        ...


class Leg(Protocol):
    """One media socket of one call. Methods enqueue and return; after the socket is gone they do nothing."""

    carrier: str
    stream_id: str
    media_format: MediaFormat

    @property
    def can_return(self) -> bool:
        """Whether the carrier brings the call back if this socket breaks: `call.lost {can_return}`."""
        ...

    def play(self, payload: str) -> None:
        """Queue base64 audio in the leg's format, any length, behind what is queued."""
        ...

    def mark(self, name: str) -> None:
        """Ask to be told (`on_mark`) when everything queued before has been played."""
        ...

    def clear(self) -> None:
        """Drop what is queued at the carrier. Marks that come back because of it are not played."""
        ...

    def close(self, reason: str = "") -> None:
        """Begin to close the socket (code 1000)."""
        ...

    async def hang_up(self) -> None:
        """End the call at the carrier, not merely the socket. What is queued is cut: the relay has waited for it."""
        ...

    async def transfer(self, target: str) -> None:
        """Have the carrier connect the caller to `target` (a telephone number or SIP address).

        Raises:
            PortError: the carrier cannot do it for this call.
        """
        ...

    async def wait_closed(self) -> None:
        """Return once the socket and its tasks are gone."""
        ...


Announced: TypeAlias = Literal["welcome", "busy", "over"]
"""What is answered to a webhook that announces a call: no slot is free, or it has ended already."""


class CallDesk(Protocol):
    """Where carriers bring calls: those of all nodes, seen from a webhook or a media socket of one.

    A call that is on this node is decided at once; for another one the store is asked, at most for seconds.
    """

    async def announce(self, call_id: str, *, carrier: str, caller: str, called: str) -> Announced:
        """A webhook says that a call is coming: reserve a slot. `busy`: no slot is free, or the process drains.

        Announced again, or already running, changes nothing and is `welcome`.
        """
        ...

    async def connect(
        self, leg: Leg, started: CallStarted, *, call_id: str, proof: bool, again: bool = False
    ) -> LegEvents | None:
        """Bring a call's media socket: its first starts the call, a later one takes over if it has `proof`.

        Args:
            again: the carrier brings back a call that has had a socket: it never begins anew.

        Returns:
            Who hears the leg's events, or None: refused, and the endpoint closes the socket (1008). A call that finds
            no free slot is not refused here: the chart says "busy" to the caller and hangs up.
        """
        ...

    async def post(self, call_id: str, trigger: Trigger) -> bool:
        """Tell a call what happened; False if there is no such call, or it is closed.

        `call.ended` for a call that is only announced gives its slot back.
        """
        ...

    async def is_live(self, call_id: str) -> bool:
        """Whether the call exists, has not closed, and may have a socket again."""
        ...

    async def transfer_target(self, call_id: str) -> str:
        """Return whom another node wants a call to be transferred to; empty if none does."""
        ...
