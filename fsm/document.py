"""A call as readable JSON: what operators look at, what stores keep, and what a call goes on from. Pure.

The fields are those of `CallContext`, by their names, and with them: `schema`, `status`, `state`, `seq`, `chart`,
`visits` and `timers` (where the machine stands), `job_configuration`, `function_calls`, `user_id`, `audio`,
`last_activity`, `ended_at`, `duration`, `settled`. Times are ISO 8601 in UTC, durations seconds. A bot stands there by
its name: its settings are those of the bots file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import lru_cache
from math import floor
from operator import attrgetter
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from fsm.context import EMPTY, BotSettings, CallContext
from fsm.errors import CallchartError
from fsm.history import plain
from fsm.stored import StoredCall

__all__ = ["SCHEMA", "Facts", "document", "iso", "read_document", "status_of", "timestamp"]

SCHEMA = 1
"""Of documents as this version writes them."""
Status = Literal["initiated", "active", "ended", "error"]
_ERRORS = frozenset({"error", "sts_failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a call beside its context. Times are seconds since the epoch; 0: not yet.

    Attributes:
        active_at: when a side was last heard, a key pressed or an API called.
        settled: whether everything that the call held is gone.
        audio: what came through the line (`received_seconds` …).
    """

    active_at: float = 0.0
    ended_at: float = 0.0
    settled: bool = False
    audio: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


def status_of(call: CallContext, *, closed: bool) -> Status:
    """Return what a call counts as: `initiated` before it was answered, `ended` or `error` when it is over."""
    if closed:
        return "error" if call.end_reason in _ERRORS else "ended"
    return "active" if call.answered else "initiated"


def iso(at: float) -> str | None:
    """Return seconds since the epoch as ISO 8601 in UTC, milliseconds; None for 0."""
    if not at:
        return None
    second, micros = floor(at), round(at % 1 * 1e6)
    if micros == 1_000_000:
        second, micros = second + 1, 0
    return f"{_iso_second(second)}.{micros // 1000:03}Z"


@lru_cache(maxsize=256)
def _iso_second(second: int) -> str:
    """Return a second without its zone; most that is told happens in the same few."""
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds")[: -len("+00:00")]


def timestamp(text: str | None) -> float:
    """Return what `iso` was given."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def document(kept: StoredCall, facts: Facts, *, closed: bool) -> dict[str, Any]:
    """Return a call as JSON-able values and dataclasses, ready for `orjson.dumps`."""
    call = kept.context
    over_at = facts.ended_at or facts.active_at
    return {
        "schema": SCHEMA,
        "call_id": call.call_id,
        "status": status_of(call, closed=closed),
        "state": kept.state,
        **dict(zip(_PLAIN, _read_plain(call), strict=True)),
        "history": [plain(message) for message in call.history],
        "bot": call.bot.name,
        "created_at": iso(call.created_at),
        "last_activity": iso(facts.active_at or call.created_at),
        "ended_at": iso(facts.ended_at),
        "duration": round(max(0.0, over_at - call.created_at), 3) if over_at else 0.0,
        "job_configuration": {"instructions": call.instructions, "voice": call.voice, "language": call.language},
        "function_calls": call.tool_calls,
        "user_id": call.metadata.get("user_id"),
        "audio": facts.audio,
        "seq": kept.seq,
        "chart": {"id": kept.chart_id, "version": kept.chart_version, "hash": kept.chart_hash},
        "visits": kept.visits,
        "timers": kept.timers,
        "settled": facts.settled,
    }


def read_document(said: Mapping[str, Any], bot: Callable[[str, str], BotSettings]) -> StoredCall:
    """Return the call that a document is of.

    Args:
        said: as `document` wrote it, of this version or an earlier one.
        bot: gives the settings of the bot of this name, or else of this called number.

    Raises:
        CallchartError: it was written by a newer version, or is none of ours.
    """
    name = said.get("call_id", "?")
    schema = said.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise CallchartError(
            f"call {name}: it was kept with schema {schema!r}, and this version reads 1 to {SCHEMA}; "
            "run the version of callchart that wrote it until the call is over"
        )
    try:
        facts = {key: said[key] for key in _PLAIN if key in said}
        facts |= {"call_id": said["call_id"], "tool_calls": said["function_calls"]}
        facts |= {
            "instructions": said["job_configuration"]["instructions"],
            "voice": said["job_configuration"]["voice"],
        }
        facts |= {"bot": bot(said["bot"], str(facts.get("called", ""))), "created_at": timestamp(said["created_at"])}
        chart = said["chart"]
        return StoredCall(
            chart_id=chart["id"],
            chart_version=chart["version"],
            chart_hash=chart["hash"],
            state=str(said["state"]),
            seq=int(said["seq"]),
            visits={name: int(count) for name, count in said["visits"].items()},
            timers=tuple((node, key, float(left)) for node, key, left in said["timers"]),
            context=_CONTEXT.validate_python(facts),
        )
    except ValidationError as error:  # its own text, and that of a cause, would quote what was said
        raise CallchartError(f"call {name}: its document cannot be read: {_where(error)}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CallchartError(f"call {name}: its document cannot be read: {type(error).__name__}: {error}") from error


def _where(error: ValidationError) -> str:
    """Return what is wrong where, without what stands there."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, wrong['loc']))}: {wrong['type']}" for wrong in found[:3])


_CONTEXT: TypeAdapter[CallContext] = TypeAdapter(CallContext)
_ELSEWHERE = {"call_id", "bot", "created_at", "tool_calls", "instructions", "voice"}
_PLAIN = tuple(f.name for f in fields(CallContext) if f.name not in _ELSEWHERE)
"""Fields of the context that stand in the document as they are."""
_read_plain = attrgetter(*_PLAIN)
