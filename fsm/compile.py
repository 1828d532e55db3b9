"""A chart becomes a table: names resolved, nesting flattened, every row's exits and entries worked out beforehand.

How this works. XState's rules (SCXML's, https://www.w3.org/TR/scxml/#AlgorithmforSCXMLInterpretation) depend only on
the active leaf, since nothing is parallel: the states it lies in are active too. So for each leaf and each event the
rows that may be taken are known now, child before parent, and for each of them what is left and what is entered. They
are declared as transitions of one synchronous `transitions.Machine` that all calls share; it has no model, and
`step.py` looks its transitions up in a table by leaf and event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import transitions

from fsm.chart import Chart, Ref, Row, State, matches
from fsm.errors import ChartError
from fsm.registry import ACTION_DEADLINE, Registry

__all__ = ["Bound", "FlatRow", "Guard", "Machine", "Node", "Timer", "compile_chart"]

Function: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard with its parameters bound. `wanted` is False under `not:`."""

    name: str
    function: Function
    wanted: bool = True

    def __str__(self) -> str:
        return self.name if self.wanted else f"not {self.name}"


@dataclass(frozen=True, slots=True)
class Bound:
    """An action, reducer or service with its parameters bound, and where it stands.

    Attributes:
        node: index of the node in whose entry, exit or invoke it stands; of the innermost node entered (else of the
            leaf) for a row's own actions: what it opens belongs to that node's visit.
        deadline: seconds; for `async` actions.
    """

    name: str
    function: Function
    node: int
    reducer: bool = False
    is_async: bool = False
    deadline: float = ACTION_DEADLINE
    id: str = ""
    durable: bool = False


@dataclass(frozen=True, slots=True)
class Timer:
    """An `after` of a node. `key` is the delay's name or milliseconds as written; `event` is `after.<key>`."""

    key: str
    event: str
    seconds: float
    node: int
    order: int
    """Rank among timers that are due together: parents first, then document order."""

    def __lt__(self, other: Timer) -> bool:
        return self.order < other.order


@dataclass(frozen=True, slots=True)
class Node:
    """A state of the chart, leaf or compound, in document order; 0 is the root."""

    index: int
    name: str
    depth: int
    path: tuple[int, ...]
    """Indexes from the root to itself."""
    timers: tuple[Timer, ...]
    invokes: tuple[Bound, ...]
    final: bool
    """Whether the call is over in it: a final state at the top level."""


class FlatRow(transitions.Transition):
    """One row of the chart as it applies in one leaf.

    Attributes:
        leaf: name of the state a call is in afterwards.
        guards: all must hold.
        exited: nodes left, innermost first.
        entered: nodes entered, outermost first.
        starting: those of them that have timers or services to start.
        names: names of its actions and reducers in the order they run: exit, own, entry.
        reducers: those of them that are reducers.
        leaving, own, entering: the actions of the exit, transition and entry blocks.
        final: whether the call is over with it.
        id: `listening/user.transcript/1`: the leaf, the event, its place among the leaf's rows.
    """

    def __init__(
        self, source: str, dest: str | None, *unused: object, event: str, number: int, plan: _Plan, **more: object
    ) -> None:
        super().__init__(source, dest)  # type: ignore[arg-type]  # None: an internal transition
        self.event = event
        self.id = f"{source}/{event}/{number}"
        self.leaf = dest or source
        self.guards = plan.guards
        self.exited = plan.exited
        self.entered = plan.entered
        self.starting = plan.starting
        self.names = tuple(b.name for b in (*plan.leaving, *plan.own, *plan.entering))
        self.reducers = tuple(b for b in (*plan.leaving, *plan.own, *plan.entering) if b.reducer)
        self.leaving = tuple(b for b in plan.leaving if not b.reducer)
        self.own = tuple(b for b in plan.own if not b.reducer)
        self.entering = tuple(b for b in plan.entering if not b.reducer)
        self.final = plan.final
        self.quiet = not (self.leaving or self.own or self.entering or self.exited or self.entered)
        """Nothing is left to do once it is committed."""


