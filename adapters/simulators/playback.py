"""The caller's ear: plays what arrives, in order and in real time, and knows what was heard.

Nothing here ticks: a piece of audio that arrives is given the time at which it starts, and what was heard follows from
the time at which one asks. All times are milliseconds of the call.

Source: Twilio, Media Streams - WebSocket Messages (`media`, `mark`, `clear` sent to Twilio).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from adapters.simulators.audio import BYTES_PER_MS, duration_ms, quiet_tail_ms

__all__ = ["Heard", "MarkLog", "Playback"]

_HAIR_MS = 0.001  # what is lost where milliseconds become the loop's seconds and come back


@dataclass(frozen=True, slots=True)
class Heard:
    """A piece of mu-law audio and when it began to be heard."""

    at_ms: float
    sound: bytes

    @property
    def end_ms(self) -> float:
        return self.at_ms + duration_ms(self.sound)


@dataclass(frozen=True, slots=True)
class MarkLog:
    """A mark that was returned. `played`: all audio before it was heard; otherwise a `clear` returned it."""

    name: str
    at_ms: float
    played: bool
    heard_ms: float
    """How much had been heard in the call when it was returned."""


class Playback:
    """One stream's buffer at the carrier."""

    def __init__(self) -> None:
        self.clears: list[float] = []
        self.log: list[MarkLog] = []
        self._pieces: list[Heard] = []
        self._marks: deque[tuple[float, str]] = deque()
        self._buffered_until = 0.0

    def add(self, sound: bytes, now_ms: float) -> None:
        """Queue audio behind what is buffered."""
        if not sound:
            return
        piece = Heard(max(now_ms, self._buffered_until), sound)
        self._pieces.append(piece)
        self._buffered_until = piece.end_ms

    def mark(self, name: str, now_ms: float) -> None:
        """Queue a mark: it is due when all audio before it has been heard, or at once."""
        self._marks.append((max(now_ms, self._buffered_until), name))

    def clear(self, now_ms: float) -> list[MarkLog]:
        """Drop what has not been heard; every mark that was outstanding comes back, unplayed."""
        self.clears.append(now_ms)
        self._pieces = self.heard(now_ms)
        self._buffered_until = now_ms
        marks = [MarkLog(name, now_ms, due <= now_ms, self.heard_ms(now_ms)) for due, name in self._marks]
        self._marks.clear()
        self.log += marks
        return marks

    def end(self, now_ms: float) -> None:
        """The stream is closed: what is buffered is never heard, outstanding marks never come back."""
        self._pieces = self.heard(now_ms)
        self._buffered_until = now_ms
        self._marks.clear()

    @property
    def next_mark_ms(self) -> float | None:
        """When the next mark is due."""
        return self._marks[0][0] if self._marks else None

    def due_marks(self, now_ms: float) -> list[MarkLog]:
        """Take the marks whose time has come."""
        marks = []
        while self._marks and self._marks[0][0] <= now_ms + _HAIR_MS:
            due, name = self._marks.popleft()
            marks.append(MarkLog(name, due, True, self.heard_ms(due)))
        self.log += marks
        return marks

    def heard(self, now_ms: float) -> list[Heard]:
        """Return what was heard until now; a piece that is being played is cut."""
        pieces = []
        for piece in self._pieces:
            if piece.end_ms <= now_ms:
                pieces.append(piece)
            elif part := piece.sound[: int((now_ms - piece.at_ms) * BYTES_PER_MS)] if piece.at_ms < now_ms else b"":
                pieces.append(Heard(piece.at_ms, part))
        return pieces

    def heard_ms(self, now_ms: float) -> float:
        """Return how much audio was heard until now, in milliseconds."""
        return sum(min(piece.end_ms, now_ms) - piece.at_ms for piece in self._pieces if piece.at_ms < now_ms)

    def buffered_ms(self, now_ms: float) -> float:
        """Return how much audio waits to be heard."""
        return max(0.0, self._buffered_until - now_ms)

    def last_sound_ms(self, now_ms: float) -> float | None:
        """Return when something was audible for the last time until now, or None."""
        for piece in reversed(self.heard(now_ms)):
            quiet = quiet_tail_ms(piece.sound)
            if quiet < duration_ms(piece.sound):
                return piece.end_ms - quiet
        return None
