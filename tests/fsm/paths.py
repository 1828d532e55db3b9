"""Cases made from a chart: what is worth trying with it, in the form that `callchart simulate` reads.

`paths` is systematic: every event in every state under every answer of the guards that are asked for it, and every
timer a millisecond early and on time. `random_cases` wanders, with a seed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from random import Random
from typing import Any, TypeAlias

from fsm.compile import FlatRow, Machine
from fsm.xstate import delay_ms

__all__ = ["paths", "random_cases"]

Step: TypeAlias = dict[str, Any]
Case: TypeAlias = list[Step]


def paths(machine: Machine) -> Iterator[Case]:
    """Yield the systematic cases of `machine`, none of them twice, in the order of the chart."""
    routes = _Routes(machine)
    seen: set[str] = set()
    for leaf in machine.leaves:
        way = routes.find(routes.start, leaf)
        found = () if way is None else (way, *_events(machine, leaf, way), *_timers(machine, leaf, routes))
        for case in found:
            written = json.dumps(case)
            if written not in seen:
                seen.add(written)
                yield case


def random_cases(machine: Machine, count: int, seed: int, longest: int = 12) -> Iterator[Case]:
    """Yield `count` cases that mostly post what the state expects, and let time pass around the chart's delays.

    Half of them start in a state of their own, or few would get beyond the first words of a call.
    """
    wanderer = _Wanderer(machine, Random(seed), longest)
    for _ in range(count):
        yield wanderer.case()


class _Wanderer:
    def __init__(self, machine: Machine, random: Random, longest: int) -> None:
        self.machine = machine
        self.random = random
        self.longest = longest
        routes = _Routes(machine)
        ways = [(leaf, routes.find(routes.start, leaf)) for leaf, node in machine.leaves.items() if not node.final]
        self.ways = [(leaf, way) for leaf, way in ways if way is not None]
        self.expected = {leaf: [e for e in table if isinstance(e, str)] for leaf, table in machine.table.items()}
        self.everything = sorted({event for events in self.expected.values() for event in events} | {"call.ended"})
        tables = machine.table.values()
        self.guards = sorted({guard for table in tables for rows in table.values() for guard in _asked(rows)})
        self.delays = sorted({ms for leaf in machine.leaves for _, ms, _ in _running(machine, leaf)})

    def case(self) -> Case:
        leaf, way = self.random.choice(self.ways) if self.random.random() < 0.5 else (self.machine.start.leaf, [])
        case = list(way)
        for _ in range(self.random.randint(1, self.longest)):
            guards = {name: self.random.random() < 0.5 for name in self.guards if self.random.random() < 0.6}
            if self.delays and self.random.random() < 0.2:
                case.append({"advance": self._time(), "guards": guards})
            else:
                event, leaf = self._event(leaf, guards)
                case.append({"event": event, "guards": guards})
        return case

    def _time(self) -> int:
        """Return milliseconds: a delay of the chart, give or take one, or a moment."""
        around = self.random.choice(self.delays) + self.random.choice((-1, 0, 1))
        return max(0, around if self.random.random() < 0.5 else self.random.randint(0, 500))

    def _event(self, leaf: str, guards: Mapping[str, bool]) -> tuple[str, str]:
        """Return an event, and the state it leads to unless a timer has led elsewhere; seldom the end."""
        event, row = self._draw(leaf, guards)
        for _ in range(2):
            if row is not None and row.final:
                event, row = self._draw(leaf, guards)
        return event, row.leaf if row else leaf

    def _draw(self, leaf: str, guards: Mapping[str, bool]) -> tuple[str, FlatRow | None]:
        expected = self.expected[leaf]
        event = self.random.choice(expected if expected and self.random.random() < 0.8 else self.everything)
        return event, _taken(self.machine.rows(leaf, event), guards)


# -- every event, every timer --------------------------------------------------------------------------


def _events(machine: Machine, leaf: str, way: Case) -> Iterator[Case]:
    for event in machine.table[leaf]:
        if isinstance(event, str):
            rows = machine.rows(leaf, event) or ()
            seen: set[str] = set()
            for guards in _truth_table(_asked(rows)):
                row = _taken(rows, guards)
                step = {"event": event, "guards": guards}
                if row is None or row.id in seen:
                    yield [*way, step]
                else:
                    seen.add(row.id)
                    yield [*way, {"advance": 7}, step, *_clocks(machine, row.leaf)]


def _clocks(machine: Machine, leaf: str) -> Case:
    """Return steps that tell whether the shortest timer of `leaf` was started now, or seven milliseconds before."""
    shortest = min((ms for _, ms, _ in _running(machine, leaf)), default=0)
    return [{"advance": ms} for ms in (shortest - 8, 1, 6, 1)] if shortest > 8 else []


def _timers(machine: Machine, leaf: str, routes: _Routes) -> Iterator[Case]:
    running = list(_running(machine, leaf))
    asked = _asked(row for _, _, rows in running for row in rows)
    for node, ms, _ in running:
        for arrive, wait, then in routes.with_time(leaf, node, ms - 1):
            for guards in _truth_table(asked):
                yield [*arrive, {**wait, "guards": guards}, *then, {"advance": 1, "guards": guards}]


def _running(machine: Machine, leaf: str) -> Iterator[tuple[int, int, tuple[FlatRow, ...]]]:
    """Yield the timers that run in `leaf`: their node, their milliseconds, and the rows that they may take."""
    for index in machine.leaves[leaf].path:
        node = machine.nodes[index]
        for timer in node.timers:
            ms = int(delay_ms(machine.chart, timer.key))
            yield index, ms, machine.rows(leaf, timer.event, node.name) or ()


def _truth_table(names: Iterable[str]) -> Iterator[dict[str, bool]]:
    ordered = list(names)
    for answers in product((False, True), repeat=len(ordered)):
        yield dict(zip(ordered, answers, strict=True))


def _asked(rows: Iterable[FlatRow]) -> list[str]:
    return list(dict.fromkeys(guard.name for row in rows for guard in row.guards))


def _taken(rows: Iterable[FlatRow] | None, guards: Mapping[str, bool]) -> FlatRow | None:
    for row in rows or ():
        if all(guards.get(guard.name, False) is guard.wanted for guard in row.guards):
            return row
    return None


# -- ways through the chart ----------------------------------------------------------------------------


class _Routes:
    """Shortest ways from state to state by events alone."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.start = machine.start.leaf
        self._moves = {leaf: list(self._from(leaf)) for leaf in machine.leaves}

    def find(self, start: str, goal: str, within: int = 0) -> Case | None:
        """Return events that lead from `start` to `goal` and do not leave node `within`; None if there are none."""
        queue: deque[tuple[str, Case]] = deque([(start, [])])
        seen = {start}
        while queue:
            leaf, way = queue.popleft()
            if leaf == goal:
                return way
            for step, row in self._moves[leaf]:
                if row.leaf not in seen and within not in row.exited:
                    seen.add(row.leaf)
                    queue.append((row.leaf, [*way, step]))
        return None

    def with_time(self, leaf: str, node: int, ms: int) -> Iterator[tuple[Case, Step, Case]]:
        """Yield ways into `leaf` on which `node` has been active for `ms`: before the wait, the wait, after it.

        The time is spent in `leaf` itself, and, so that a parent's timer is also met in states that are left earlier,
        in another state of the node that waits as long.
        """
        way = self.find(self.start, leaf)
        if way is not None:
            yield way, {"advance": ms}, []
        for waiting, other in self.machine.leaves.items():
            if waiting != leaf and node in other.path and self._waits(waiting, node, ms):
                first, then = self.find(self.start, waiting), self.find(waiting, leaf, within=node)
                if first is not None and then is not None:
                    yield first, {"advance": ms}, then
                    return

    def _waits(self, leaf: str, node: int, ms: int) -> bool:
        return all(delay > ms or owner == node for owner, delay, _ in _running(self.machine, leaf))

    def _from(self, leaf: str) -> Iterator[tuple[Step, FlatRow]]:
        """Yield one step for each row of `leaf` that some answer of the guards takes."""
        for event in self.machine.table[leaf]:
            if isinstance(event, str):
                rows = self.machine.rows(leaf, event) or ()
                seen: set[str] = set()
                for guards in _truth_table(_asked(rows)):
                    row = _taken(rows, guards)
                    if row is not None and row.id not in seen:
                        seen.add(row.id)
                        yield {"event": event, "guards": {name: True for name, holds in guards.items() if holds}}, row