@dataclass(frozen=True, slots=True)
class _Plan:
    guards: tuple[Guard, ...]
    exited: tuple[int, ...]
    entered: tuple[int, ...]
    starting: tuple[int, ...]
    leaving: tuple[Bound, ...]
    own: tuple[Bound, ...]
    entering: tuple[Bound, ...]
    final: bool


class _Declared(transitions.Machine):
    transition_cls = FlatRow


class Machine:
    """A compiled chart, shared by all its calls. Make it with `compile_chart`.

    Attributes:
        declared: the `transitions.Machine` with every row of every leaf.
        table: leaf to event to rows; timers under `(event, node's name)`.
        wild: leaf to wildcard to rows, for events that neither the chart nor the registry names.
        nodes: all states in document order.
        start: what entering the chart does, as a row.
        endings: final state to what entering it again does: for a call that was not settled.
    """

    def __init__(self, chart: Chart, nodes: tuple[Node, ...], declared: _Declared, start: FlatRow) -> None:
        self.chart = chart
        self.id, self.version, self.hash = chart.id, chart.version, chart.hash
        self.preempt = frozenset(chart.preempt)
        self.nodes = nodes
        self.declared = declared
        self.start = start
        self.endings: dict[str, FlatRow] = {}
        self.wildcards = tuple(sorted({e for s in chart.root.walk() for e in s.on if e.endswith("*")}))
        self.unvisited = (0,) * len(nodes)
        self.first_visits = tuple(int(n.index in start.entered) for n in nodes)
        self.leaves: Mapping[str, Node] = {n.name: n for n in nodes if n.name in declared.states}
        self.table: dict[str, dict[object, tuple[FlatRow, ...]]] = {name: {} for name in self.leaves}
        self.wild: dict[str, dict[object, tuple[FlatRow, ...]]] = {name: {} for name in self.leaves}

    def rows(self, leaf: str, event: str, node: str = "") -> tuple[FlatRow, ...] | None:
        """Return the rows that may be taken, first come first, or None: the event is not expected there.

        Args:
            leaf: the state the call is in.
            event: a trigger's name.
            node: for a timer, the node it belongs to.
        """
        if node:
            return self.table[leaf].get((event, node))
        return self.table[leaf].get(event) or self.wild[leaf].get(self._wildcard(event))

    def _wildcard(self, event: str) -> str:
        """Return the closest wildcard of the chart that means `event`, or nothing."""
        return max((pattern for pattern in self.wildcards if matches(event, pattern)), key=len, default="")


def compile_chart(chart: Chart, registry: Registry | None = None) -> Machine:
    """Resolve and flatten `chart`. Without a registry, names stand for nothing (guards hold never, actions do nothing).

    Raises:
        ChartError: a name is not registered, or a row re-enters the root.
    """
    return _Compiler(chart, registry).machine()


