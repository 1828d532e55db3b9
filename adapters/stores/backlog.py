"""What waits to be kept, of all calls: queued, or taken from the queue and not acknowledged yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import islice

from adapters.stores.contract import Commit
from adapters.stores.queues import CallQueue, Sent, commit_of
from fsm.clock import Clock
from fsm.document import Facts
from fsm.observe import Effect
from fsm.session import Session
from fsm.step import Step

__all__ = ["Backlog"]

log = logging.getLogger(__name__)
_STRIDE = 8  # calls that are serialised before others may run: about a millisecond


class Backlog:
    """The queue of a `WriteBehind`.

    Args:
        node, facts: see there.
        most: entries that may be queued; 0: no bound.

    Attributes:
        ready: queues that hold something, in order.
        queued: entries of theirs.
        sent: what was taken and is not acknowledged, in order.
        dropped: entries that found no place, or could not be written.
    """

    def __init__(self, clock: Clock, node: str, facts: Callable[[Session], Facts], *, most: int) -> None:
        self._clock = clock
        self._node = node
        self._facts = facts
        self._most = most
        self.ready: dict[CallQueue, None] = {}
        self.sent: list[Sent] = []
        self.queued = self.dropped = 0

    def __len__(self) -> int:
        return self.queued + sum(len(sent.commit.entries) for sent in self.sent)

    def __bool__(self) -> bool:
        return bool(self.ready or self.sent)

    @property
    def lag(self) -> float:
        """Seconds since the oldest entry was queued."""
        since = [sent.since for sent in self.sent]
        since += [queue.waiting[0][0] for queue in islice(self.ready, 1) if queue.waiting]
        return max(0.0, self._clock.wall() - min(since)) if since else 0.0

    def put(self, queue: CallQueue, session: Session, step: Step | None, effects: list[Effect] | None) -> None:
        """Queue an entry; if there is no room, what else is queued of its call gives way."""
        if self._most and self.queued >= self._most:
            if not self.dropped:
                log.error("commits_dropped", extra={"queued": self.queued, "call_id": queue.call_id})
            self.dropped += self._unqueue(queue)
            queue.waiting = None
        if queue.put(session, self._clock.wall(), step, effects):
            self.ready[queue] = None
        self.queued += 1

    def leave(self, queue: CallQueue) -> None:
        """Take nothing more of this queue, and drop what it holds."""
        self._unqueue(queue)
        queue.leave()

    async def take(self, count: int) -> None:
        """Make commits of what is queued, for at most so many calls."""
        for number, queue in enumerate(list(islice(self.ready, count))):
            if number and not number % _STRIDE:
                await asyncio.sleep(0)
            if queue in self.ready and (sent := self._make(queue)) is not None:
                self.sent.append(sent)

    def rest(self, queue: CallQueue) -> Commit | None:
        """Return what else a queue holds, as a commit."""
        sent = self._make(queue) if queue in self.ready else None
        return sent.commit if sent is not None else None

    def acknowledge(self, batch: Sequence[Sent]) -> None:
        """What was sent is on its way no more."""
        over = set(map(id, batch))
        self.sent = [sent for sent in self.sent if id(sent) not in over]

    def _make(self, queue: CallQueue) -> Sent | None:
        assert queue.session is not None  # it has put something
        if queue.session.given_up:
            self.leave(queue)
            return None
        count = self._unqueue(queue)
        try:
            return commit_of(queue, queue.session, self._node, self._facts)
        except Exception:  # one call that cannot be written must not keep the others from it
            log.exception("commit_not_made", extra={"call_id": queue.call_id})
            queue.waiting = None
            self.dropped += count
            return None

    def _unqueue(self, queue: CallQueue) -> int:
        self.ready.pop(queue, None)
        count = len(queue.waiting or ())
        self.queued -= count
        return count
