"""How much of what was sent to a carrier the caller has heard. Pure: the time comes in as an argument.

How this works: audio is sent in short pieces, and after each piece a mark that the carrier returns once everything
before it has been played. So at any moment one piece, the first whose mark is not back, is being played; it began when
the mark before it came back, or when it was sent, if nothing was queued then. What has been heard is every piece
before it, and as much of it as time has passed, never more than the whole piece: however fast or slow the carrier
plays, the two differ by one piece at most.

Marks carry a generation. Those that come back because the queue was cleared belong to an older one and prove nothing
(Twilio, Media Streams - WebSocket Messages: "clear").
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["OVERDUE_S", "Piece", "Playhead"]

OVERDUE_S = 5.0
"""Seconds after its expected end at which a piece counts as heard although its mark never came back."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Audio between two marks."""

    mark: str
    item_id: str
    ms: float
    payload: str


@dataclass(slots=True)
class _Item:
    heard_ms: float = 0.0
    pieces: int = 0
    """Of it, those that are not known to have been heard."""


class Playhead:
    """Position in what one carrier's leg has been sent. Times are seconds of any monotonic clock."""

    __slots__ = ("_began", "_generation", "_items", "_outstanding", "_pieces", "_sent")

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()
        self._outstanding: set[str] = set()
        self._items: dict[str, _Item] = {}
        self._began = 0.0  # when the first of the pieces is believed to have begun
        self._generation = 1
        self._sent = 0

    @property
    def empty(self) -> bool:
        """Whether everything sent is known to have been heard, or was cleared."""
        return not self._pieces

    @property
    def overdue_at(self) -> float | None:
        """When the piece that is playing will count as heard without its mark."""
        return self._began + self._pieces[0].ms / 1000 + OVERDUE_S if self._pieces else None

    def send(self, item_id: str, ms: float, now: float, payload: str = "") -> str:
        """Add a piece behind what is queued; return the name of the mark that must follow it."""
        self._sent += 1
        mark = f"g{self._generation}:m{self._sent}"
        if not self._pieces:
            self._began = now
        self._pieces.append(Piece(mark, item_id, ms, payload))
        self._outstanding.add(mark)
        self._items.setdefault(item_id, _Item()).pieces += 1
        return mark

    def returned(self, mark: str, now: float) -> list[Piece]:
        """Take a mark that came back; return the pieces that it proves heard, those of lost marks before it too."""
        if mark not in self._outstanding:
            return []
        heard = [self._pop()]
        while heard[-1].mark != mark:
            heard.append(self._pop())
        self._began = now
        return heard

    def expire(self, now: float) -> list[Piece]:
        """Count overdue pieces as heard and return them."""
        heard: list[Piece] = []
        while self._pieces and now >= self._began + self._pieces[0].ms / 1000 + OVERDUE_S:
            heard.append(self._pop())
            self._began += heard[-1].ms / 1000
        return heard

    def clear(self, now: float) -> tuple[Piece, float] | None:
        """Forget everything; marks of what was queued prove nothing from now on.

        Returns:
            The piece that was cut and its heard milliseconds, if one was playing.
        """
        cut = None
        if self._pieces:
            front = self._pieces[0]
            cut = front, self._within(front, now)
        self._pieces.clear()
        self._outstanding.clear()
        self._items.clear()
        self._generation += 1
        return cut

    def heard_ms(self, item_id: str, now: float) -> float:
        """Return how much of an item has been heard, in milliseconds; 0 for one that is not known."""
        item = self._items.get(item_id)
        if item is None:
            return 0.0
        front = self._pieces[0] if self._pieces else None
        playing = self._within(front, now) if front is not None and front.item_id == item_id else 0.0
        return item.heard_ms + playing

    def is_queued(self, item_id: str) -> bool:
        """Whether some of an item is not known to have been heard."""
        item = self._items.get(item_id)
        return item is not None and item.pieces > 0

    def forget(self, item_id: str) -> None:
        """Drop what is known of an item that is not queued any more."""
        if not self.is_queued(item_id):
            self._items.pop(item_id, None)

    def _within(self, front: Piece, now: float) -> float:
        return min(front.ms, max(0.0, (now - self._began) * 1000))

    def _pop(self) -> Piece:
        piece = self._pieces.popleft()
        self._outstanding.discard(piece.mark)
        item = self._items[piece.item_id]
        item.heard_ms += piece.ms
        item.pieces -= 1
        return piece
