"""One step of one call: what a trigger means in the state the call is in. Pure: no await, clock, log or random.

`step` returns the call's next snapshot and what is to be done about it; doing it is `session.py`'s work. Snapshots and
steps are named tuples: values that cost little to make.
"""

from __future__ import annotations

from asyncio import CancelledError  # what a handler may raise, although it is no Exception
from typing import NamedTuple

from fsm.compile import FlatRow, Machine
from fsm.context import CallContext, remember
from fsm.registry import Verdict
from fsm.triggers import After, Trigger

__all__ = ["Finding", "Init", "Refusal", "Snapshot", "Step", "begin", "step"]


class Init(Trigger):
    """The call begins to exist; enters the chart. Not an event of the chart."""

    name = "init"


class Snapshot(NamedTuple):
    """Where a call stands: everything `step` needs to know of it.

    `visits` counts, by node index, how often each node has been entered; `seq` counts steps.
    """

    state: str
    context: CallContext
    visits: tuple[int, ...]
    seq: int


class Finding(NamedTuple):
    """What one guard said of one row."""

    row: str
    guard: str
    holds: bool
    reason: str


class Step(NamedTuple):
    """A trigger was taken: `after` is to be committed, then `row`'s actions are to be done."""

    trigger: Trigger
    row: FlatRow
    before: Snapshot
    after: Snapshot
    findings: tuple[Finding, ...] = ()
    faults: tuple[str, ...] = ()
    """Guards that raised (and count as false) and reducers that raised (and changed nothing)."""


class Refusal(NamedTuple):
    """A trigger that no active state expects, or whose guards all said no. Nothing changes."""

    trigger: Trigger
    at: Snapshot
    findings: tuple[Finding, ...] = ()
    faults: tuple[str, ...] = ()


def begin(machine: Machine, context: CallContext) -> Step:
    """Enter the chart with a new call."""
    first = _take(machine.start, Snapshot("", context, machine.unvisited, 0), Init(), context, [], [])
    return first._replace(after=first.after._replace(visits=machine.first_visits))  # one tuple for all calls


def step(machine: Machine, now: Snapshot, trigger: Trigger) -> Step | Refusal:
    """Decide what `trigger` means: the first row whose guards hold, child before parent."""
    key = (trigger.name, trigger.node) if type(trigger) is After else trigger.name
    rows = machine.table[now.state].get(key)
    if rows is None:
        return Refusal(trigger, now)
    context = now.context
    findings: list[Finding] = []
    faults: list[str] = []
    for row in rows:
        if not row.guards or _hold(row, context, trigger, findings, faults):
            return _take(row, now, trigger, _remembered(context, trigger, faults), findings, faults)
    return Refusal(trigger, now, tuple(findings), tuple(faults))


def _hold(row: FlatRow, context: CallContext, trigger: Trigger, findings: list[Finding], faults: list[str]) -> bool:
    """Whether all guards of `row` hold; stops at the first that does not."""
    for guard in row.guards:
        reason = ""
        try:
            verdict = guard.function(context, trigger)
            reason = verdict.reason if type(verdict) is Verdict else ""
            holds = bool(verdict) is guard.wanted
        except (Exception, CancelledError) as error:  # noqa: BLE001  # a bug in a guard must not keep a call open: it said no
            faults.append(f"guard {guard.name}: {type(error).__name__}")
            holds = not guard.wanted
        findings.append(Finding(row.id, str(guard), holds, reason))
        if not holds:
            return False
    return True


def _remembered(context: CallContext, trigger: Trigger, faults: list[str]) -> CallContext:
    try:
        return remember(context, trigger)
    except (Exception, CancelledError) as error:  # noqa: BLE001  # odd facts of a trigger must not keep a call open
        faults.append(f"remember {trigger.name}: {type(error).__name__}")
        return context


def _take(
    row: FlatRow,
    now: Snapshot,
    trigger: Trigger,
    context: CallContext,
    findings: list[Finding],
    faults: list[str],
) -> Step:
    for reducer in row.reducers:
        try:
            reduced = reducer.function(context, trigger)
        except (Exception, CancelledError) as error:  # noqa: BLE001  # a bug in a reducer must not keep a call open: it did nothing
            faults.append(f"reducer {reducer.name}: {type(error).__name__}")
            continue
        if isinstance(reduced, CallContext):
            context = reduced
        else:
            faults.append(f"reducer {reducer.name}: returned {type(reduced).__name__}, not a CallContext")
    visits = _visit(now.visits, row) if row.entered else now.visits
    after = Snapshot(row.leaf, context, visits, now.seq + 1)
    return Step(trigger, row, now, after, tuple(findings), tuple(faults))


def _visit(visits: tuple[int, ...], row: FlatRow) -> tuple[int, ...]:
    counts = list(visits)
    for index in row.entered:
        counts[index] += 1
    return tuple(counts)
