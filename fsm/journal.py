"""What is recorded of each step of a call, enough to replay it: values in, JSON-able records out. Pure.

A record is a dict: `seq`, `at` (seconds since the epoch), `call_id`, `chart` (id, version, hash), `event`, `data`,
`guards` (what each said), `from`, `to`, `actions` (names, in order), and `said`: the messages that the step added to
the call's history or amended, so that what was said is complete however short the history is kept. The first one has
in `call` what the call was before it, so that its records alone rebuild a call. How the actions ended follows in a
record of its own (`seq`, `effects`), since a step is kept before its actions begin. Audio is never in it; the caller's
words are, so a journal is as confidential as a transcript.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from fsm.compile import Machine
from fsm.context import BotSettings, CallContext
from fsm.errors import CallchartError
from fsm.history import plain
from fsm.names import did_you_mean
from fsm.observe import Effect
from fsm.registry import Registry
from fsm.step import Init, Refusal, Snapshot, Step, begin, step
from fsm.triggers import ActionFailed, After, InvokeDone, InvokeFailed, Trigger

__all__ = ["Replayed", "begun_as", "effects_record", "replay", "step_record", "trigger_data", "trigger_from"]


def trigger_data(trigger: Trigger) -> dict[str, Any]:
    """Return the fields of `trigger` as JSON-able values, without its name.

    One of another type than it is declared to be is taken as it is: the library's warning would quote what was said.
    """
    data: dict[str, Any] = _adapter(type(trigger)).dump_python(trigger, mode="json", warnings=False)
    data.pop("name", None)
    return data


def trigger_from(event: str, data: Mapping[str, Any], registry: Registry) -> Trigger:
    """Return the trigger called `event` with these fields.

    Raises:
        CallchartError: there is no such event, or a field does not fit; the message says which.
    """
    kind, named = registry.event_type(event), {}
    if event.startswith("after."):
        kind = After
    if kind is None:
        raise CallchartError(f"no event is called {event!r}")
    if kind in (After, ActionFailed, InvokeDone, InvokeFailed):
        named = {"name": event}
    known = {f.name for f in fields(kind)} - set(named)
    if wrong := sorted(set(data) - known):
        raise CallchartError(f"{event} has no field {wrong[0]!r}{did_you_mean(wrong[0], known)}")
    try:
        trigger: Trigger = _adapter(kind).validate_python({**data, **named})
    except ValidationError as error:
        first = error.errors()[0]
        raise CallchartError(f"{event}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return trigger


def step_record(machine: Machine, done: Step, at: float) -> dict[str, Any]:
    """Return what is kept of a step when it is committed, `at` seconds since the epoch."""
    return {
        "seq": done.after.seq,
        "at": round(at, 6),
        "call_id": done.after.context.call_id,
        "chart": {"id": machine.id, "version": machine.version, "hash": machine.hash},
        "event": done.trigger.name,
        "data": trigger_data(done.trigger),
        "guards": [
            {"row": f.row, "guard": f.guard, "holds": f.holds, **({"reason": f.reason} if f.reason else {})}
            for f in done.findings
        ],
        "from": done.before.state,
        "to": done.after.state,
        "actions": list(done.row.names),
        **({"call": _identity(done.before.context)} if type(done.trigger) is Init else {}),
        **({"said": said} if (said := _said(done)) else {}),
        **({"faults": list(done.faults)} if done.faults else {}),
    }


def begun_as(record: Mapping[str, Any], bot: Callable[[str, str], BotSettings]) -> CallContext:
    """Return what a call was before its first step: what a replay begins with.

    Args:
        record: the first of its journal.
        bot: gives the settings of the bot of this name, or else of this called number.

    Raises:
        CallchartError: it is not the first, or cannot be read.
    """
    call_id, said = record.get("call_id", "?"), record.get("call")
    if not isinstance(said, Mapping):
        raise CallchartError(f"call {call_id}: its journal does not begin with how the call began")
    try:
        facts = {key: said[key] for key in _IDENTITY}
        return CallContext(call_id=record["call_id"], bot=bot(said["bot"], said["called"]), **facts)
    except KeyError as error:
        raise CallchartError(f"call {call_id}: the first record of its journal lacks {error.args[0]!r}") from error


def _identity(call: CallContext) -> dict[str, Any]:
    return {"bot": call.bot.name, **{key: getattr(call, key) for key in _IDENTITY}}


def _said(done: Step) -> list[dict[str, Any]]:
    """Return the messages that a step added or amended, without what is empty."""
    before, after = done.before.context.history, done.after.context.history
    if after is before:
        return []
    known = set(map(id, before))  # one that is equal may be said again
    return [{key: value for key, value in plain(m).items() if value} for m in after if id(m) not in known]


def effects_record(done: Step, effects: Iterable[Effect]) -> dict[str, Any]:
    """Return what is kept of how a step's actions ended; durations in milliseconds."""
    return {
        "seq": done.after.seq,
        "call_id": done.after.context.call_id,
        "effects": [
            {
                "action": e.name,
                "block": e.block,
                "outcome": e.outcome,
                "ms": round((e.ended - e.began) * 1000, 3),
                **({"error": e.error} if e.error else {}),
            }
            for e in effects
        ],
    }


class Replayed(NamedTuple):
    """One record and what the chart makes of it now."""

    record: Mapping[str, Any]
    outcome: Step | Refusal

    @property
    def same(self) -> bool:
        """Whether the call goes where it went, by the same actions."""
        return (
            isinstance(self.outcome, Step)
            and self.outcome.after.state == self.record["to"]
            and list(self.outcome.row.names) == self.record["actions"]
        )


def replay(
    machine: Machine, registry: Registry, context: CallContext, records: Iterable[Mapping[str, Any]]
) -> Iterator[Replayed]:
    """Feed the recorded triggers to `machine`, from the beginning; records of effects are passed over.

    After a step that goes elsewhere, the replay stays where the chart leads.
    """
    now: Snapshot | None = None
    for record in records:
        if "event" not in record:
            continue
        if record["event"] == "init":
            outcome: Step | Refusal = begin(machine, context)
        else:
            now = now or begin(machine, context).after
            outcome = step(machine, now, trigger_from(record["event"], record["data"], registry))
        now = outcome.after if isinstance(outcome, Step) else now
        yield Replayed(record, outcome)


_IDENTITY = (
    "carrier", "caller", "called", "language", "created_at", "metadata", "instructions", "voice",
)  # fmt: skip
"""What a call may have before its first step, besides its id and its bot."""
_ADAPTERS: dict[type[Trigger], TypeAdapter[Any]] = {}


def _adapter(kind: type[Trigger]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
