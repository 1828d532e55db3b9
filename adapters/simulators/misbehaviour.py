"""What a caller's carrier may do wrong. Each switch was seen on a real line or in somebody's bug tracker."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Misbehaviour"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """Switches, all off. Times are milliseconds of the call; "every n" counts frames of one stream, from 1."""

    abort_after_ms: float | None = None
    """The TCP connection is reset, without a close frame and without `stop`."""
    no_media: bool = False
    """The stream starts, but no audio ever comes."""
    mute: bool = False
    """Audio comes, but whatever is said is silence."""
    hiss: bool = False
    """Silence is a line's comfort noise."""
    duplicate_every: int = 0
    """Each such frame comes twice, with the same numbers."""
    missing_every: int = 0
    """Each such frame is lost; the numbers go on."""
    swapped_every: int = 0
    """Each such frame comes after the one that follows it."""
    duplicate_start: bool = False
    media_before_start: int = 0
    """So many frames come between `connected` and `start`."""
    no_start: bool = False
    """The socket is opened, `connected` comes, and nothing else."""
    garbage: tuple[str | bytes, ...] = ()
    """Messages sent as they are, right after `start`."""
    oversized_bytes: int = 0
    """One `media` message with so many bytes of audio, right after `start`."""
    deaf: bool = False
    """The socket is never read: its buffers fill up."""
    keep_marks: bool = False
    """Marks are never returned."""
    no_stop: bool = False
    """Hanging up closes the socket without a `stop`."""
    hang_up_silently: bool = False
    """Hanging up resets the TCP connection: a line that was cut."""
