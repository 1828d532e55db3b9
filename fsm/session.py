"""One call, running: an inbox, one consumer, and the effects of its steps. Read `step.py` first.

How this works. `post` puts a trigger into the inbox. A consumer task, which exists only while the inbox is not empty,
takes one after the other: `step` decides, the snapshot is committed, then exit block, transition actions and entry
block run, in that order, to their end. Three things cut across:

- A preempting trigger (hang-up) goes to the front, and if it leads out of the state, cancels the action that is
  running; what is left of that transition and entry block is skipped. Exit blocks and the entry of a final state are
  never cut.
- Timers and services belong to one visit of one node. Leaving the node ends them; what they still post is stale.
- Once a final state's entry block is over, every scope and both sockets close: the call is settled.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from fsm.clock import Clock, TimerHandle
from fsm.compile import Bound, Machine
from fsm.context import CallContext
from fsm.handle import CallHandle
from fsm.inbox import Inbox, Stamp, put_failure, put_first
from fsm.observe import Effect, skip
from fsm.options import Options
from fsm.ports import CallPorts
from fsm.step import Snapshot, Step, begin, step
from fsm.tasks import Lease, note_failure, open_gate, perform
from fsm.triggers import ActionFailed, Trigger
from fsm.visits import Visits

__all__ = ["Session"]

log = logging.getLogger(__name__)
_CLOSING = 5.0  # seconds that both legs have to close
_DEFAULTS = Options()
_FAULTS = 32  # failures remembered for a call, the newest
_SETTLING = Trigger()
_DONE = ("done", "")
_FAILURES = frozenset({"failed", "timed_out", "abandoned"})


class Session(CallHandle):
    """One call. Made by `SessionManager`; handlers use its ports, `context`, `post` and `on_leave`.

    Attributes:
        given_up: another node has the call: it is over here, and not closed.
        refused, stale, dropped, late: triggers that were not expected, of an over visit, of a full inbox, of a call
            that has closed.
        faults: failures that could only be recorded.
    """

    __slots__ = (
        "_cancellable", "_consumer", "_deadline", "_gate", "_inbox", "_loop", "_node", "_on_settled", "_preempted",
        "_unstarted", "_waiters", "_watch", "_watched", "closed", "dropped", "faults", "given_up", "late", "machine",
        "options", "refused", "settled", "stale", "visits", "__weakref__",
    )  # fmt: skip

    def __init__(
        self,
        machine: Machine,
        context: CallContext,
        ports: CallPorts | None = None,
        *,
        clock: Clock,
        options: Options = _DEFAULTS,
        on_settled: Callable[[Session], object] | None = None,
    ) -> None:
        self.machine = machine
        if ports is not None:
            self.ports = ports
        self.clock = clock
        self.snapshot = Snapshot("", context, (), 0)
        self.closed = self.settled = self.given_up = False
        self.refused = self.stale = self.dropped = self.late = 0
        self.faults: tuple[str, ...] = ()
        self.options = options
        self._on_settled = on_settled
        self.visits = Visits(self)
        self._loop = asyncio.get_running_loop()
        self._inbox: Inbox | None = None
        self._consumer: asyncio.Task[None] | None = None
        self._unstarted: tuple[tuple[int, float, Step], ...] = ()
        self._waiters: tuple[tuple[str, asyncio.Future[None]], ...] = ()
        self._node = 0
        self._preempted = self._cancellable = False
        self._gate: asyncio.Future[None] | None = None
        self._watch: TimerHandle | None = None
        self._watched = self._deadline = 0.0

    # -- what handlers use, besides the ports of `CallHandle` -------------------------------------

    def on_leave(self, undo: Callable[[], object]) -> None:
        """Have `undo` called when the node is left whose block is running: the undo stands next to the do."""
        self.visits.add_undo(self._node, undo)

    def post(self, trigger: Trigger, *, stamp: Stamp | None = None, keep: bool = False) -> None:
        """Tell the call what happened. Never blocks, never raises.

        Args:
            trigger: what happened.
            stamp: the visit that it belongs to, if it is stale once that is over.
            keep: whether it must not be dropped when the inbox is full.
        """
        if self.closed:
            self.late += 1
            return
        inbox = self._inbox
        if inbox is None:
            inbox = self._inbox = deque()
        if trigger.name in self.machine.preempt:
            self._jump_queue(trigger, inbox)
        elif len(inbox) >= self.options.inbox_limit and not keep:
            self.dropped += 1
            self._tell("on_overflow", trigger)
        else:
            inbox.append((trigger, stamp))
        if self._consumer is None:
            self._consumer = self._loop.create_task(self._consume())

    # -- what the manager uses -------------------------------------------------------------------

    def give_up(self) -> None:
        """The call goes on elsewhere: end all that it holds here. No step is taken, and nothing more is committed.

        No exit block runs either: what it would undo (the call at the carrier) is another node's now.
        """
        if self.closed:
            return
        self.given_up = True
        if self._inbox:
            self.late += len(self._inbox)
            self._inbox.clear()
        self._close()
        if self._gate is not None:
            open_gate(self._gate)
        if self._consumer is None:
            self._consumer = self._loop.create_task(self._consume())

    def start(self, first: Step | None = None) -> None:
        """Enter the chart, or do what follows from `first`."""
        first = first or begin(self.machine, self.snapshot.context)
        self.snapshot = first.after
        self._enqueue_step(first)

    def record(self, *faults: str) -> None:
        """Remember failures that nobody can do anything about; the newest."""
        if faults:
            self.faults = (*self.faults, *faults)[-_FAULTS:]

    async def wait_closed(self) -> None:
        """Return once a final state is committed."""
        await self._until("closed")

    async def wait_settled(self) -> None:
        """Return once the call is closed and its effects, sockets and tasks are gone."""
        await self._until("settled")

    def leftovers(self) -> dict[str, int]:
        """Count what the call holds; all 0 once it is settled."""
        return self.visits.leftovers()

    def timers_left(self) -> list[tuple[int, str, float]]:
        """Return (node, key, seconds left) of each timer; those too that start once their entry block is over."""
        left, now = self.visits.timers.left(), self.clock.now()
        for node, since, done in self._unstarted:
            if not self._is_stale((node, done.after.visits[node])):
                left += [(node, t.key, max(0.0, since + t.seconds - now)) for t in self.machine.nodes[node].timers]
        return sorted(left, key=lambda timer: timer[2])

    @property
    def abandoned(self) -> int:
        """How many handlers swallowed their cancellation."""
        return self.visits.abandoned

    # -- the inbox -------------------------------------------------------------------------------

    def _enqueue_step(self, done: Step) -> None:
        self._inbox = self._inbox or deque()
        self._inbox.appendleft((done, None))
        if self._consumer is None:
            self._consumer = self._loop.create_task(self._consume())

    def _jump_queue(self, trigger: Trigger, inbox: Inbox) -> None:
        """Let a preempting trigger go first; it cuts what is running if it leads out of the state."""
        behind_socket = put_first(inbox, trigger, self.machine.preempt)
        if self._consumer is not None and not behind_socket:
            decided = step(self.machine, self.snapshot, trigger)
            if isinstance(decided, Step) and decided.row.exited:
                self._preempted = True
                if self._gate is not None and self._cancellable:
                    open_gate(self._gate)

    async def _consume(self) -> None:
        inbox = self._inbox
        while inbox:
            item, stamp = inbox.popleft()
            self._preempted = False
            try:
                await self._handle(item, stamp)
            except Exception as error:  # our own mistake: the call must still be able to end
                log.exception("step_broken", extra={"call_id": self.call_id})
                self.record(f"step: {type(error).__name__}")
        if self.given_up:
            await self._settle()
        self._inbox = None
        self._consumer = None

    async def _handle(self, item: Trigger | Step, stamp: Stamp | None) -> None:
        if isinstance(item, Step):
            await self._perform(item)
        elif self.closed:
            self.late += 1
        elif stamp is not None and self._is_stale(stamp):
            self.stale += 1
            self._tell("on_stale", item)
        else:
            outcome = step(self.machine, self.snapshot, item)
            if isinstance(outcome, Step):
                await self._perform(outcome)
            else:
                self.refused += 1
                self.record(*outcome.faults)
                self._tell("on_refusal", outcome)

    def _is_stale(self, stamp: Stamp) -> bool:
        node, visit = stamp
        return node not in self.machine.leaves[self.snapshot.state].path or self.snapshot.visits[node] != visit

    # -- effects ---------------------------------------------------------------------------------

    async def _perform(self, done: Step) -> None:
        """Commit a step and do what follows from it."""
        row = done.row
        self.snapshot = done.after
        effects: list[Effect] | None = [] if self.options.observers else None
        self.record(*done.faults)
        if row.exited:
            self.visits.end(row.exited)
        if row.starting:
            since = self.clock.now()
            self._unstarted += tuple((node, since, done) for node in row.starting)
        if effects is not None:
            self._tell("on_commit", done)
        if row.final:
            self._close()
        if not row.quiet:
            await self._run_blocks(done, effects)
        if effects is not None and not self.given_up:
            self._tell("on_effects", done, effects)
        if row.final and not self.given_up:
            await self._settle()

    async def _run_blocks(self, done: Step, effects: list[Effect] | None) -> None:
        row = done.row
        if row.leaving:
            await self._run_block("exit", row.leaving, done, effects, stubborn=True)
        if row.exited:
            self.record(*self.visits.undo(row.exited))
        if row.own:
            await self._run_block("transition", row.own, done, effects, stubborn=False)
        if row.entering:
            await self._run_block("entry", row.entering, done, effects, stubborn=row.final)
        if self._unstarted and not self._preempted and not self.given_up:
            self._start_visits()

    async def _run_block(
        self, block: str, actions: tuple[Bound, ...], done: Step, effects: list[Effect] | None, *, stubborn: bool
    ) -> None:
        """Run one block. A stubborn one attempts every action; another ends with its first failure or a hang-up."""
        for place, action in enumerate(actions):
            if self.given_up or (self._preempted and not stubborn):
                return skip(block, actions[place:], effects)
            self._node = action.node
            began = 0.0 if effects is None else self.clock.now()
            if action.is_async:
                outcome, error = await self._run_async(action, done.trigger, cancellable=not stubborn)
            else:
                outcome, error = self._run_plain(action, done.trigger)
            if effects is not None:
                effects.append(Effect(action.name, block, outcome, error, began, self.clock.now()))
            if outcome in _FAILURES:
                self._failed(action, done, outcome, error)
                if not stubborn:
                    return skip(block, actions[place + 1 :], effects)
        return None

    def _run_plain(self, action: Bound, trigger: Trigger) -> tuple[str, str]:
        try:
            action.function(self, trigger)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # a failure becomes a trigger
            return "failed", note_failure(self.call_id, action.name, error)
        return _DONE

    async def _run_async(self, action: Bound, trigger: Trigger, *, cancellable: bool) -> tuple[str, str]:
        lease, tasks = Lease(self), self.visits.tasks
        gate = self._loop.create_future()
        task = self._loop.create_task(perform(action, lease, trigger, gate))
        tasks.adopt(task, lease, gate)
        self._gate, self._cancellable = gate, cancellable
        self._deadline = self.clock.now() + action.deadline
        if self._watch is None or self._watched > self._deadline:
            self._watch_deadline()
        await gate
        self._gate = None
        if not task.done():
            outcome = "preempted" if self.given_up or (cancellable and self._preempted) else "timed_out"
            ended = await tasks.end(task)
            return (outcome, "") if ended or outcome == "preempted" else ("abandoned", "")
        if task.cancelled():
            return "failed", "CancelledError"
        problem = task.exception()
        return _DONE if problem is None else ("failed", note_failure(self.call_id, action.name, problem))

    def _watch_deadline(self) -> None:
        """Have one timer look after all deadlines of this call: most actions end long before theirs."""
        if self._watch is not None:
            self._watch.cancel()
        self._watched = self._deadline
        self._watch = self.clock.call_at(self._watched, self._check_deadline)

    def _check_deadline(self) -> None:
        self._watch = None
        if self._gate is None:
            return
        if max(self.clock.now(), self._watched) >= self._deadline:  # asyncio may call a hair early
            open_gate(self._gate)
        else:
            self._watch_deadline()

    def _failed(self, action: Bound, done: Step, outcome: str, error: str) -> None:
        """Turn a failure into a trigger; in a final state, or while one is being handled, only record it."""
        if done.row.final or isinstance(done.trigger, ActionFailed):
            self.record(f"action {action.name}: {error or outcome}")
            return
        failure = ActionFailed(name=f"error.action.{action.name}", error=error, timed_out=outcome != "failed")
        assert self._inbox is not None  # the consumer is running
        put_failure(self._inbox, failure, self.machine.preempt)

    def _start_visits(self) -> None:
        """Start what belongs to the nodes entered, outermost first; to those too that a hang-up kept waiting."""
        waiting, self._unstarted = self._unstarted, ()
        for node, since, done in waiting:
            if not self._is_stale((node, done.after.visits[node])):
                self.visits.start(node, since, done)
        self.visits.schedule()

    # -- the end ---------------------------------------------------------------------------------

    def _close(self) -> None:
        """The end is committed: whatever runs for the call ends now."""
        self.closed = True
        self.visits.end(range(len(self.machine.nodes)))
        self._wake_waiters("closed")

    async def _settle(self) -> None:
        self.record(*self.visits.undo(range(len(self.machine.nodes) - 1, -1, -1)))
        closing = Bound("aclose", _close_ports, 0, is_async=True, deadline=_CLOSING)
        outcome, error = await self._run_async(closing, _SETTLING, cancellable=False)
        if outcome != "done":
            self.record(f"closing the line: {error or outcome}")
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        await self.visits.tasks.gone()
        self.settled = True
        self._tell("on_settled")
        if self._on_settled is not None:
            self._on_settled(self)
        self._wake_waiters("settled")

    # -- small things ----------------------------------------------------------------------------

    async def _until(self, what: str) -> None:
        if not getattr(self, what):
            gate = self._loop.create_future()
            self._waiters = (*self._waiters, (what, gate))
            await gate

    def _wake_waiters(self, what: str) -> None:
        for name, gate in self._waiters:
            if name == what:
                open_gate(gate)

    @property
    def _itself(self) -> Session:
        return self

    def _tell(self, event: str, *facts: object) -> None:
        for observer in self.options.observers:
            try:
                getattr(observer, event)(self, *facts)
            except Exception:  # an observer must not hurt the call
                log.exception("observer failed", extra={"call_id": self.call_id, "observer": type(observer).__name__})


async def _close_ports(session: Session, trigger: Trigger) -> None:
    await session.ports.aclose()
