"""How a call is shown to operators: its document as plain JSON, and the short form of one that is not over. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from adapters.calls.lines import Transcript, cumulative
from fsm.document import Facts, document
from fsm.session import Session
from fsm.stored import store

__all__ = ["as_json", "audio_seconds", "document_of", "metadata_patch", "summary"]


def as_json(value: object) -> Any:
    """Return a value as JSON has it: dataclasses and tuples become objects and lists."""
    return orjson.loads(orjson.dumps(value, default=dict))


def document_of(session: Session, facts: Facts) -> dict[str, Any]:
    """Return the document of a call of this node, as it is now."""
    shown: dict[str, Any] = as_json(document(store(session), facts, closed=session.closed))
    return shown


def audio_seconds(shown: Mapping[str, Any], transcript: Transcript) -> float:
    """Return how much audio a call is of: what its line received, or what its segments say that they last."""
    received = (shown.get("audio") or {}).get("received_seconds") or 0.0
    return round(received or transcript.segments_ms / 1000, 3)


def summary(shown: Mapping[str, Any], transcript: Transcript, *, words: bool = True) -> dict[str, Any]:
    """Return what is shown of a call that is not over; see `Calls.active`.

    Args:
        shown: its document.
        words: whether what was said is to be in it.
    """
    return {
        "call_id": shown["call_id"],
        "start_time": shown["created_at"],
        "last_activity": shown["last_activity"],
        "cumulative_transcript": cumulative(transcript.lines()) if words else "",
        "total_audio_duration": audio_seconds(shown, transcript),
        "segment_count": transcript.segment_count,
        "status": shown["status"],
        "state": shown["state"],
        "seq": shown["seq"],
    }


def metadata_patch(known: Mapping[str, Any], news: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of `known` that `news` changes, as a merge patch (RFC 7396) leaves them; None: taken away."""
    return {key: _merged(known.get(key), value) for key, value in news.items()}


def _merged(known: Any, news: Any) -> Any:
    if not isinstance(news, Mapping):
        return news
    before = dict(known) if isinstance(known, Mapping) else {}
    after = {**before, **{key: _merged(before.get(key), value) for key, value in news.items()}}
    return {key: value for key, value in after.items() if not (key in news and value is None)}
