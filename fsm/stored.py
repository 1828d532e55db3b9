"""A call between two processes: what is kept of it, and how it goes on.

No way into a state goes past the chart: a call that was loaded gets `call.lost` as its first trigger, and the chart
decides. Time during which no server ran does not count: a timer is kept with what was left of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fsm.compile import Machine
from fsm.context import CallContext
from fsm.errors import CallchartError
from fsm.journal import replay
from fsm.registry import Registry
from fsm.session import Session
from fsm.step import Snapshot, Step
from fsm.triggers import Trigger

__all__ = ["StoredCall", "check_state", "rebuild", "resume", "store"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCall:
    """A call as it is kept; `document.py` makes JSON of it, and back.

    Attributes:
        chart_hash: of the chart that the call ran on. Another one is accepted if the state still exists.
        visits: how often each node was entered, by name: nodes may come and go between two charts.
        timers: (node, key, seconds left).
    """

    chart_id: str
    chart_version: int | str
    chart_hash: str
    state: str
    seq: int
    visits: Mapping[str, int]
    timers: tuple[tuple[str, str, float], ...]
    context: CallContext


def store(session: Session) -> StoredCall:
    """Return what has to be kept of a call, as of its last commit."""
    machine, snapshot = session.machine, session.snapshot
    left = [] if session.closed else session.timers_left()
    return StoredCall(
        chart_id=machine.id,
        chart_version=machine.version,
        chart_hash=machine.hash,
        state=snapshot.state,
        seq=snapshot.seq,
        visits={node.name: count for node, count in zip(machine.nodes, snapshot.visits, strict=True)},
        timers=tuple((machine.nodes[node].name, key, round(seconds, 3)) for node, key, seconds in left),
        context=snapshot.context,
    )


def rebuild(
    machine: Machine, registry: Registry, context: CallContext, records: Iterable[Mapping[str, Any]]
) -> StoredCall:
    """Return a call as its journal tells it, for a call of which nothing else is left. Its timers begin anew.

    Args:
        machine: of the chart it ran on; another one may lead elsewhere than the call went.
        context: as it was when the call began.
        records: of the call's journal, from the first.

    Raises:
        CallchartError: there is no step among the records, or one cannot be read.
    """
    last: Snapshot | None = None
    for done in replay(machine, registry, context, records):
        if isinstance(done.outcome, Step):
            last = done.outcome.after
    if last is None:
        raise CallchartError(f"call {context.call_id}: its journal has no step to rebuild it from")
    path = machine.leaves[last.state].path
    return StoredCall(
        chart_id=machine.id,
        chart_version=machine.version,
        chart_hash=machine.hash,
        state=last.state,
        seq=last.seq,
        visits={node.name: count for node, count in zip(machine.nodes, last.visits, strict=True)},
        timers=tuple((machine.nodes[n].name, t.key, t.seconds) for n in path for t in machine.nodes[n].timers),
        context=last.context,
    )


def check_state(machine: Machine, kept: StoredCall) -> None:
    """See that a call can go on in this chart.

    Raises:
        CallchartError: the chart has no such state any more.
    """
    if kept.state not in machine.leaves:
        raise CallchartError(
            f"call {kept.context.call_id}: the chart {machine.id!r} has no state {kept.state!r} any more; "
            f"run the chart it was on (version {kept.chart_version}, hash {kept.chart_hash}) until the call is over"
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
    check_state(machine, kept)
    visits = tuple(kept.visits.get(node.name, 0) for node in machine.nodes)
    snapshot = Snapshot(kept.state, kept.context, visits, kept.seq)
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
