"""Pieces of transcript that come by API: checked, numbered, each told once however often it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from adapters.calls.contract import BadEvent, TranscriptLine
from adapters.calls.lines import Transcript
from fsm.names import did_you_mean
from fsm.triggers import SegmentReceived

__all__ = ["Placed", "place"]

_FIELDS = frozenset({"id", "seq", "text", "start_ms", "end_ms", "final"})
_SEGMENT = TypeAdapter(SegmentReceived)


class Placed:
    """Segments of one call that were posted, until the call has taken them."""

    def __init__(self) -> None:
        self.by_id: dict[str, SegmentReceived] = {}

    def taken(self, segment: SegmentReceived) -> None:
        """The call has taken a segment."""
        if self.by_id.get(segment.id) is segment:
            del self.by_id[segment.id]


def place(segments: Sequence[Mapping[str, Any]], transcript: Transcript, placed: Placed) -> list[SegmentReceived]:
    """Return what is to be posted, in order; noted in `placed`. A segment that is known as it is, is left out.

    One without `seq` keeps that of the known segment of its id, or gets the next one; one without `id` is called after
    its `seq`.

    Raises:
        BadEvent: one of them is wrong; the message says which, counted from 0.
    """
    checked = [_check(number, segment) for number, segment in enumerate(segments)]
    last = max([transcript.last_seq, *(s.seq for s in placed.by_id.values())])
    posted = []
    for given in checked:
        known = placed.by_id.get(given["id"]) or _of(transcript.segment(given["id"])) if given["id"] else None
        if given["seq"] is None:
            given["seq"] = last + 1 if known is None else known.seq
        given["id"] = given["id"] or f"s{given['seq']}"
        known = known or placed.by_id.get(given["id"]) or _of(transcript.segment(given["id"]))
        segment = SegmentReceived(**given)
        last = max(last, segment.seq)
        if segment != known:
            placed.by_id[segment.id] = segment
            posted.append(segment)
    return posted


def _check(number: int, segment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a segment; None stands for a field that is not given."""
    if wrong := sorted(set(segment) - _FIELDS):
        raise BadEvent(f"segment {number} has no field {wrong[0]!r}{did_you_mean(wrong[0], _FIELDS)}")
    try:
        found = _SEGMENT.validate_python({name: value for name, value in segment.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise BadEvent(f"segment {number}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if not found.text.strip():
        raise BadEvent(f"segment {number}: text: it is empty")
    if found.seq < 0 or (found.start_ms or 0) < 0:
        raise BadEvent(f"segment {number}: {'seq' if found.seq < 0 else 'start_ms'}: it is below 0")
    if found.end_ms is not None and found.end_ms < (found.start_ms or 0):
        raise BadEvent(f"segment {number}: end_ms: it ends before it begins")
    return {
        "id": found.id,
        "seq": found.seq if segment.get("seq") is not None else None,
        "text": found.text,
        "start_ms": found.start_ms,
        "end_ms": found.end_ms,
        "final": found.final,
    }


def _of(line: TranscriptLine | None) -> SegmentReceived | None:
    if line is None:
        return None
    return SegmentReceived(
        id=line.id, seq=line.seq, text=line.text, start_ms=line.start_ms, end_ms=line.end_ms, final=line.final
    )
