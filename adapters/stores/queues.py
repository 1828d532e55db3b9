"""What waits to be kept of each call, and how it becomes a commit. Nothing is serialised until it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, NamedTuple

from adapters.stores.contract import Commit, Head
from adapters.stores.dumps import dumps
from fsm.document import Facts, document, status_of
from fsm.errors import CallchartError
from fsm.journal import effects_record, step_record
from fsm.observe import Effect
from fsm.session import Session
from fsm.step import Step
from fsm.stored import store
from fsm.triggers import InvokeDone, Trigger

__all__ = ["CallGone", "CallQueue", "LostCalls", "Sent", "commit_of"]

_REMEMBERED = 1000  # calls that were lost


class CallGone(CallchartError):
    """What happens to the call is not kept from here any more: another node has it, or it was erased."""


class CallQueue:
    """The way of one call's entries into the store.

    Attributes:
        session: whose commits these are; None: it has not begun.
        version: of the entry that was queued last.
        kept: of the last entry that store or spool have acknowledged.
        kept_seq: the last step that they have acknowledged.
        waiting: what is queued: (wall time, its step, how the actions of that step ended); no step: it has settled.
        ended_at: when its final step was taken; 0: not yet.
        gone: nothing of it is taken any more.
        refused: the store has refused something of it for itself, and that was told.
    """

    __slots__ = (
        "call_id", "ended_at", "fence", "gates", "gone", "kept", "kept_seq", "refused", "session", "settled", "version",
        "waiting",
    )  # fmt: skip

    def __init__(self, call_id: str, fence: int = 1, version: int = 0) -> None:
        self.call_id = call_id
        self.fence = fence
        self.version = self.kept = version
        self.kept_seq = 0
        self.session: Session | None = None
        self.waiting: list[tuple[float, Step | None, list[Effect] | None]] | None = None
        self.ended_at = 0.0
        self.settled = self.gone = self.refused = False
        self.gates: list[tuple[int, asyncio.Future[None]]] | None = None

    def put(self, session: Session, at: float, step: Step | None, effects: list[Effect] | None) -> bool:
        """Queue an entry; True if none was queued."""
        self.session = session
        self.version += 1
        if self.waiting is None:
            self.waiting = [(at, step, effects)]
            return True
        self.waiting.append((at, step, effects))
        return False

    def gate(self) -> asyncio.Future[None]:
        """Return a future that is done once all that was queued is kept."""
        gate = asyncio.get_running_loop().create_future()
        self.gates = [*(self.gates or ()), (self.version, gate)]
        return gate

    def acknowledge(self, version: int, seq: int) -> None:
        """Everything up to `version` is kept."""
        self.kept, self.kept_seq = max(self.kept, version), max(self.kept_seq, seq)
        if self.gates:
            for until, gate in self.gates:
                if until <= self.kept and not gate.done():
                    gate.set_result(None)
            self.gates = [waiting for waiting in self.gates if waiting[0] > self.kept] or None

    def leave(self) -> None:
        """Take nothing any more; whoever waits is told."""
        self.gone = True
        self.waiting = None
        gates, self.gates = self.gates or [], None
        for _, gate in gates:
            if not gate.done():
                gate.set_exception(CallGone(f"call {self.call_id} is not kept from here any more"))
                gate.exception()  # seen: whoever waited may have gone


class LostCalls:
    """Calls that another node has, the latest ones: whoever asks a moment later must not take them for kept."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._ids

    def add(self, call_id: str) -> None:
        """Another node has it."""
        self._ids[call_id] = None
        if len(self._ids) > _REMEMBERED:
            del self._ids[next(iter(self._ids))]

    def discard(self, call_id: str) -> None:
        """It is ours again."""
        self._ids.pop(call_id, None)


class Sent(NamedTuple):
    """A commit on its way.

    Attributes:
        seq: the last step in it.
        since: the wall time of its first entry.
    """

    queue: CallQueue
    commit: Commit
    seq: int
    since: float


def commit_of(queue: CallQueue, session: Session, node: str, facts: Callable[[Session], Facts]) -> Sent:
    """Take what is queued of a call and make a commit of it; its document is that of the step queued last."""
    waiting = queue.waiting or []
    known = facts(session)
    if queue.ended_at or known.settled != queue.settled:
        known = replace(known, ended_at=known.ended_at or queue.ended_at, settled=queue.settled)
    closed = bool(queue.ended_at)
    commit = Commit(
        call_id=queue.call_id,
        owner=node,
        fence=queue.fence,
        first=queue.version - len(waiting) + 1,
        entries=tuple(dumps(_record(session, *entry)) for entry in waiting),
        document=dumps(document(store(session), known, closed=closed)),
        head=_head(session, known, closed=closed, durable=any(map(_is_durable, waiting))),
    )
    seq = max((step.after.seq for _, step, effects in waiting if step and effects is None), default=0)
    queue.waiting = None
    return Sent(queue, commit, seq, waiting[0][0])


def _head(session: Session, known: Facts, *, closed: bool, durable: bool) -> Head:
    call = session.context
    return Head(
        status=status_of(call, closed=closed),
        state=session.snapshot.state,
        carrier=call.carrier,
        bot=call.bot.name,
        caller=call.caller,
        called=call.called,
        created_at=call.created_at,
        active_at=known.active_at or call.created_at,
        ended_at=known.ended_at,
        settled=known.settled,
        handed_over=not (closed and call.outbox),
        durable=durable,
    )


def _is_durable(entry: tuple[float, Step | None, list[Effect] | None]) -> bool:
    """Whether an entry must survive a power failure: a state was entered (and its services start), or the end."""
    _, step, effects = entry
    return step is None or (effects is None and (bool(step.row.entered) or step.row.final))


def _record(session: Session, at: float, step: Step | None, effects: list[Effect] | None) -> dict[str, Any]:
    if step is None:
        seq = session.snapshot.seq
        return {"seq": seq, "at": round(at, 6), "call_id": session.call_id, "settled": True, **session.leftovers()}
    if effects is not None:
        return effects_record(step, effects)
    try:
        return step_record(session.machine, step, at)
    except Exception:  # noqa: BLE001  # a front may send anything; its step must be kept all the same
        named = step._replace(trigger=InvokeDone(name=step.trigger.name))
        return {**step_record(session.machine, named, at), "data": _fields(step.trigger)}


def _fields(trigger: Trigger) -> dict[str, Any]:
    return {f.name: getattr(trigger, f.name) for f in fields(trigger) if f.name != "name"}
