"""What may go wrong with a session of the model as a whole. Replies and transcriptions have their own switches."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Faults"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Switches of one connection, all off. Times are seconds since the socket was accepted."""

    refuse: int | None = None
    """The handshake is answered with this status (401, 403, 429, 500 …)."""
    never_answers: bool = False
    """The handshake is never answered."""
    close_before_created: bool = False
    no_created: bool = False
    no_updated: bool = False
    refuse_update: bool = False
    """Each `session.update` is refused as if it had a wrong field."""
    wrong_formats: bool = False
    """`session.updated` confirms other formats than were asked for."""
    expired_at_s: float | None = None
    """`error` with code `session_expired`, then the socket is closed (the form of the beta)."""
    time_limit_at_s: float | None = None
    """Closed with 1001 and the reason of the 60-minute limit."""
    close_at_s: float | None = None
    """Closed with 1011."""
    abort_at_s: float | None = None
    """The TCP connection is reset."""
    stall_at_s: float | None = None
    """No event is sent any more; the socket stays open."""
    server_error_at_s: float | None = None
    """One `error` event of type `server_error`."""
    malformed_at_s: float | None = None
    """One message that is cut-off JSON."""
    unknown_event_at_s: float | None = None
    """One event of a type that nobody knows."""
    phantom_speech_at_s: float | None = None
    """Speech is reported though nobody spoke: a cough, or the line's echo; its transcript is blank."""
    duplicate_events: bool = False
    """Every event comes twice, with the same id."""
