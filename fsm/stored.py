"""A call between two processes: what is kept of it, and how it goes on.

No way into a state goes past the chart: a call that was loaded gets `call.lost` as its first trigger, and the chart
decides. Time during which no server ran does not count: a timer is kept with what was left of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from fsm.context import CallContext
from fsm.errors import CallchartError
from fsm.session import Session
from fsm.step import Snapshot, Step
from fsm.triggers import Trigger

__all__ = ["StoredCall", "resume", "store"]

_CONTEXT: TypeAdapter[CallContext] = TypeAdapter(CallContext)


class StoredCall(BaseModel):
    """A call as it is kept; JSON by `model_dump_json`.

    Attributes:
        chart_hash: of the chart that the call ran on. Another one is accepted if the state still exists.
        visits: how often each node was entered, by name: nodes may come and go between two charts.
        timers: (node, key, seconds left).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    chart_id: str
    chart_version: int | str
    chart_hash: str
    state: str
    seq: int
    visits: Mapping[str, int]
    timers: tuple[tuple[str, str, float], ...]
    context: Mapping[str, Any]


def store(session: Session) -> StoredCall:
    """Return what has to be kept of a call, as of its last commit."""
    machine, snapshot = session.machine, session.snapshot
    return StoredCall(
        chart_id=machine.id,
        chart_version=machine.version,
        chart_hash=machine.hash,
        state=snapshot.state,
        seq=snapshot.seq,
        visits={node.name: count for node, count in zip(machine.nodes, snapshot.visits, strict=True)},
        timers=tuple((machine.nodes[node].name, key, left) for node, key, left in session.timers_left()),
        context=_CONTEXT.dump_python(snapshot.context, mode="json"),
    )


def resume(session: Session, kept: StoredCall, lost: Trigger) -> None:
    """Continue a stored call in a session that has not been started.

    Args:
        session: made for the call's machine.
        kept: as `store` gave it.
        lost: its first trigger. A call that was closed but not settled runs the entry block of its state again
            instead: each closing action is safe to repeat.

    Raises:
        CallchartError: the chart has no such state any more.
    """
    machine = session.machine
    if kept.state not in machine.leaves:
        raise CallchartError(
            f"call {kept.context.get('call_id', '')}: the chart {machine.id!r} has no state {kept.state!r} any more; "
            f"run the chart it was on (version {kept.chart_version}, hash {kept.chart_hash}) until the call is over"
        )
    visits = tuple(kept.visits.get(node.name, 0) for node in machine.nodes)
    snapshot = Snapshot(kept.state, _CONTEXT.validate_python(kept.context), visits, kept.seq)
    session.snapshot = snapshot
    if kept.chart_hash != machine.hash:
        session.record(f"chart changed: {kept.chart_hash} -> {machine.hash}")
    ending = machine.endings.get(kept.state)
    if ending is not None:
        session.start(Step(lost, ending, snapshot, snapshot._replace(seq=snapshot.seq + 1)))
        return
    now = session.clock.now()
    for name, key, left in kept.timers:
        for index in machine.leaves[kept.state].path:
            node = machine.nodes[index]
            timer = next((t for t in node.timers if node.name == name and t.key == key), None)
            if timer is not None:
                session.visits.timers.arm(timer, visits[index], now + left)
    session.visits.schedule()
    session.post(lost)
