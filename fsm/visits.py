"""What belongs to one visit of one node: its timers, its services, and the undos that its actions left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from fsm.compile import Bound
from fsm.inbox import Stamp
from fsm.step import Step
from fsm.tasks import Lease, Tasks, note_failure
from fsm.timers import Due, Timers
from fsm.triggers import After, InvokeDone, InvokeFailed, Trigger

if TYPE_CHECKING:
    from fsm.session import Session

__all__ = ["Visits"]


class Visits:
    """The running work of one call, by the visit that it belongs to. Made small: most calls idle most of the time."""

    __slots__ = ("_scopes", "_services", "_session", "_tasks", "_timers")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._timers: Timers | None = None
        self._tasks: Tasks | None = None
        self._services: dict[Stamp, list[asyncio.Task[Any]]] | None = None
        self._scopes: dict[int, list[Callable[[], object]]] | None = None

    @property
    def tasks(self) -> Tasks:
        if self._tasks is None:
            self._tasks = Tasks(asyncio.get_running_loop(), self._session.clock, self._session.options.grace)
        return self._tasks

    @property
    def timers(self) -> Timers:
        if self._timers is None:
            self._timers = Timers(self._session.clock, self)
        return self._timers

    def start(self, node: int, since: float, done: Step) -> None:
        """Start the timers and services of `node`, which `done` entered at `since` seconds; then call `schedule`."""
        visit = done.after.visits[node]
        what = self._session.machine.nodes[node]
        for timer in what.timers:
            self.timers.arm(timer, visit, since + timer.seconds)
        for invoke in what.invokes:
            self._serve(invoke, (node, visit), done)

    def schedule(self) -> None:
        """Have the clock call for the timers that were started, all at once."""
        if self._timers is not None:
            self._timers.schedule()

    def end(self, nodes: Iterable[int]) -> None:
        """End timers and services of `nodes` at once: their exit actions may take their time."""
        if self._timers is not None:
            self._timers.disarm(nodes)
        if self._services:
            for stamp in [s for s in self._services if s[0] in nodes]:
                for task in self._services.pop(stamp):
                    self.tasks.cancel(task)

    def add_undo(self, node: int, undo: Callable[[], object]) -> None:
        """Have `undo` called when `node` has been left."""
        if self._scopes is None:
            self._scopes = {}
        self._scopes.setdefault(node, []).append(undo)

    def undo(self, nodes: Iterable[int]) -> tuple[str, ...]:
        """Close the scopes of `nodes`, the newest undo first; return what failed."""
        faults: list[str] = []
        if self._scopes:
            for node in nodes:
                for undo in reversed(self._scopes.pop(node, [])):
                    try:
                        undo()
                    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # the other undos must run
                        faults.append(f"undo: {type(error).__name__}")
        return tuple(faults)

    def due(self, due: Due) -> None:
        """A timer has run out: the chart decides what that means."""
        timer = due.timer
        after = After(name=timer.event, node=self._session.machine.nodes[timer.node].name)
        self._session.post(after, stamp=(timer.node, due.visit), keep=True)

    def leftovers(self) -> dict[str, int]:
        """Count what is held."""
        return {
            "tasks": len(self._tasks) if self._tasks is not None else 0,
            "lost_tasks": self._tasks.lost if self._tasks is not None else 0,
            "timers": len(self._timers) if self._timers is not None else 0,
            "listeners": sum(len(undos) for undos in (self._scopes or {}).values()),
        }

    @property
    def abandoned(self) -> int:
        return self._tasks.abandoned if self._tasks is not None else 0

    def _serve(self, invoke: Bound, stamp: Stamp, done: Step) -> None:
        lease = Lease(self._session, stamp)
        task = asyncio.get_running_loop().create_task(self._service(invoke, lease, done))
        self.tasks.adopt(task, lease)
        if self._services is None:
            self._services = {}
        self._services.setdefault(stamp, []).append(task)
        task.add_done_callback(partial(self._served, invoke.id, stamp))

    async def _service(self, invoke: Bound, lease: Lease, done: Step) -> Trigger | None:
        journal = self._session.options.journal
        if invoke.durable and journal is not None:
            await journal.durable(self._session.call_id, done.after.seq)
        result: Trigger | None = await invoke.function(lease, done.trigger)
        return result

    def _served(self, name: str, stamp: Stamp, task: asyncio.Task[Trigger | None]) -> None:
        running = (self._services or {}).get(stamp)
        if running is None:
            return  # its visit is over
        running.remove(task)
        if task.cancelled():
            end: Trigger = InvokeFailed(name=f"error.invoke.{name}", error="CancelledError")
        elif (problem := task.exception()) is not None:
            end = InvokeFailed(name=f"error.invoke.{name}", error=note_failure(self._session.call_id, name, problem))
        else:
            end = _meaning(name, task.result())
        self._session.post(end, stamp=stamp, keep=True)


def _meaning(name: str, result: object) -> Trigger:
    """Return what the end of service `name` means; one that returns anything but a trigger or None has failed."""
    if result is None:
        return InvokeDone(name=f"done.invoke.{name}")
    if isinstance(result, Trigger):
        return result
    return InvokeFailed(name=f"error.invoke.{name}", error=f"returned {type(result).__name__}, not a Trigger")
