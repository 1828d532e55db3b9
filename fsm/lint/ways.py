"""Where a call can go: for every leaf and event the rows that may be taken, and what they leave and enter.

XState's rules, read off the chart: child before parent, the first row whose guard holds, so that nothing behind an
unguarded row, or behind a guard and its opposite, counts. Guards may say anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from fsm.chart import Chart, GuardRef, Ref, Row, State
from fsm.check import known_events
from fsm.errors import Problem
from fsm.registry import Handler, Registry

__all__ = ["Way", "Ways", "certain", "guard_key", "problem"]


def problem(code: str, message: str, part: State | Row | Ref) -> Problem:
    """Return the error that `part` stands for."""
    return Problem(code, "error", message, part.at, part.path)


def guard_key(guard: GuardRef, *, negated: bool = False) -> str:
    """Return what `guard`, or its opposite, asks: two that ask the same have the same key."""
    return json.dumps([guard.type, guard.negated is not negated, dict(guard.params)], sort_keys=True)


def certain(row: Row, earlier: Iterable[Row]) -> bool:
    """Return whether `row` is taken if none of `earlier` is: it has no guard, or only the opposites of theirs."""
    refused = {guard_key(other.guards[0], negated=True) for other in earlier if len(other.guards) == 1}
    return all(guard_key(guard) in refused for guard in row.guards)


@dataclass(frozen=True)
class Way:
    """One row as it applies in one leaf.

    Attributes:
        leaf: where the call is.
        owner: the state the row stands in: the leaf, or one it lies in.
        lands: where the call is afterwards; None if it stays.
        exited: states left, innermost first.
        entered: states entered, outermost first.
        sure: whether it is taken if no row before it is.
    """

    leaf: State
    event: str
    owner: State
    row: Row
    lands: State | None = None
    exited: tuple[State, ...] = ()
    entered: tuple[State, ...] = ()
    sure: bool = True

    @property
    def refs(self) -> Iterator[Ref]:
        """Yield what runs, in its order."""
        for state in self.exited:
            yield from state.exit
        yield from self.row.actions
        for state in self.entered:
            yield from state.entry


class Ways:
    """All ways of a chart."""

    def __init__(self, chart: Chart, registry: Registry | None) -> None:
        self.chart = chart
        self.registry = registry
        self.states = {state.name: state for state in chart.root.walk()}
        self.leaves = chart.leaves()
        self._events = tuple(dict.fromkeys([*known_events(chart, registry), *self._named()]))

    def _named(self) -> Iterator[str]:
        for state in self.states.values():
            yield from (event for event in state.on if not event.endswith("*"))

    def handler(self, ref: Ref) -> Handler | None:
        """Return the action or service that `ref` names, if it is registered."""
        if self.registry is None:
            return None
        return self.registry.get("action", ref.type) or self.registry.get("service", ref.type)

    def chain(self, state: State) -> list[State]:
        """Return `state` and those it lies in, innermost first, the root last."""
        return [self.states[name] for name in self.chart.ancestors(state.name)]

    def below(self, state: State) -> list[State]:
        """Return the leaves in `state`; itself if it is one."""
        return [leaf for leaf in self.leaves if state in self.chain(leaf)]

    def open_ended(self) -> Iterator[State]:
        """Yield the leaves that a call can be in and does not end in."""
        return (leaf for leaf in self.leaves if leaf in self.reachable and not self.is_end(leaf))

    def is_end(self, leaf: State) -> bool:
        """Return whether a call is over in `leaf`: a final state at the top level."""
        return leaf.final and self.chart.parents[leaf.name] == self.chart.id

    def rows(self, leaf: State, event: str) -> list[tuple[State, Row]]:
        """Return the rows that may be taken for `event` in `leaf`, each with the state it stands in."""
        found: list[tuple[State, Row]] = []
        for state in self.chain(leaf):
            for row in state.candidates(event):
                sure = certain(row, (earlier for _, earlier in found))
                found.append((state, row))
                if sure:
                    return found
        return found

    def _timed(self, state: State) -> Iterator[tuple[Row, bool]]:
        for rows in state.after.values():
            for index, row in enumerate(rows):
                sure = certain(row, rows[:index])
                yield row, sure
                if sure:
                    break

    @cached_property
    def ways(self) -> dict[str, list[Way]]:
        """The ways out of each leaf, and those that stay; none out of a state that ends the call."""
        return {leaf.name: [] if self.is_end(leaf) else list(self._ways(leaf)) for leaf in self.leaves}

    def _ways(self, leaf: State) -> Iterator[Way]:
        chain = self.chain(leaf)
        running = {f"{end}.invoke.{i.id}" for state in chain for i in state.invoke for end in ("done", "error")}
        for event in self._events:
            if ".invoke." not in event or event in running:
                rows = self.rows(leaf, event)
                for index, (owner, row) in enumerate(rows):
                    sure = certain(row, (earlier for _, earlier in rows[:index]))
                    yield self._way(leaf, event, owner, row, sure)
        for owner in chain:
            yield from (self._way(leaf, row.event, owner, row, sure) for row, sure in self._timed(owner))

    def _way(self, leaf: State, event: str, owner: State, row: Row, sure: bool) -> Way:
        if row.target is None:
            return Way(leaf, event, owner, row, sure=sure)
        target = self.states[row.target]
        domain = self._domain(owner, target, row.reenter)
        exited = tuple(state for state in self.chain(leaf) if self._inside(state, domain))
        entered = [state for state in reversed(self.chain(target)) if self._inside(state, domain)]
        entered += self._descent(target)
        return Way(leaf, event, owner, row, entered[-1] if entered else None, exited, tuple(entered), sure)

    def _descent(self, state: State) -> list[State]:
        """Return the initial states below `state`, down to a leaf."""
        found = [state]
        while found[-1].compound:
            found.append(self.states[str(found[-1].initial)])
        return found[1:]

    def _domain(self, owner: State, target: State, reenter: bool) -> State:
        """Return the state that is not left (XState, getTransitionDomain)."""
        inside = owner in self.chain(target)
        if inside and not reenter:
            return owner
        return next((s for s in self.chain(target)[1:] if s in self.chain(owner)[1:]), self.chart.root)

    def _inside(self, state: State, domain: State) -> bool:
        return state is not domain and domain in self.chain(state)

    @cached_property
    def start(self) -> Way:
        """The way into the chart, as if it were a row."""
        root = self.chart.root
        entered = [root, *self._descent(root)]
        return Way(entered[-1], "", root, Row(event=""), entered[-1], (), tuple(entered))

    @cached_property
    def reachable(self) -> list[State]:
        """The leaves that a call can come to."""
        found = [self.start.leaf]
        for leaf in found:
            found += [w.lands for w in self.ways[leaf.name] if w.lands is not None and w.lands not in found]
        return list({leaf.name: leaf for leaf in found}.values())

    def leading(self, targets: Iterable[State]) -> set[str]:
        """Return the names of the leaves from which a call can come to one of `targets`."""
        found = {state.name for state in targets}
        grown = True
        while grown:
            more = {name for name, ways in self.ways.items() if any(w.lands and w.lands.name in found for w in ways)}
            grown = not more <= found
            found |= more
        return found