class _Compiler:
    def __init__(self, chart: Chart, registry: Registry | None) -> None:
        self.chart = chart
        self.registry = registry
        self.states: list[State] = list(chart.root.walk())
        self.index = {state.name: i for i, state in enumerate(self.states)}
        self.paths = [tuple(self.index[n] for n in reversed(chart.ancestors(s.name))) for s in self.states]

    def machine(self) -> Machine:
        nodes = tuple(self._node(i, state) for i, state in enumerate(self.states))
        leaves = [s.name for s in self.chart.leaves()]
        initial = self._descend(0)
        declared = _Declared(
            model=None, states=leaves, initial=nodes[initial[-1]].name, auto_transitions=False, send_event=True
        )
        start = FlatRow(
            nodes[initial[-1]].name, None, event="init", number=0, plan=self._entering_plan((0, *initial), nodes)
        )
        machine = Machine(self.chart, nodes, declared, start)
        for node in nodes:
            if node.final:
                plan = self._entering_plan((node.index,), nodes)
                machine.endings[node.name] = FlatRow(node.name, None, event="init", number=0, plan=plan)
        for leaf in leaves:
            for key, event, rows in self._events(leaf):
                self._declare(machine, leaf, key, event, rows)
        return machine

    def _entering_plan(self, entered: tuple[int, ...], nodes: tuple[Node, ...]) -> _Plan:
        entering = tuple(b for i in entered for b in self._bind_all(self.states[i].entry, i))
        final = nodes[entered[-1]].final
        closing = self._done(nodes[entered[-1]]) if final else ()
        return _Plan((), (), entered, _starting(nodes, entered, final), (), (), (*entering, *closing), final)

    def _declare(self, machine: Machine, leaf: str, key: object, event: str, rows: list[tuple[int, Any]]) -> None:
        name = event if isinstance(key, str) else f"{event}#{key[1]}"  # type: ignore[index]  # (event, node)
        for number, (source, row) in enumerate(rows):
            plan, target = self._plan(machine.nodes, self.index[leaf], source, row)
            dest = None if target is None else machine.nodes[target].name
            machine.declared.add_transition(name, leaf, dest, event=event, number=number, plan=plan)
        table = machine.wild if event in machine.wildcards else machine.table
        table[leaf][key] = tuple(machine.declared.events[name].transitions[leaf] if rows else ())  # type: ignore[arg-type]

    # -- which rows ------------------------------------------------------------------------------

    def _events(self, leaf: str) -> Iterable[tuple[object, str, list[tuple[int, Any]]]]:
        """Yield (table key, event, rows with the node they stand in) for everything `leaf` takes."""
        chain = [self.index[name] for name in self.chart.ancestors(leaf)]
        for event in self._known_events():
            rows = [(i, row) for i in chain for row in self.states[i].candidates(event)]
            if rows:
                yield event, event, rows
        for owner in chain:
            for delay, own in self._timers(self.states[owner]).items():
                rows = []
                for i in chain:
                    found = (*(own if i == owner else ()), *self.states[i].on.get("*", ()))
                    rows += [(i, row) for row in found]
                yield (f"after.{delay}", self.states[owner].name), f"after.{delay}", rows

    def _timers(self, state: State) -> dict[str, tuple[Row, ...]]:
        """Return its timed rows; delays of one length are one timer, as XState has it, known by the first of them."""
        first: dict[float, str] = {}
        timers: dict[str, tuple[Row, ...]] = {}
        for key, rows in state.after.items():
            name = first.setdefault(self.chart.delay(key), key)
            timers[name] = (*timers.get(name, ()), *rows)
        return timers

    def _known_events(self) -> list[str]:
        """Every event that can reach the chart: named in it, or known to the registry.

        A wildcard stands there for itself: for every event that it is the closest match of (see `Machine.rows`).
        """
        named = {event for state in self.states for event in state.on}
        named |= {f"{kind}.invoke.{v.id}" for s in self.states for v in s.invoke for kind in ("done", "error")}
        named |= {f"error.action.{ref.type}" for ref in self._action_refs()}
        if self.registry is not None:
            named |= set(self.registry.triggers)
            named |= {f"error.action.{h.name}" for h in self.registry.all("action")}
        return sorted(named)

    def _action_refs(self) -> Iterable[Ref]:
        for state in self.states:
            yield from (*state.entry, *state.exit)
            for row in state.rows():
                yield from row.actions

    # -- what a row does -------------------------------------------------------------------------

    def _plan(self, nodes: tuple[Node, ...], leaf: int, source: int, row: Any) -> tuple[_Plan, int | None]:
        guards = tuple(self._guard(ref) for ref in row.guards)
        exited: tuple[int, ...] = ()
        entered: tuple[int, ...] = ()
        if row.target is not None:
            exited, entered = self._moves(leaf, source, self.index[row.target], row)
        landing = entered[-1] if entered else leaf
        own = self._bind_all(row.actions, landing)
        leaving = tuple(b for i in exited for b in self._bind_all(self.states[i].exit, i))
        entering = tuple(b for i in entered for b in self._bind_all(self.states[i].entry, i))
        final = nodes[landing].final and bool(entered)
        if final:
            entering = (*entering, *self._done(nodes[landing]))
        starting = _starting(nodes, entered, final)
        return _Plan(guards, exited, entered, starting, leaving, own, entering, final), landing if entered else None

    def _moves(self, leaf: int, source: int, target: int, row: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (exited innermost first, entered outermost first), as XState's getTransitionDomain has it."""
        inside = source in self.paths[target]
        if inside and not row.reenter:
            domain = source
        elif source == 0:
            raise ChartError("a row of the root cannot re-enter it; drop `reenter`", at=row.at, path=row.path)
        elif target == 0:
            raise ChartError("a row cannot lead to the root; name a state in it", at=row.at, path=row.path)
        else:
            shared = [i for i in self.paths[target][:-1] if i in self.paths[source][:-1]]
            domain = shared[-1]
        exited = tuple(i for i in reversed(self.paths[leaf]) if domain in self.paths[i][:-1])
        below = tuple(i for i in self.paths[target] if domain in self.paths[i][:-1])
        return exited, (*below, *self._descend(target))

    def _descend(self, index: int) -> tuple[int, ...]:
        """Return what entering node `index` enters below it: initial states, down to a leaf."""
        state = self.states[index]
        if not state.compound:
            return ()
        child = self.index[str(state.initial)]
        return (child, *self._descend(child))

    def _done(self, node: Node) -> tuple[Bound, ...]:
        """A machine that is done leaves every active state (XState, microstep): exit actions, innermost first."""
        return tuple(b for i in reversed(node.path) for b in self._bind_all(self.states[i].exit, i))

    # -- names to functions ----------------------------------------------------------------------

    def _node(self, index: int, state: State) -> Node:
        depth = len(self.paths[index]) - 1
        timers = tuple(
            Timer(key, f"after.{key}", self.chart.delay(key), index, depth * 10_000 + index * 100 + number)
            for number, key in enumerate(self._timers(state))
        )
        invokes = tuple(self._bind(ref, index, "service", ref.id) for ref in state.invoke)
        return Node(index, state.name, depth, self.paths[index], timers, invokes, state.final and depth == 1)

    def _guard(self, ref: Any) -> Guard:
        handler = None if self.registry is None else self.registry.get("guard", ref.type)
        if handler is None and self.registry is not None:
            raise ChartError(f"no guard is called {ref.type!r}", at=ref.at, path=ref.path, code="unknown-guard")
        function = _never if handler is None else _with(handler.function, ref.params)
        return Guard(ref.type, function, not ref.negated)

    def _bind_all(self, refs: Iterable[Ref], node: int) -> tuple[Bound, ...]:
        return tuple(self._bind(ref, node, "action") for ref in refs)

    def _bind(self, ref: Ref, node: int, kind: str, id: str = "") -> Bound:
        if self.registry is None:
            return Bound(ref.type, _nothing, node, id=id)
        if kind == "service":
            handler = self.registry.get("service", ref.type)
        else:
            handler = self.registry.get("action", ref.type) or self.registry.get("reducer", ref.type)
        if handler is None:
            raise ChartError(f"no {kind} is called {ref.type!r}", at=ref.at, path=ref.path, code=f"unknown-{kind}")
        return Bound(
            handler.name,
            _with(handler.function, ref.params),
            node,
            reducer=handler.kind == "reducer",
            is_async=handler.is_async,
            deadline=handler.deadline,
            id=id,
            durable=handler.durable,
        )


def _starting(nodes: tuple[Node, ...], entered: tuple[int, ...], final: bool) -> tuple[int, ...]:
    return () if final else tuple(i for i in entered if nodes[i].timers or nodes[i].invokes)


def _with(function: Function, params: Mapping[str, Any]) -> Function:
    return partial(function, **params) if params else function


def _never(*anything: object) -> bool:
    return False


def _nothing(*anything: object) -> None:
    return None
