"""The same storm on `transitions.extensions.asyncio.AsyncMachine`: same states, same rows, same handlers and faults.

It gets every help that a careful user would give it. Timers and services, which it does not have, are ours, and stop
when their state is left. The queue is one per call (`queued="model"`): with `queued=True` all calls of a machine share
one, and the first failing handler drops everybody's events. Whoever posts catches what comes back and goes on. In the
guarded variant each handler has a `try` of its own and its deadline, and a failure is posted as `error.action.<name>`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from transitions.extensions.asyncio import AsyncMachine

from fsm.compile import Bound, FlatRow, Guard, Machine
from fsm.context import CallContext, remember
from fsm.triggers import ActionFailed, After, InvokeDone, InvokeFailed, Trigger
from tests.benchmarks.storm_world import World

__all__ = ["Peer", "PeerCall"]

logging.getLogger("transitions").setLevel(logging.CRITICAL)  # it logs each of our faults as an error


class PeerCall:
    """One call: a model of the AsyncMachine, and the session that handlers see."""

    def __init__(self, peer: Peer, context: CallContext) -> None:
        self.peer = peer
        self.context = context
        self.state = ""
        self.visits = [0] * len(peer.chart.nodes)
        self.timers: dict[int, list[asyncio.TimerHandle]] = {}
        self.services: dict[int, list[asyncio.Task[Any]]] = {}
        self.tasks: set[asyncio.Task[Any]] = set()

    @property
    def call_id(self) -> str:
        return self.context.call_id

    @property
    def slot(self) -> PeerCall:
        return self

    def release(self) -> None:
        self.peer.slots.discard(self.call_id)

    def on_leave(self, undo: Callable[[], object]) -> None:
        """Scopes it has none."""

    def post(self, trigger: Trigger) -> None:
        """Nobody awaits a transition here either."""
        name = f"{trigger.name}#{trigger.node}" if isinstance(trigger, After) else trigger.name
        event = self.peer.machine.events.get(name)
        if event is not None:
            self.spawn(self._take(event, trigger))

    async def _take(self, event: Any, trigger: Trigger) -> None:
        try:
            await event.trigger(self, trigger)
        except Exception:  # noqa: BLE001  # a handler's bug: whoever posted goes on
            self.peer.raised += 1

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    # -- what belongs to a state -----------------------------------------------------------------

    def enter(self, nodes: tuple[int, ...]) -> None:
        loop = asyncio.get_running_loop()
        for index in nodes:
            node = self.peer.chart.nodes[index]
            self.timers[index] = [
                loop.call_later(timer.seconds, self.post, After(name=timer.event, node=node.name))
                for timer in node.timers
            ]
            self.services[index] = [self.spawn(self._serve(invoke)) for invoke in node.invokes]

    def leave(self, nodes: tuple[int, ...]) -> None:
        for index in nodes:
            for timer in self.timers.pop(index, []):
                timer.cancel()
            for service in self.services.pop(index, []):
                service.cancel()

    async def _serve(self, invoke: Bound) -> None:
        try:
            end = await invoke.function(self, None) or InvokeDone(name=f"done.invoke.{invoke.id}")
        except Exception as error:  # noqa: BLE001  # a service's bug is an event
            end = InvokeFailed(name=f"error.invoke.{invoke.id}", error=type(error).__name__)
        self.post(end)


class Peer:
    """All calls of one storm on one AsyncMachine."""

    def __init__(self, chart: Machine, world: World, *, guarded: bool) -> None:
        self.chart = chart
        self.world = world
        self.guarded = guarded
        self.slots: set[str] = set()
        self.raised = 0
        self.calls: dict[str, PeerCall] = {}
        self.machine = AsyncMachine(
            model=None, states=list(chart.leaves), initial=chart.start.leaf, queued="model", send_event=True,
            auto_transitions=False, ignore_invalid_triggers=True,
        )  # fmt: skip
        for leaf, events in chart.table.items():
            if chart.leaves[leaf].final:
                continue  # nothing leads on from there
            for key, rows in events.items():
                name = key if isinstance(key, str) else "#".join(key)  # type: ignore[arg-type]  # (event, node)
                for row in rows:
                    self._add(name, leaf, row)

    def open(self, call_id: str) -> PeerCall:
        """Begin a call."""
        call = self.calls[call_id] = PeerCall(self, CallContext(call_id=call_id))
        self.slots.add(call_id)
        self.machine.add_model(call)
        call.enter(self.chart.start.entered)
        return call

    def _add(self, name: str, leaf: str, row: FlatRow) -> None:
        dest = row.leaf if row.entered else None
        bound = [*row.leaving, *row.own]
        self.machine.add_transition(
            name,
            leaf,
            dest,
            conditions=[_condition(g) for g in row.guards],
            before=[self._begin(row), *(self._run(b) for b in bound), *(self._reduce(b) for b in row.reducers)],
            after=[*(self._run(b) for b in row.entering), _entering(row)] if dest else [],
        )

    def _begin(self, row: FlatRow) -> Callable[[Any], None]:
        def begin(event: Any) -> None:
            event.model.context = remember(event.model.context, event.args[0])
            event.model.leave(row.exited)

        return begin

    def _reduce(self, reducer: Bound) -> Callable[[Any], None]:
        def reduce(event: Any) -> None:
            try:
                event.model.context = reducer.function(event.model.context, event.args[0])
            except Exception:
                if not self.guarded:
                    raise

        return reduce

    def _run(self, action: Bound) -> Callable[[Any], Any]:
        if not self.guarded:
            return lambda event: action.function(event.model, event.args[0])

        async def guarded(event: Any) -> None:
            try:
                result = action.function(event.model, event.args[0])
                if result is not None:
                    await asyncio.wait_for(result, action.deadline)
            except Exception as error:  # noqa: BLE001  # a handler's bug is an event
                event.model.post(ActionFailed(name=f"error.action.{action.name}", error=type(error).__name__))

        return guarded


def _condition(guard: Guard) -> Callable[[Any], bool]:
    return lambda event: bool(guard.function(event.model.context, event.args[0])) is guard.wanted


def _entering(row: FlatRow) -> Callable[[Any], None]:
    return lambda event: event.model.enter(row.entered)
