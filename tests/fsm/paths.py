"""Cases made from a chart: what is worth trying with it, in the form that `callchart simulate` reads.

`paths` is systematic: every event in every state under every answer of the guards that are asked for it, and every
timer a millisecond early and on time. `random_cases` wanders, with a seed.
"""

from __future__ import annotations

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
    for leaf in machine.leaves:
        way = routes.find(routes.start, leaf)
        if way is not None:
            yield way
            yield from _events(machine, leaf, way)
            yield from _timers(machine, leaf, routes)


def random_cases(machine: Machine, count: int, seed: int, longest: int = 12) -> Iterator[Case]:
    """Yield `count` cases that mostly post what the state expects, and let time pass around the chart's delays."""
    random = Random(seed)
    everything = sorted({e for leaf in machine.table.values() for e in leaf if isinstance(e, str)})
    names = sorted({guard for leaf in machine.table.values() for rows in leaf.values() for guard in _asked(rows)})
    delays = sorted({ms for leaf in machine.leaves for _, ms, _ in _running(machine, leaf)})
    for _ in range(count):
        case: Case = []
        leaf = machine.start.leaf
        for _ in range(random.randint(1, longest)):
            guards = {name: random.random() < 0.5 for name in names if random.random() < 0.6}
            if delays and random.random() < 0.3:
                case.append({"advance": max(0, random.choice(delays) + random.choice((-1, 0, 0, 1))), "guards": guards})
                continue
            expected = sorted(e for e in machine.table[leaf] if isinstance(e, str))
            event = random.choice(expected if expected and random.random() < 0.8 else everything)
            case.append({"event": event, "guards": guards})
            row = _taken(machine.rows(leaf, event), guards)
            leaf = row.leaf if row else leaf
        yield case


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
    for node, ms, rows in _running(machine, leaf):
        for way in routes.with_time_left(leaf, node, ms):
            for guards in _truth_table(_asked(rows)):
                yield [*way, {"advance": 0, "guards": guards}, {"advance": 1, "guards": guards}]


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

    def with_time_left(self, leaf: str, node: int, ms: int) -> Iterator[Case]:
        """Yield ways into `leaf` on which the timer of `node` has one millisecond left.

        The time is spent in `leaf` itself, and, so that a parent's timer is also met in states that are left earlier,
        in another state of the node that waits as long.
        """
        way = self.find(self.start, leaf)
        if way is not None:
            yield [*way, {"advance": ms - 1}]
        for waiting, other in self.machine.leaves.items():
            if waiting != leaf and node in other.path and self._waits(waiting, node, ms):
                first, then = self.find(self.start, waiting), self.find(waiting, leaf, within=node)
                if first is not None and then is not None:
                    yield [*first, {"advance": ms - 1}, *then]
                    return

    def _waits(self, leaf: str, node: int, ms: int) -> bool:
        return all(delay >= ms or owner == node for owner, delay, _ in _running(self.machine, leaf))

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
