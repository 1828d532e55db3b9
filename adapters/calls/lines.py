"""What was said in a call, folded from its journal: complete, in conversation order, with times. Pure.

The working history of a call is short; its journal tells what each step added to it or amended (`said`), so that what
was said is complete however short the history is kept. One that is amended, by its item and role, keeps its place.

Times are only those that follow from what was recorded. A caller's words lie between the `user.speaking` and the
`user.silent` of their item; a reply ends when it was heard to its end or cut, and began as much earlier as was heard of
it; a segment tells its own. Nothing is guessed from the length of a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from adapters.calls.contract import TranscriptLine
from fsm.history import plain
from fsm.journal import trigger_data
from fsm.step import Step

__all__ = ["Transcript", "cumulative", "fold"]

_PENDING = 64  # items whose words may still come
_SPOKEN = frozenset({"caller", "assistant"})


class Transcript:
    """What was said in one call, as far as its steps or records were taken, in their order.

    Args:
        began: when the call was created, seconds since the epoch; 0: with the first thing that is taken.
    """

    __slots__ = ("_began", "_places", "_said", "_segments", "_times")

    def __init__(self, began: float = 0.0) -> None:
        self._began = began
        self._said: list[TranscriptLine] = []
        self._places: dict[tuple[str, str], int] = {}
        self._segments: dict[str, TranscriptLine] = {}
        self._times: dict[str, tuple[int | None, int | None]] = {}

    # -- taking ----------------------------------------------------------------------------------

    def take(self, record: Mapping[str, Any]) -> None:
        """Take a journal record (`fsm.journal.step_record`); others are passed over."""
        if "event" not in record:
            return
        at, seq = float(record["at"]), int(record["seq"])
        self._happened(record["event"], record["data"], at)
        for message in record.get("said", ()):
            self._add(_line(message, at, seq))

    def take_step(self, done: Step, at: float) -> None:
        """Take a step that was committed `at` seconds since the epoch."""
        trigger = done.trigger
        self._happened(trigger.name, trigger_data(trigger) if trigger.name in _HEARD else {}, at)
        before, after = done.before.context.history, done.after.context.history
        if after is before:
            return
        known = set(map(id, before))  # one that is equal may be said again
        for message in after:
            if id(message) not in known:
                self._add(_line(plain(message), at, done.after.seq))

    def absorb(self, later: Transcript) -> None:
        """Take everything of another transcript of this call that begins where this one ends."""
        for line in later._said:
            self._add(line)
        for segment in later._segments.values():
            self._segments[segment.id] = segment

    # -- giving ----------------------------------------------------------------------------------

    def lines(self) -> list[TranscriptLine]:
        """Return everything that was said, segments among it where they came."""
        return list(_woven(self._said, self.segments()))

    def segments(self) -> list[TranscriptLine]:
        """Return the segments by their `seq`, each once."""
        return sorted(self._segments.values(), key=lambda segment: segment.seq)

    def segment(self, segment_id: str) -> TranscriptLine | None:
        """Return the segment of this id, as it came last."""
        return self._segments.get(segment_id)

    @property
    def last_seq(self) -> int:
        """The highest `seq` of a segment; 0: none has come."""
        return max((segment.seq for segment in self._segments.values()), default=0)

    @property
    def segment_count(self) -> int:
        return len(self._segments)

    @property
    def segments_ms(self) -> int:
        """How long the segments are together, in milliseconds; those without times count as nothing."""
        return sum(_length(segment) for segment in self._segments.values())

    # -- inside ----------------------------------------------------------------------------------

    def _happened(self, event: str, data: Mapping[str, Any], at: float) -> None:
        """Note when items began and ended, and segments."""
        self._began = self._began or at
        now = max(0, round((at - self._began) * 1000))
        match event:
            case "user.speaking":
                self._note(data["utterance_id"], "start", now)
            case "user.silent":
                self._note(data["utterance_id"], "end", now)
            case "reply.started":
                self._note(data["item_id"], "start", now)
            case "reply.finished":
                self._heard(data, now)
            case "call.ended" | "call.lost":
                for reply in data["replies"]:
                    self._heard(reply, now)
            case "segment.received":
                self._segments[data["id"]] = _segment(data, at)
            case _:
                pass

    def _note(self, item_id: str, edge: Literal["start", "end"], now: int) -> None:
        if not item_id:
            return
        start, end = self._times.pop(item_id, (None, None))
        self._times[item_id] = (now if start is None else start, end) if edge == "start" else (start, now)
        if len(self._times) > _PENDING:
            del self._times[next(iter(self._times))]

    def _heard(self, reply: Mapping[str, Any], now: int) -> None:
        """A reply ends now, and not before its first audio came it began, `heard_ms` ago."""
        first = self._times.get(reply["item_id"], (None, None))[0] or 0
        self._times[reply["item_id"]] = (min(now, max(first, now - reply["heard_ms"])), now)

    def _add(self, line: TranscriptLine) -> None:
        start, end = line.start_ms, line.end_ms
        if line.role in _SPOKEN and start is None:
            start, end = self._times.pop(line.id, (None, None))
        place = self._places.get((line.role, line.id)) if line.id else None
        if place is None:
            if line.id:
                self._places[line.role, line.id] = len(self._said)
            self._said.append(replace(line, start_ms=start, end_ms=end))
            return
        known = self._said[place]
        start, end = (known.start_ms, known.end_ms) if start is None else (start, end)
        self._said[place] = replace(line, start_ms=start, end_ms=end)


def fold(records: Iterable[Mapping[str, Any]], began: float = 0.0) -> list[TranscriptLine]:
    """Return everything that was said in a call.

    Args:
        records: of its journal, from the first.
        began: when it was created, seconds since the epoch; 0: with the first record.
    """
    transcript = Transcript(began)
    for record in records:
        transcript.take(record)
    return transcript.lines()


def cumulative(lines: Iterable[TranscriptLine]) -> str:
    """Return what was said aloud as one text, a line each: of a call with segments, theirs."""
    return "\n".join(line.text for line in lines if line.role in _ALOUD and line.text.strip())


_ALOUD = _SPOKEN | {"segment"}
_HEARD = frozenset(
    {"user.speaking", "user.silent", "reply.started", "reply.finished", "call.ended", "call.lost", "segment.received"}
)


def _line(message: Mapping[str, Any], at: float, seq: int) -> TranscriptLine:
    return TranscriptLine(
        role=message["role"],
        text=message.get("text", ""),
        id=message.get("item_id", ""),
        at=round(at, 3),
        seq=seq,
        interrupted=message.get("interrupted", False),
        tool=message.get("tool", ""),
    )


def _segment(data: Mapping[str, Any], at: float) -> TranscriptLine:
    return TranscriptLine(
        role="segment",
        text=data["text"],
        id=data["id"],
        at=round(at, 3),
        start_ms=data["start_ms"],
        end_ms=data["end_ms"],
        seq=data["seq"],
        final=data["final"],
    )


def _length(segment: TranscriptLine) -> int:
    if segment.start_ms is None or segment.end_ms is None:
        return 0
    return max(0, segment.end_ms - segment.start_ms)


def _woven(said: list[TranscriptLine], segments: list[TranscriptLine]) -> Iterator[TranscriptLine]:
    """Yield both, each in its own order: a segment stands before what was said after it had come."""
    rest = iter(segments)
    segment = next(rest, None)
    for line in said:
        while segment is not None and segment.at <= line.at:
            yield segment
            segment = next(rest, None)
        yield line
    if segment is not None:
        yield segment
        yield from rest
