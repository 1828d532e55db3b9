"""The model's replies between their first audio and their end: words, length, what is still owed. Pure, no clock.

A reply is one spoken item. It is open from its first audio until it was heard to its end or cut; a cut one's late
audio and words are dropped by its id and by its response's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from adapters.sts.contract import ResponseEnd
from fsm.triggers import HeardReply, ReplyFailed, ReplyFinished, ToolCalled, Trigger, Usage

__all__ = ["Replies", "Reply", "as_far_as_heard"]

_ROUNDING = 1e-6  # thirds of a millisecond do not add up exactly
_REMEMBERED = 128  # ids of items and responses that are over


@dataclass(slots=True)
class Reply:
    """One spoken item. `complete`: no more audio of it will come."""

    item_id: str
    response_id: str
    received_ms: float = 0.0
    complete: bool = False
    usage: Usage | None = None


def as_far_as_heard(text: str, heard_ms: float, total_ms: float) -> str:
    """Return the words of `text` that were heard, if it is spoken evenly; a word that was cut is left out."""
    if not text or heard_ms >= total_ms:
        return text
    cut = int(len(text) * heard_ms / total_ms)
    if not text[cut].isspace():
        cut = max((place for place, letter in enumerate(text[:cut], start=1) if letter.isspace()), default=0)
    return text[:cut].rstrip()


class Replies:
    """All open replies of one call, in the order in which they are heard."""

    def __init__(self) -> None:
        self._open: dict[str, Reply] = {}
        self._words: dict[str, list[str]] = {}
        self._over: dict[str, None] = {}  # ids whose audio and words are dropped; a dict keeps their order
        self._spoke: set[str] = set()  # responses under way that have had audio
        self._owed: Usage | None = None

    def __iter__(self) -> Iterator[Reply]:
        return iter(tuple(self._open.values()))

    def __bool__(self) -> bool:
        return bool(self._open)

    def is_over(self, *ids: str) -> bool:
        """Whether anything that belongs to one of `ids` is to be dropped."""
        return any(known in self._over for known in ids)

    def is_open(self, item_id: str) -> bool:
        """Whether a reply has begun and not ended."""
        return item_id in self._open

    def audio(self, response_id: str, item_id: str, ms: float) -> None:
        """Count audio of a reply. Where another reply begins, those before it are complete."""
        self._spoke.add(response_id)
        if item_id not in self._open:
            self.complete()
            self._open[item_id] = Reply(item_id, response_id)
        self._open[item_id].received_ms += ms

    def words(self, item_id: str, delta: str) -> None:
        """Add words; they may come before the audio."""
        if item_id not in self._over:
            self._words.setdefault(item_id, []).append(delta)

    def complete(self) -> None:
        """No more audio of any open reply will come."""
        for reply in self._open.values():
            reply.complete = True

    def end(self, end: ResponseEnd) -> list[Trigger]:
        """Take the end of a response; return what is to be told at once."""
        spoke = end.response_id in self._spoke
        self._spoke.discard(end.response_id)
        mine = [reply for reply in self if reply.response_id == end.response_id]
        for reply in mine:
            reply.complete = True
        self._forget_words_of_silent(end)
        self._owed = _sum(self._owed, end.usage)
        if end.calls:
            return [ToolCalled(response_id=end.response_id, calls=end.calls, usage=self._take_owed())]
        if _is_failed(end, spoke=spoke) and not self.is_over(end.response_id):
            reason = end.reason or ("no_audio" if end.status == "completed" else end.status)
            failed = ReplyFailed(
                response_id=end.response_id, reason=reason, purpose=end.purpose, usage=self._take_owed()
            )
            return [failed]
        if mine:
            mine[-1].usage = self._take_owed()
        return []

    def drop(self, *ids: str) -> None:
        """Drop whatever still comes of these items and responses."""
        for known in ids:
            self._over[known] = None
            self._words.pop(known, None)
        for oldest in tuple(self._over)[: max(0, len(self._over) - _REMEMBERED)]:
            del self._over[oldest]

    def heard(self, reply: Reply, heard_ms: float) -> HeardReply:
        """Return `reply` as far as it was heard."""
        told_ms = int(min(heard_ms, reply.received_ms) + _ROUNDING)
        text = as_far_as_heard("".join(self._words.get(reply.item_id, ())), heard_ms, reply.received_ms)
        return HeardReply(item_id=reply.item_id, text=text, heard_ms=told_ms)

    def finish(self, reply: Reply, heard_ms: float, *, interrupted: bool) -> ReplyFinished:
        """Close a reply that was heard to its end or cut."""
        heard = self.heard(reply, heard_ms)
        self._open.pop(reply.item_id)
        self.drop(reply.item_id)
        return ReplyFinished(
            response_id=reply.response_id,
            item_id=reply.item_id,
            text=heard.text,
            heard_ms=heard.heard_ms,
            interrupted=interrupted,
            usage=reply.usage,
        )

    def _take_owed(self) -> Usage | None:
        usage, self._owed = self._owed, None
        return usage

    def _forget_words_of_silent(self, end: ResponseEnd) -> None:
        for item_id in end.item_ids:
            if item_id not in self._open:
                self.drop(item_id)


def _is_failed(end: ResponseEnd, *, spoke: bool) -> bool:
    """Whether the caller waits for words that will not come. A cancelled response was silenced by us."""
    return end.status == "failed" or (end.status != "cancelled" and not spoke)


def _sum(a: Usage | None, b: Usage | None) -> Usage | None:
    if a is None or b is None:
        return a or b
    return Usage(**{f.name: getattr(a, f.name) + getattr(b, f.name) for f in fields(Usage)})
