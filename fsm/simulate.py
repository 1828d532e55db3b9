"""Run a chart dry, many cases a second: which states, which actions, when which guard holds. Nothing is really called.

One case a line, a JSON list of steps, `{"event": "user.transcript", "data": {}, "guards": {"is_blank": true}}` or
`{"advance": 8000, "guards": {}}` (milliseconds of virtual time); one line of JSON a case comes back, `{"trace":
[{"state": "created", "actions": []}, …]}`: one entry for the initial state, then exactly one per step.

How this works. The compiled chart says what each row of each leaf does, so the text of its trace entry is made once.
A step is then a look-up, and time is the moment at which each timer of an active node is due.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple, NoReturn

from fsm.check import known_events
from fsm.compile import FlatRow, Machine
from fsm.errors import CallchartError
from fsm.names import did_you_mean
from fsm.registry import Registry
from fsm.xstate import delay_ms

__all__ = ["SimulateError", "simulate"]

_EVENT_KEYS = frozenset({"event", "data", "guards"})
_ADVANCE_KEYS = frozenset({"advance", "guards"})
_MOST_TIMERS = 100_000
"""Timers that one advance may fire: a chart that never comes to rest is a mistake, not a long wait."""

_LONGEST_MS = 1e12
"""Thirty years: beyond it, milliseconds lose their fractions."""

_NOTHING: Mapping[str, Any] = {}


class SimulateError(CallchartError):
    """A line is not a case.

    Attributes:
        line: its number, from 1.
        message: what is wrong with it.
    """

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        self.message = message
        super().__init__(f"line {line}: {message}")


def simulate(
    machine: Machine,
    lines: Iterable[str | bytes],
    *,
    registry: Registry | None = None,
    loose: bool = False,
    loads: Callable[[str | bytes], Any] = json.loads,
) -> Iterator[str]:
    """Yield one line of JSON, without its newline, for each case of `lines`.

    Args:
        machine: the chart.
        lines: one case each; blank lines may stand at the end.
        registry: what may be named. Without one, the events of phone calls and the guards of the chart.
        loose: accept every name.
        loads: reads JSON; raises `ValueError`.

    Raises:
        SimulateError: a line is not a case.
    """
    chart = _Simulated(machine)
    events, guards = known_events(machine.chart, registry), _known_guards(machine, registry)
    names = _Names(loose, frozenset(events), frozenset(guards))
    blank = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            blank = blank or number
            continue
        if blank:
            raise SimulateError(blank, "the line is blank; a case without steps is []")
        try:
            yield _Case(chart, names).run(loads(line))
        except _BadCaseError as bad:
            raise SimulateError(number, str(bad)) from bad
        except (ValueError, RecursionError) as error:
            raise SimulateError(number, f"not JSON: {error}") from error


def _known_guards(machine: Machine, registry: Registry | None) -> list[str]:
    if registry is not None:
        return [guard.name for guard in registry.all("guard")]
    rows = (row for state in machine.chart.root.walk() for row in state.rows())
    return [guard.type for row in rows for guard in row.guards]


# -- the chart, prepared -------------------------------------------------------------------------------


class _Outcome(NamedTuple):
    """What one row does, if `conditions` (guards' names and the answers wanted) hold."""

    conditions: tuple[tuple[str, bool], ...]
    leaf: _Leaf
    actions: tuple[str, ...]
    entry: str
    """The trace entry of a step that takes it."""
    timers: tuple[tuple[int, float], ...]
    """Timers that it starts, by number, with their milliseconds."""


class _Timer(NamedTuple):
    number: int
    outcomes: tuple[_Outcome, ...]


@dataclass(slots=True, eq=False)
class _Leaf:
    """A state a call can be in."""

    name: str
    over: bool
    kept: str
    """The trace entry of a step that changes nothing."""
    timers: list[_Timer] = field(default_factory=list)
    """Those that run in it: parents first, then document order."""
    outcomes: dict[str, tuple[_Outcome, ...]] = field(default_factory=dict)
    """By event; filled as events come."""


class _Simulated:
    """A machine as simulation needs it; shared by all cases."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.delays = [
            (node.index, float(delay_ms(machine.chart, timer.key))) for node in machine.nodes for timer in node.timers
        ]
        self.leaves = {name: _Leaf(name, node.final, _entry(name, ())) for name, node in machine.leaves.items()}
        for name, leaf in self.leaves.items():
            leaf.timers = list(self._timers(name))
        self.start = self._outcome(machine.start)

    def outcomes(self, leaf: _Leaf, event: str) -> tuple[_Outcome, ...]:
        """Return what `event` may do in `leaf`, first come first; nothing if it is refused."""
        found = tuple(self._outcome(row) for row in self.machine.rows(leaf.name, event) or ())
        leaf.outcomes[event] = found
        return found

    def _timers(self, leaf: str) -> Iterator[_Timer]:
        path = self.machine.leaves[leaf].path
        number = 0
        for node in self.machine.nodes:
            for timer in node.timers:
                if node.index in path:
                    rows = self.machine.rows(leaf, timer.event, node.name) or ()
                    yield _Timer(number, tuple(self._outcome(row) for row in rows))
                number += 1

    def _outcome(self, row: FlatRow) -> _Outcome:
        entered = frozenset(row.entered)
        return _Outcome(
            tuple((guard.name, guard.wanted) for guard in row.guards),
            self.leaves[row.leaf],
            row.names,
            _entry(row.leaf, row.names),
            tuple((number, ms) for number, (node, ms) in enumerate(self.delays) if node in entered),
        )


def _entry(state: str, actions: Collection[str]) -> str:
    return json.dumps({"state": state, "actions": list(actions)}, ensure_ascii=False)


# -- one case ------------------------------------------------------------------------------------------


class _BadCaseError(Exception):
    """What is wrong with a case."""


class _Names(NamedTuple):
    """What a case may name."""

    loose: bool
    events: Collection[str]
    guards: Collection[str]


class _Case:
    """One call that is imagined."""

    __slots__ = ("chart", "due", "leaf", "names", "now")

    def __init__(self, chart: _Simulated, names: _Names) -> None:
        self.chart = chart
        self.names = names
        self.now = 0.0
        self.due = [inf] * len(chart.delays)
        self.leaf = chart.start.leaf

    def run(self, steps: Any) -> str:
        """Return the trace of `steps` as JSON."""
        if type(steps) is not list:
            raise _BadCaseError("a case is a list of steps")
        self._take(self.chart.start)
        trace = [self.chart.start.entry]
        for number, step in enumerate(steps, start=1):
            if type(step) is not dict:
                _bad(number, 'a step is {"event": …} or {"advance": milliseconds}')
            guards = step.get("guards", _NOTHING)
            if guards:
                self._check_guards(number, guards)
            elif type(guards) is not dict and guards is not _NOTHING:
                _bad(number, "`guards` must be an object")
            if "event" in step:
                self._check_event(number, step)
                trace.append(self._post(step["event"], guards))
            else:
                trace.append(self._advance(number, step, guards))
        return '{"trace": [' + ", ".join(trace) + "]}"

    def _post(self, event: str, guards: Mapping[str, bool]) -> str:
        leaf = self.leaf
        if leaf.over:
            return leaf.kept
        outcomes = leaf.outcomes.get(event)
        if outcomes is None:
            outcomes = self.chart.outcomes(leaf, event)
        outcome = _first(outcomes, guards)
        if outcome is None:
            return leaf.kept
        self._take(outcome)
        return outcome.entry

    def _advance(self, number: int, step: Mapping[str, Any], guards: Mapping[str, bool]) -> str:
        end = self.now + _milliseconds(number, step)
        actions: list[str] = []
        fired = 0
        while (timer := self._next(end)) is not None:
            fired += 1
            if fired > _MOST_TIMERS:
                _bad(number, f"the chart's timers do not come to rest: {_MOST_TIMERS} have fired")
            self.now = max(self.now, self.due[timer.number])
            self.due[timer.number] = inf
            outcome = _first(timer.outcomes, guards)
            if outcome is not None:
                self._take(outcome)
                actions += outcome.actions
        self.now = end
        return _entry(self.leaf.name, actions) if actions else self.leaf.kept

    def _next(self, end: float) -> _Timer | None:
        """Return the timer that is due next, until `end`; of several the first in the chart."""
        found, earliest = None, inf
        if not self.leaf.over:
            for timer in self.leaf.timers:
                due = self.due[timer.number]
                if due <= end and due < earliest:
                    found, earliest = timer, due
        return found

    def _take(self, outcome: _Outcome) -> None:
        self.leaf = outcome.leaf
        for timer, ms in outcome.timers:
            self.due[timer] = self.now + ms

    def _check_event(self, number: int, step: Mapping[str, Any]) -> None:
        if not step.keys() <= _EVENT_KEYS:
            _unknown_key(number, step, _EVENT_KEYS)
        event = step["event"]
        if type(event) is not str or not event:
            _bad(number, "`event` must be an event's name")
        if event not in self.names.events:
            self._check_unknown(number, event)
        if "data" in step and type(step["data"]) is not dict:
            _bad(number, "`data` must be an object")

    def _check_unknown(self, number: int, event: str) -> None:
        if event.startswith("after."):
            _bad(number, f'a timer such as {event!r} cannot be posted; let time pass with {{"advance": milliseconds}}')
        if not self.names.loose:
            _bad(number, f"no event is called {event!r}{did_you_mean(event, self.names.events)}")

    def _check_guards(self, number: int, guards: Any) -> None:
        if type(guards) is not dict:
            _bad(number, "`guards` must be an object")
        for name, holds in guards.items():
            if type(holds) is not bool:
                _bad(number, f"guard {name!r} must be true or false")
            if name not in self.names.guards and not self.names.loose:
                _bad(number, f"no guard is called {name!r}{did_you_mean(name, self.names.guards)}")


def _first(outcomes: Iterable[_Outcome], guards: Mapping[str, bool]) -> _Outcome | None:
    """Return the first outcome whose conditions hold; a guard that is not named is false."""
    for outcome in outcomes:
        for name, wanted in outcome.conditions:
            if guards.get(name, False) is not wanted:
                break
        else:
            return outcome
    return None


def _milliseconds(number: int, step: Mapping[str, Any]) -> float:
    if "advance" not in step or not step.keys() <= _ADVANCE_KEYS:
        _unknown_key(number, step, _ADVANCE_KEYS if "advance" in step else _EVENT_KEYS | _ADVANCE_KEYS)
    ms = step["advance"]
    if type(ms) not in (int, float) or not 0 <= ms <= _LONGEST_MS:
        _bad(number, "`advance` must be milliseconds, 0 or more")
    return float(ms)


def _unknown_key(number: int, step: Mapping[str, Any], known: Collection[str]) -> NoReturn:
    for key in step:
        if key not in known:
            _bad(number, f"a step has no {key!r}{did_you_mean(key, known)}")
    _bad(number, 'a step is {"event": …} or {"advance": milliseconds}')


def _bad(number: int, message: str) -> NoReturn:
    raise _BadCaseError(f"step {number}: {message}")
