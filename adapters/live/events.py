"""What is told of a step of a call: a step, or its journal record, in; events out. Pure.

An event has a place in its call, `(seq, n)`: the step, and which of its events. Both ways in give the same events in
the same places, so what a watcher missed can be told again from the journal, by any node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple, TypeAlias

import orjson

from fsm.document import iso
from fsm.history import plain
from fsm.step import Step

__all__ = ["END", "FIRST", "OWN", "Event", "Place", "of_record", "of_step", "read_place", "the_end"]

END = 999
"""`n` of the last event of a call: that it is over."""

OWN = 500
"""`n` of what handlers tell by themselves begins here; what a step tells is below."""
_CARRIED: Mapping[str, tuple[str, ...]] = {
    "intent.detected": ("intent", "confidence", "entities", "missing", "requires_agent", "agent_type"),
    "agent.needs_info": ("question", "slot"),
    "agent.said": ("text",),
    "agent.completed": ("result",),
    "agent.failed": ("reason",),
}
"""Triggers that are told as they are, with these fields."""
_TROUBLE = {"sts.failed": "reason", "reply.failed": "reason"}
_SEGMENT = ("text", "final", "start_ms", "end_ms")


class Place(NamedTuple):
    """Where an event stands in its call."""

    seq: int
    n: int

    def __str__(self) -> str:
        return f"{self.seq}.{self.n}"


class Event:
    """One event of one call. The JSON that is sent is made once, however many hear it."""

    __slots__ = ("_body", "call_id", "data", "place", "type")

    def __init__(self, call_id: str, place: Place, type: str, data: Mapping[str, Any]) -> None:
        self.call_id = call_id
        self.place = place
        self.type = type
        self.data = data
        self._body = ""

    @property
    def ends_call(self) -> bool:
        """Whether nothing follows."""
        return self.place.n == END

    def text(self, id: str) -> str:
        """Return the message that tells it, under this id."""
        if not self._body:
            message = {"type": self.type, "call_id": self.call_id, "data": self.data}
            self._body = orjson.dumps(message, default=str).decode()[1:]
        return f'{{"id":"{id}",{self._body}'


FIRST = Place(1, 0)
"""Of the first event of every call."""
_Told: TypeAlias = tuple[str, dict[str, Any]]


def of_step(step: Step, at: float) -> list[Event]:
    """Return the events of a step that was committed `at` seconds since the epoch."""
    before, after, trigger = step.before, step.after, step.trigger
    record: dict[str, Any] = {
        "seq": after.seq,
        "at": at,
        "call_id": after.context.call_id,
        "event": trigger.name,
        "from": before.state,
        "to": after.state,
        "data": _Fields(trigger),
        "actions": step.row.names,
    }
    if after.context.history is not before.context.history:
        known = set(map(id, before.context.history))
        record["said"] = [plain(m) for m in after.context.history if id(m) not in known]
    return of_record(record)


def of_record(record: Mapping[str, Any]) -> list[Event]:
    """Return the events of a step as its journal record tells it (`fsm.journal.step_record`)."""
    seq, call_id, moment = record["seq"], record["call_id"], {"seq": record["seq"], "at": iso(record["at"])}
    told = enumerate(_told(record))
    return [Event(call_id, Place(seq, n), kind, {**moment, **data}) for n, (kind, data) in told]


def the_end(call_id: str, seq: int, at: float, *, status: str, stream_id: str, reason: str, state: str) -> Event:
    """Return the event that a call is over, which is no step: it is told once the last step is durable."""
    moment = {"seq": seq, "at": iso(at)}
    data = {**moment, **_status(call_id, status, stream_id=stream_id, reason=reason, state=state)}
    return Event(call_id, Place(seq, END), "call.status_changed", data)


def read_place(id: str) -> Place | None:
    """Return the place that an id of a call's stream names; None if it is none."""
    seq, dot, n = id.partition(".")
    if not (dot and seq.isdecimal() and n.isdecimal() and len(id) < 24):
        return None
    return Place(int(seq), int(n))


def _told(record: Mapping[str, Any]) -> Iterator[_Told]:
    event, data = record["event"], record.get("data", {})
    yield "transition", {"event": event, "from": record["from"], "to": record["to"]}
    for message in record.get("said", ()):
        yield "transcript.updated", _said(message)
    yield from _carried(event, data)
    if event == "init":
        yield "call.status_changed", _status(record["call_id"], "initiated", state=record["to"])
    elif "note_answered" in record["actions"]:
        stream_id = data.get("stream_id", "")
        yield "call.status_changed", _status(record["call_id"], "active", stream_id=stream_id, state=record["to"])


def _carried(event: str, data: Mapping[str, Any]) -> Iterator[_Told]:
    """Yield what is told of a trigger itself."""
    if event in _CARRIED:
        yield event, {name: data[name] for name in _CARRIED[event]}
    elif event == "agent.progress":
        yield event, {"progress": data["data"]}
    elif event == "tool.called":
        yield event, {"tools": [_tool(call) for call in data["calls"]]}
    elif event == "segment.received":
        segment = {"role": "segment", "item_id": data["id"] or str(data["seq"]), "interrupted": False}
        yield "transcript.updated", {**segment, **{name: data[name] for name in _SEGMENT}}
    elif event in _TROUBLE or event.startswith("error."):
        yield "error", {"code": event, "message": str(data.get(_TROUBLE.get(event, "error"), ""))}


def _said(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return one thing said; a record leaves out what is empty."""
    return {
        "role": message["role"],
        "text": message.get("text", ""),
        "item_id": message.get("item_id", ""),
        "interrupted": message.get("interrupted", False),
        "tool": message.get("tool", ""),
    }


def _tool(call: Any) -> dict[str, str]:
    """Return a function call, of a trigger or of a record."""
    said = call if isinstance(call, Mapping) else asdict(call)
    return {"tool": said["tool"], "id": said["call_id"]}


def _status(call_id: str, status: str, *, stream_id: str = "", reason: str = "", state: str) -> dict[str, Any]:
    return {"status": status, "sessionId": call_id, "streamSid": stream_id, "endReason": reason, "state": state}


class _Fields(Mapping[str, Any]):
    """A trigger's fields as a record has them, without making one: most are never asked for."""

    __slots__ = ("_trigger",)

    def __init__(self, trigger: object) -> None:
        self._trigger = trigger

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self._trigger, name)
        except AttributeError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:  # pragma: no cover  # never walked
        return iter(())

    def __len__(self) -> int:
        return 1
