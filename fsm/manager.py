"""All calls of this process: admitted, looked up, counted, ended, drained. One session per call id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from fsm.clock import Clock
from fsm.compile import Machine
from fsm.context import CallContext
from fsm.options import Options
from fsm.ports import CallPorts
from fsm.session import Session
from fsm.stored import StoredCall, check_state, resume
from fsm.tasks import open_gate
from fsm.triggers import SessionEndRequested, SessionShutdown, Trigger

__all__ = ["SessionManager", "Slot"]

_LAST_RESORT = 30.0  # seconds that calls have to settle once they were told to shut down


class Slot:
    """One call's place among `max_calls`; `release` may be called twice."""

    __slots__ = ("_call_id", "_taken")

    def __init__(self, call_id: str, taken: dict[str, None]) -> None:
        self._call_id = call_id
        self._taken = taken

    def release(self) -> None:
        """Give it back."""
        self._taken.pop(self._call_id, None)


class SessionManager:
    """Every call of this process that has not settled.

    Attributes:
        draining: no new calls; those that live may finish.
    """

    def __init__(self, *, clock: Clock, options: Options | None = None, max_calls: int = 1000) -> None:
        self.clock = clock
        self.options = options or Options()
        self.max_calls = max_calls
        self.draining = False
        self._sessions: dict[str, Session] = {}
        self._slots: dict[str, None] = {}  # half of a set's size
        self._gates: list[asyncio.Future[None]] = []
        self._on_settled = self._settled  # bound once, not for every call

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    @property
    def slots_taken(self) -> int:
        return len(self._slots)

    def has_room(self) -> bool:
        """Whether a new call may come."""
        return not self.draining and len(self._slots) < self.max_calls

    def get(self, call_id: str) -> Session | None:
        """Return the call, unless it is unknown or has settled."""
        return self._sessions.get(call_id)

    def call_ids(self) -> list[str]:
        """Return the ids of all calls, oldest first; those that wait for their carrier too."""
        return list(self._sessions)

    def open(
        self,
        machine: Machine,
        context: CallContext,
        make_ports: Callable[[Session, Slot], CallPorts],
        *,
        admitted: bool = True,
        kept: tuple[StoredCall, Trigger] | None = None,
    ) -> Session:
        """Create and start the session of a call.

        Args:
            machine: the call's chart.
            context: with its `call_id`.
            make_ports: makes the ports; the session is not started yet, but may be posted to.
            admitted: whether it takes a slot; one that is only told "busy" does not.
            kept: a call that goes on from there, and what it is told first (see `stored.resume`).

        Raises:
            ValueError: there is a session of that id already.
            CallchartError: the chart has not the state that the call was in.
            Exception: what `make_ports` raises, or what is wrong with `kept`; nothing is left of the call.
        """
        call_id = context.call_id
        if call_id in self._sessions:
            raise ValueError(f"call {call_id} has a session")
        if kept is not None:
            check_state(machine, kept[0])
        if admitted:
            self._slots[call_id] = None
        session = Session(machine, context, clock=self.clock, options=self.options, on_settled=self._on_settled)
        self._sessions[call_id] = session
        try:
            session.ports = make_ports(session, Slot(call_id, self._slots))
            session.start() if kept is None else resume(session, *kept)
        except BaseException:
            del self._sessions[call_id]
            self._slots.pop(call_id, None)
            raise
        return session

    def end(self, call_id: str, reason: str = "") -> bool:
        """Ask for the end of a call, as its chart has it; False if there is none."""
        session = self._sessions.get(call_id)
        if session is None or session.closed:
            return False
        session.post(SessionEndRequested(reason=reason), keep=True)
        return True

    def end_all(self, reason: str = "") -> int:
        """Ask for the end of every call; return how many."""
        return sum(self.end(call_id, reason) for call_id in self.call_ids())

    async def drain(self, grace: float) -> None:
        """Refuse new calls, let those that live finish for `grace` seconds, then shut them down properly."""
        self.draining = True
        await self.idle(timeout=grace)
        for session in self:
            session.post(SessionShutdown(), keep=True)
        await self.idle(timeout=_LAST_RESORT)

    async def idle(self, timeout: float) -> bool:  # noqa: ASYNC109  # in the calls' own time
        """Return True once every call has settled, or False after `timeout` seconds."""
        if not self._sessions:
            return True
        gate = asyncio.get_running_loop().create_future()
        self._gates.append(gate)
        timer = self.clock.call_at(self.clock.now() + timeout, lambda: open_gate(gate))
        await gate
        timer.cancel()
        self._gates.remove(gate)
        return not self._sessions

    def _settled(self, session: Session) -> None:
        self._slots.pop(session.call_id, None)
        self._sessions.pop(session.call_id, None)
        if not self._sessions:
            for gate in self._gates:
                open_gate(gate)
