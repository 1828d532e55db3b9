"""Calls on their way into the store, without any call waiting for it.

How this works. Each commit of a call is queued, a few words of memory. One task, the flusher, takes all that is queued,
makes one commit of each call's entries and sends a batch of calls to the store at once; while it waits, more queues up
(group commit). What fails is sent again as it is: every write is safe to repeat.

While the store is away, everything goes to the spool, a store on this machine's disk, and counts as kept. When the
store answers again, what the spool holds is replayed call by call, oldest first; what is new of a call that the spool
still holds goes behind that. So the entries of one call never overtake each other, and there is one flusher. Without
a spool the queue keeps them, up to a bound.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from adapters.stores.backlog import Backlog
from adapters.stores.contract import Commit, SessionStore, StoreAway
from adapters.stores.queues import CallGone, CallQueue, LostCalls, Sent
from adapters.stores.reach import Reach
from adapters.stores.spool import Spool
from fsm.clock import Clock, TimerHandle
from fsm.document import Facts
from fsm.observe import Effect, Journal
from fsm.session import Session
from fsm.step import Step

__all__ = ["CallGone", "WriteBehind"]

log = logging.getLogger(__name__)
_BATCH = 256
_PATIENCE = 3.0  # seconds that the store may take for a batch before the spool does
_MOST = 100_000  # entries that may be queued
_CLOSING = 2.0  # seconds to write what is left


class WriteBehind(Journal):
    """An observer that keeps calls in a store, and the journal that services wait for.

    Args:
        node: who we are to the store.
        spool: where commits wait while the store is away; None: in memory.
        facts: what is known of a call besides its context; its end and `settled` are filled in here.
        on_fenced: told the id of a call that another node has, so that it is given up here.
        most: entries that may be queued. With a spool, more go there; without one, the call that would queue one more
            loses what it has queued: its log has a hole then, its document is complete.
        batch: calls that are sent to the store at once.

    Attributes:
        refused: entries that came too late, as another node has their calls, or that the store cannot take for what it
            has under the name of their call. The spool keeps them apart, for people.
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        node: str,
        clock: Clock,
        spool: Spool | None,
        facts: Callable[[Session], Facts] = lambda session: Facts(),
        on_fenced: Callable[[str], object] = lambda call_id: None,
        most: int = _MOST,
        batch: int = _BATCH,
    ) -> None:
        patience, instead = (None, "memory") if spool is None else (_PATIENCE, "spool")
        self._reach = Reach(store, clock, patience=patience, instead=instead)
        self._backlog = Backlog(clock, node, facts, most=0 if spool is not None else most)
        self._clock = clock
        self._spool = spool
        self._on_fenced = on_fenced
        self._most = most
        self._batch = batch
        self._queues: dict[str, CallQueue] = {}
        self._lost = LostCalls()
        self._work = asyncio.Event()
        self._turn = asyncio.Lock()  # held while entries are under way: `erase` waits for it
        self._replayed = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        self._timer: TimerHandle | None = None
        self.refused = 0

    # -- what metrics and readiness ask ----------------------------------------------------------

    @property
    def away(self) -> bool:
        """Whether the store cannot be reached."""
        return self._reach.away

    @property
    def backlog(self) -> int:
        """Entries that neither store nor spool have acknowledged."""
        return len(self._backlog)

    @property
    def lag(self) -> float:
        """Seconds since the oldest of them was queued."""
        return self._backlog.lag

    @property
    def dropped(self) -> int:
        """Entries that found no place."""
        return self._backlog.dropped

    @property
    def spooled(self) -> int:
        """Calls that the spool holds for the store."""
        return len(self._spool) if self._spool is not None else 0

    @property
    def set_aside(self) -> int:
        """Calls of which something was set aside, since another node has them."""
        return self._spool.set_aside if self._spool is not None else 0

    # -- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the spool and begin to write. The store may be away; it was started before.

        Raises:
            SettingError: the spool's files must not be used as they are.
        """
        if self._spool is not None:
            await self._spool.start()
            if self._spool.left:
                log.info("spool_found", extra={"calls": len(self._spool.left)})
                self._work.set()
        self._tell_replayed()
        self._flusher = asyncio.create_task(self._flush_on(), name="write behind")

    async def replayed(self) -> None:
        """Return once the store has what a former process left in the spool: before that nothing may be recovered."""
        await self._replayed.wait()

    async def aclose(self) -> None:
        """Write what is left: to the store or, if it does not take it within 2 s, to the spool. May be called twice."""
        flusher, self._flusher = self._flusher, None
        if flusher is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING):
                    await self.flushed()
            flusher.cancel()
            await asyncio.wait([flusher])
            await self._write_rest()
        if self._timer is not None:
            self._timer.cancel()
        for queue in list(self._queues.values()):
            queue.leave()
        if self._spool is not None:
            await self._spool.aclose()

    # -- calls -----------------------------------------------------------------------------------

    def adopt(self, call_id: str, *, fence: int, version: int) -> None:
        """Have the commits of a call go on after `version`, with this fence. Before its session starts."""
        known = self._queues.get(call_id)
        if known is not None and not known.gone:
            self._backlog.leave(known)
        self._queues[call_id] = CallQueue(call_id, fence, version)
        self._lost.discard(call_id)

    def on_commit(self, session: Session, step: Step) -> None:
        queue = self._put(session, step, None)
        if step.row.final and not queue.ended_at:
            queue.ended_at = self._clock.wall()

    def on_effects(self, session: Session, step: Step, effects: list[Effect]) -> None:
        if effects:
            self._put(session, step, effects)

    def on_settled(self, session: Session) -> None:
        queue = self._queues.get(session.call_id)
        if queue is None or queue.session not in (None, session):
            return
        if session.given_up or queue.gone or queue.session is None:
            self._backlog.leave(queue)
            if session.given_up:
                self._lost.add(session.call_id)
            del self._queues[session.call_id]
        else:
            self._put(session, None, None)
            queue.settled = True

    async def durable(self, call_id: str, seq: int) -> None:
        """Return once step `seq` of the call is kept, by the store or by the spool.

        Raises:
            CallGone: it will not be: another node has the call, or it was erased.
        """
        queue = self._queues.get(call_id)
        if call_id in self._lost or (queue is not None and queue.gone):
            raise CallGone(f"call {call_id} is not kept from here any more")
        if queue is not None and seq > queue.kept_seq and queue.kept < queue.version:
            await queue.gate()

    async def stored(self, call_id: str, seq: int) -> None:
        await self.durable(call_id, seq)
        if self._spool is not None:
            await self._spool.without(call_id)

    async def flushed(self) -> None:
        """Return once all that is queued now is kept, by the store or by the spool."""
        gates = [queue.gate() for queue in self._queues.values() if queue.kept < queue.version and not queue.gone]
        if gates:
            await asyncio.wait(gates)

    async def erase(self, call_id: str) -> None:
        """Forget what queue and spool have of a call. Once this returns nothing of it is under way to the store."""
        queue = self._queues.get(call_id)
        if queue is not None:
            self._backlog.leave(queue)
            if queue.session is None or queue.session.settled:
                del self._queues[call_id]
        async with self._turn:
            self._backlog.acknowledge([sent for sent in self._backlog.sent if sent.queue.call_id == call_id])
            if self._spool is not None:
                await self._spool.erase(call_id)
                self._tell_replayed()

    def _put(self, session: Session, step: Step | None, effects: list[Effect] | None) -> CallQueue:
        call_id = session.call_id
        queue = self._queues.get(call_id)
        if queue is None:
            queue = self._queues[call_id] = CallQueue(call_id)
        if queue.gone:
            return queue
        self._backlog.put(queue, session, step, effects)
        self._work.set()
        return queue

    # -- the flusher -----------------------------------------------------------------------------

    async def _flush_on(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                async with self._turn:
                    await self._round()
            except StoreAway as error:  # of the spool: there is nowhere to put it
                self._reach.lost(str(error))
            except Exception as error:  # our own mistake must not end the writing
                log.exception("write_behind_failed")
                self._reach.lost(type(error).__name__)
            if self._is_busy():
                self._work.set()
            elif self._backlog or self.spooled:
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._clock.call_at(self._reach.try_at, self._work.set)

    def _is_busy(self) -> bool:
        """Whether there is something to do before the next try to reach the store."""
        if not self.away:
            return bool(self._backlog or self.spooled)
        return self._spool is not None and bool(self._backlog.ready) and not self._backlog.sent

    async def _round(self) -> None:
        """Send one batch, and replay one if there is something to replay."""
        spool, backlog = self._spool, self._backlog
        if spool is not None and backlog.queued >= self._most and not self.away:
            self._reach.lost(f"it is slower than the calls: {backlog.queued} entries are queued")
        if not backlog.sent:
            await backlog.take(self._batch)
        if spool is not None:
            due = self._reach.is_due
            await self._to_spool([sent for sent in backlog.sent if not due or sent.queue.call_id in spool])
        if backlog.sent and self._reach.is_due:
            await self._to_store()
        if spool is not None and len(spool) and self._reach.is_due:
            await self._replay(spool)

    async def _to_store(self) -> None:
        batch = self._backlog.sent
        try:
            outcomes = await self._reach.commit([sent.commit for sent in batch])
        except StoreAway:
            return await self._to_spool(batch)
        self._backlog.acknowledge(batch)
        for sent, outcome in zip(batch, outcomes, strict=True):
            if outcome.verdict not in ("fenced", "refused"):
                self._acknowledge(sent)
        for sent, outcome in zip(batch, outcomes, strict=True):
            if outcome.verdict == "fenced":
                await self._fenced(sent)
            elif outcome.verdict == "refused":
                await self._put_by(sent.commit)
                self._acknowledge(sent)
        return None

    async def _to_spool(self, batch: Sequence[Sent]) -> None:
        if batch and self._spool is not None:
            await self._spool.put([sent.commit for sent in batch])
            self._backlog.acknowledge(batch)
            for sent in batch:
                self._acknowledge(sent)

    async def _replay(self, spool: Spool) -> None:
        """Bring what the spool holds of some calls to the store, and let it forget them."""
        held = await spool.oldest(self._batch)
        commits = [commit for call in held for commit in call]
        try:
            outcomes = await self._reach.commit(commits)
        except StoreAway:
            return
        verdicts = {(c.call_id, outcome.verdict) for c, outcome in zip(commits, outcomes, strict=True)}
        for call in held:
            call_id = call[0].call_id
            if (call_id, "fenced") in verdicts:
                for commit in call:
                    await self._set_aside(commit)
            elif (call_id, "refused") in verdicts:
                for commit in call:
                    await self._put_by(commit)
            await spool.replayed(call_id)
        self._tell_replayed()

    def _tell_replayed(self) -> None:
        if self._spool is None or not self._spool.left:
            self._replayed.set()

    def _acknowledge(self, sent: Sent) -> None:
        queue = sent.queue
        queue.acknowledge(sent.commit.version, sent.seq)
        if queue.settled and queue.waiting is None and self._queues.get(queue.call_id) is queue:
            del self._queues[queue.call_id]

    # -- what the store does not take ------------------------------------------------------------

    async def _put_by(self, commit: Commit) -> None:
        """Keep what the store refuses for this call alone; the call goes on, and so do the commits of the others."""
        self.refused += len(commit.entries)
        queue = self._queues.get(commit.call_id)
        if queue is None or not queue.refused:
            kept = self._spool is not None
            told = {"call_id": commit.call_id, "kept": kept, "why": "the store has something else under its name"}
            log.error("call_not_kept", extra=told)
        if queue is not None:
            queue.refused = True
        await self._put_aside(commit)

    async def _fenced(self, sent: Sent) -> None:
        rest = self._backlog.rest(sent.queue)
        self._lose(sent.queue)
        for late in (sent.commit, rest) if rest is not None else (sent.commit,):
            await self._set_aside(late)

    def _lose(self, queue: CallQueue) -> None:
        """Another node has the call of this queue."""
        if queue.gone:
            return
        self._backlog.leave(queue)
        self._lost.add(queue.call_id)
        if queue.settled:
            del self._queues[queue.call_id]
        try:
            self._on_fenced(queue.call_id)
        except Exception:  # whoever gives calls up must not end the writing
            log.exception("call_not_given_up", extra={"call_id": queue.call_id})

    async def _set_aside(self, commit: Commit) -> None:
        self.refused += len(commit.entries)
        kept = self._spool is not None
        log.warning("commits_refused", extra={"call_id": commit.call_id, "entries": len(commit.entries), "kept": kept})
        queue = self._queues.get(commit.call_id)
        if queue is not None and queue.fence <= commit.fence:
            self._lose(queue)
        await self._put_aside(commit)

    async def _put_aside(self, commit: Commit) -> None:
        if self._spool is None:
            return
        try:
            await self._spool.put_aside(commit)
        except StoreAway as error:  # the disk does not take it, and no store ever will
            told = {"cause": str(error), "call_id": commit.call_id, "entries": len(commit.entries)}
            log.error("commits_lost", extra=told)  # noqa: TRY400  # what was raised says no more

    # -- the end ---------------------------------------------------------------------------------

    async def _write_rest(self) -> None:
        """Put what the store has not taken into the spool; the flusher has ended."""
        cause = "the store is away"
        try:
            async with asyncio.timeout(_CLOSING):
                while self._backlog:
                    await self._backlog.take(self._batch)
                    if self._spool is not None:
                        await self._to_spool(self._backlog.sent)
                    elif self._backlog.sent:
                        await self._to_store()
                        if self.away:
                            break
        except (StoreAway, TimeoutError) as error:
            cause = str(error) or type(error).__name__
        if self.backlog:
            log.error("commits_lost", extra={"cause": cause, "entries": self.backlog})
