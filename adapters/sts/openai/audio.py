"""How much audio: of the caller while no session is open, and of each reply. Pure, and bounded."""

from __future__ import annotations

from collections import deque

from adapters.carriers.contract import MediaFormat

__all__ = ["Backlog", "ReceivedAudio", "size"]

_ITEMS_KEPT = 64


def size(payload: str) -> int:
    """Return how many bytes a base64 payload carries."""
    return len(payload) * 3 // 4 - (payload.endswith("=") + payload.endswith("=="))


class Backlog:
    """The caller's newest audio, in order, for the session that is being opened."""

    __slots__ = ("_bytes", "_limit", "_payloads", "dropped")

    def __init__(self, media_format: MediaFormat, seconds: float) -> None:
        self._limit = int(seconds * 1000) * media_format.bytes_per_ms
        self._payloads: deque[str] = deque()
        self._bytes = 0
        self.dropped = 0
        """Payloads that had to go because the gap was too long."""

    def add(self, payload: str) -> None:
        """Keep `payload`; the oldest go when there is too much."""
        self._payloads.append(payload)
        self._bytes += size(payload)
        while self._bytes > self._limit:
            self._bytes -= size(self._payloads.popleft())
            self.dropped += 1

    def drain(self) -> list[str]:
        """Return and forget all of it."""
        payloads = list(self._payloads)
        self._payloads.clear()
        self._bytes = 0
        return payloads


class ReceivedAudio:
    """How long the audio of each reply is, as far as it has come."""

    __slots__ = ("_bytes", "_bytes_per_ms")

    def __init__(self, media_format: MediaFormat) -> None:
        self._bytes_per_ms = media_format.bytes_per_ms
        self._bytes: dict[str, int] = {}

    def add(self, item_id: str, payload: str) -> None:
        """Count more audio of `item_id`; the oldest items are forgotten."""
        known = self._bytes.get(item_id)
        self._bytes[item_id] = (known or 0) + size(payload)
        if known is None and len(self._bytes) > _ITEMS_KEPT:
            del self._bytes[next(iter(self._bytes))]

    def cut(self, item_id: str, heard_ms: int) -> int | None:
        """Cut `item_id` to what was heard and return that length in ms, never more than there is.

        None: the item is not of this session.
        """
        known = self._bytes.get(item_id)
        if known is None:
            return None
        kept_ms = max(0, min(heard_ms, known // self._bytes_per_ms))
        self._bytes[item_id] = kept_ms * self._bytes_per_ms
        return kept_ms

    def clear(self) -> None:
        """Forget all items: they belonged to a session that is gone."""
        self._bytes.clear()
