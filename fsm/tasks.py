"""The tasks of one call: asynchronous actions and services, and how they are made to end.

A task that swallows its cancellation is abandoned after a grace: its handle on the call is revoked, the call goes on
without it, and it is cancelled again until it gives in or counts as lost. Nothing waits for it but `gone`.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fsm.clock import Clock
from fsm.errors import HandleRevokedError
from fsm.triggers import Trigger

if TYPE_CHECKING:
    from fsm.compile import Bound
    from fsm.session import Session

__all__ = ["GRACE", "Lease", "Tasks", "note_failure", "open_gate", "perform"]

log = logging.getLogger(__name__)

GRACE = 0.25
"""Seconds that a cancelled task has to end."""
_INSISTENCE = 8  # further cancellations, a grace apart, before a task counts as lost


class Lease:
    """A call as one asynchronous handler sees it: a `Session` until it is revoked."""

    __slots__ = ("_session", "_stamp")

    def __init__(self, session: Session, stamp: tuple[int, int] | None = None) -> None:
        self._session: Session | None = session
        self._stamp = stamp

    def __getattr__(self, name: str) -> Any:
        if self._session is None:
            raise HandleRevokedError("this handler was given up; the call goes on without it")
        return getattr(self._session, name)

    def post(self, trigger: Trigger) -> None:
        """Post on behalf of a service: ignored as stale once its state was left."""
        session: Session = self.__getattr__("_itself")
        session.post(trigger, stamp=self._stamp)

    def on_leave(self, undo: Callable[[], object]) -> None:
        """Have `undo` called when the node is left: a service's own, whatever block runs meanwhile."""
        session: Session = self.__getattr__("_itself")
        if self._stamp is None:
            session.on_leave(undo)
        else:
            session.visits.add_undo(self._stamp[0], undo)

    @property
    def revoked(self) -> bool:
        return self._session is None

    def revoke(self) -> None:
        """Make every further use an error."""
        self._session = None


class Tasks:
    """What still runs for a call.

    Attributes:
        abandoned: how many outlasted their grace.
        lost: how many of those could not be ended at all.
    """

    __slots__ = ("_clock", "_gates", "_grace", "_loop", "_running", "abandoned", "lost")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, grace: float = GRACE) -> None:
        self._loop = loop
        self._clock = clock
        self._grace = grace
        self._running: dict[asyncio.Task[Any], tuple[Lease, asyncio.Future[None] | None]] = {}
        self._gates: list[asyncio.Future[None]] = []
        self.abandoned = 0
        self.lost = 0

    def __len__(self) -> int:
        return len(self._running)

    def adopt(self, task: asyncio.Task[Any], lease: Lease, gate: asyncio.Future[None] | None = None) -> None:
        """Answer for `task` until it is gone; `gate` is opened then."""
        self._running[task] = (lease, gate)
        task.add_done_callback(self._ended)

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel `task`, and see to it that it ends."""
        task.cancel()
        self._clock.call_at(self._clock.now() + self._grace, lambda: self._insist(task, _INSISTENCE))

    async def end(self, task: asyncio.Task[Any]) -> bool:
        """Cancel `task` and wait for it, at most the grace. False: it was abandoned."""
        gate = self._loop.create_future()
        task.add_done_callback(lambda _: open_gate(gate))
        self.cancel(task)
        timer = self._clock.call_at(self._clock.now() + self._grace, lambda: open_gate(gate))
        lease, _ = self._running[task]
        await gate
        timer.cancel()
        return not lease.revoked

    async def gone(self) -> None:
        """Return once nothing runs any more, but for what is lost."""
        while self._running:
            gate = self._loop.create_future()
            self._gates.append(gate)
            await gate

    def _insist(self, task: asyncio.Task[Any], times: int) -> None:
        if task not in self._running:
            return
        if times == _INSISTENCE:
            self.abandoned += 1
            self._running[task][0].revoke()
        if times == 0:
            self.lost += 1
            self._forget(task)
            return
        task.cancel()
        self._clock.call_at(self._clock.now() + self._grace, lambda: self._insist(task, times - 1))

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            task.exception()  # seen: asyncio need not complain that nobody asked
        self._forget(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        _, gate = self._running.pop(task, (None, None))
        if gate is not None:
            open_gate(gate)
        if self._gates and not self._running:
            gates, self._gates = self._gates, []
            for waiting in gates:
                open_gate(waiting)


def note_failure(call_id: str, handler: str, error: BaseException) -> str:
    """Tell developers where a handler failed, and return what kind of failure it was.

    An error's own text is left out: it may quote what a caller said.
    """
    trace = traceback.extract_tb(error.__traceback__)
    where = f"{trace[-1].filename}:{trace[-1].lineno}" if trace else ""
    kind = type(error).__name__
    log.debug("handler_failed", extra={"call_id": call_id, "handler": handler, "error": kind, "where": where})
    return kind


def open_gate(gate: asyncio.Future[None]) -> None:
    """Let whoever waits for `gate` go on."""
    if not gate.done():
        gate.set_result(None)


async def perform(action: Bound, lease: Lease, trigger: Trigger, gate: asyncio.Future[None]) -> None:
    """Run an asynchronous action and open `gate`: a turn of the loop before its task is known to be done."""
    try:
        await action.function(lease, trigger)
    finally:
        open_gate(gate)
