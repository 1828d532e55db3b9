"""Everything that happens in every call, for those who watch: kept for a while, told as it comes. Never slows a call.

A hub hears the steps of this node's calls as an observer, and those of other nodes' calls from the bus, and hands them
to its subscriptions. Who does not keep up is cut off, and may resume: the ring keeps the newest events, and what is
older stands in the call's journal (`watching.py`).

The ids of the stream of all calls are `<ms>-<n>-<node>` and grow; those of one call's stream are places
(`events.Place`), the same on every node.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

from adapters.live.events import FIRST, OWN, Event, Place, of_step, the_end
from fsm.clock import Clock
from fsm.context import CallContext
from fsm.document import iso, status_of
from fsm.errors import CallchartError
from fsm.observe import Journal, Observer
from fsm.session import Session
from fsm.step import Step

__all__ = ["Closed", "Hub", "Lagged", "Placed", "Subscription"]

log = logging.getLogger(__name__)
_KEPT = 10_000  # events in the ring
_QUEUE = 1_000  # events that a subscription may be behind
_SLACK_MS = 5_000  # how far clocks and deliveries of two nodes may be apart, when one resumes what the other told
_LAST_WORDS = 2.0  # seconds that ends which are not durable yet have when the process stops


class Lagged(CallchartError):
    """The subscriber has not kept up, and was cut off."""


class Closed(CallchartError):
    """The hub stops."""


class Placed(NamedTuple):
    """An event and when it arrived here: milliseconds since the epoch, and which one of them."""

    ms: int
    n: int
    event: Event


class Subscription:
    """Events as they come, from when it was made; of one call, or of all. Leave it as a context, or `close` it."""

    def __init__(self, hub: Hub, call_id: str | None, limit: int) -> None:
        self.call_id = call_id
        self._hub = hub
        self._limit = limit
        self._queue: deque[Placed] = deque()
        self._over: CallchartError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    async def next(self, within: float) -> Placed | None:
        """Return the next event, or None if there is none in `within` seconds.

        Raises:
            Lagged, Closed: there will be none.
        """
        if not self._queue and self._over is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(within):
                    await self._waiter
            except TimeoutError:
                return None
            finally:
                self._waiter = None
        if self._queue:
            return self._queue.popleft()
        raise self._over or Closed("nothing more comes")

    def put(self, placed: Placed) -> None:
        """Have it told; whoever is too far behind is cut off."""
        if len(self._queue) >= self._limit:
            self._queue.clear()
            self.close(Lagged(f"more than {self._limit} events behind; connect again, after the last id"))
            return
        self._queue.append(placed)
        self._wake()

    def close(self, why: CallchartError | None = None) -> None:
        """Stop to listen."""
        if self._over is None:
            self._over = why or Closed("it was closed")
            self._hub.drop(self)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _End:
    """A call that is over and not told so yet."""

    __slots__ = ("event", "task")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.task: asyncio.Task[None] | None = None


class Hub(Observer):
    """An observer of this node's calls, and the `FrontPort` of their handlers.

    Args:
        node: this node's name; two of them never have the same.
        journal: says when a call's last step is durable; None: at once.
        kept: events in the ring, of all calls.
        queue: how many events a subscription may be behind.

    Attributes:
        publish: told the events of this node's calls, for other nodes; the owner of the bus sets it.
    """

    def __init__(
        self, *, clock: Clock, node: str, journal: Journal | None = None, kept: int = _KEPT, queue: int = _QUEUE
    ) -> None:
        self.publish = _to_nobody
        self.tag = hashlib.blake2s(node.encode(), digest_size=3).hexdigest()
        self.clock = clock
        self._journal = journal
        self._queue = queue
        self._ring: deque[Placed] = deque(maxlen=kept)
        self._ms = self._since_ms = int(clock.wall() * 1000)
        self._n = 0
        self._all: dict[Subscription, None] = {}
        self._of_call: dict[str, dict[Subscription, None]] = {}
        self._ends: dict[str, _End] = {}
        self._last: dict[str, Place] = {}

    # -- for those who watch ---------------------------------------------------------------------

    def subscribe(self, call_id: str | None = None) -> Subscription:
        """Listen from now on, to one call or to all."""
        subscription = Subscription(self, call_id, self._queue)
        group = self._all if call_id is None else self._of_call.setdefault(call_id, {})
        group[subscription] = None
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        call_id = subscription.call_id
        if call_id is None:
            self._all.pop(subscription, None)
        elif (group := self._of_call.get(call_id)) is not None:
            group.pop(subscription, None)
            if not group:
                del self._of_call[call_id]

    @property
    def watched(self) -> int:
        """How many subscriptions there are."""
        return len(self._all) + sum(map(len, self._of_call.values()))

    def since_place(self, call_id: str, last: Place) -> list[Placed] | None:
        """Return the events of a call that came after `last`; None if the ring may lack some of them."""
        of_call = [placed for placed in self._ring if placed.event.call_id == call_id]
        if not of_call or of_call[0].event.place > max(last, FIRST) or of_call[-1].event.place.seq < last.seq:
            return None
        missed = [placed for placed in of_call if placed.event.place > last]
        steps = [last.seq, *(placed.event.place.seq for placed in missed)]
        return None if any(there > here + 1 for here, there in pairwise(steps)) else missed

    def since(self, last_id: str) -> list[Placed] | None:
        """Return the events of all calls that came after an id of any node; None if the ring may lack some of them.

        After another node's id come those of the last seconds once more, rather than one too few.
        """
        ms, n, tag = _read_id(last_id)
        if tag != self.tag:
            ms, n = ms - _SLACK_MS, 0
        if ms < self._since_ms:
            return None
        return [placed for placed in self._ring if (placed.ms, placed.n) > (ms, n)]

    def id_of(self, placed: Placed) -> str:
        """Return the id of an event in the stream of all calls."""
        return f"{placed.ms}-{placed.n}-{self.tag}"

    def latest_id(self) -> str:
        """Return the id of whatever came last: what comes next is after it."""
        return f"{self._ms}-{self._n}-{self.tag}"

    # -- Observer --------------------------------------------------------------------------------

    def on_commit(self, session: Session, step: Step) -> None:
        at = self.clock.wall()
        events = of_step(step, at)
        call = step.after.context
        self._last[call.call_id] = events[-1].place
        if step.row.final:
            self._ends[call.call_id] = _End(_over(call, step.after.seq, step.after.state, at))
        self._tell(events)

    def on_settled(self, session: Session) -> None:
        self._acknowledge(session.call_id)
        self._last.pop(session.call_id, None)

    # -- FrontPort -------------------------------------------------------------------------------

    def notify(self, call_id: str, event: str, data: Mapping[str, Any]) -> None:
        """Tell every front of this call. That it is over is told once that is durable, and once."""
        if event == "call.status_changed" and data.get("status") == "ended":
            self._acknowledge(call_id)
            return
        last = self._last.get(call_id, Place(0, 0))
        place = self._last[call_id] = Place(last.seq, max(OWN, last.n + 1))
        moment = {"seq": place.seq, "at": iso(self.clock.wall())}
        self._tell([Event(call_id, place, event, {**moment, **data})])

    # -- the end of a call -----------------------------------------------------------------------

    def _acknowledge(self, call_id: str) -> None:
        end = self._ends.get(call_id)
        if end is None or end.task is not None:
            return
        if self._journal is None:
            del self._ends[call_id]
            self._tell([end.event])
        else:
            end.task = asyncio.create_task(self._when_durable(end, self._journal), name=f"end of {call_id}")

    async def _when_durable(self, end: _End, journal: Journal) -> None:
        event = end.event
        try:
            await journal.durable(event.call_id, event.place.seq)
        except CallchartError as error:
            log.warning("end_not_told", extra={"call_id": event.call_id, "error": type(error).__name__})
            del self._ends[event.call_id]
        else:
            del self._ends[event.call_id]
            self._tell([event])

    async def aclose(self) -> None:
        """Tell the ends that become durable within two seconds, then end every subscription. May be called twice."""
        if pending := [end.task for end in self._ends.values() if end.task is not None]:
            await asyncio.wait(pending, timeout=_LAST_WORDS)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        self._ends.clear()
        for subscription in [*self._all, *(s for group in self._of_call.values() for s in group)]:
            subscription.close(Closed("the server stops; connect again"))

    # -- telling ---------------------------------------------------------------------------------

    def heard(self, events: Sequence[tuple[str, int, int, str, Mapping[str, Any]]]) -> None:
        """Take what another node's `publish` was told."""
        self._spread([Event(call_id, Place(seq, n), kind, data) for call_id, seq, n, kind, data in events])

    def _tell(self, events: list[Event]) -> None:
        self._spread(events)
        if self.publish is not _to_nobody:
            self.publish([(e.call_id, *e.place, e.type, e.data) for e in events])

    def _spread(self, events: list[Event]) -> None:
        for event in events:
            placed = Placed(*self._stamp(), event)
            if len(self._ring) == self._ring.maxlen:
                self._since_ms = self._ring[0].ms + 1
            self._ring.append(placed)
            if self._all or self._of_call:
                for subscription in self._listeners(event.call_id):
                    subscription.put(placed)

    def _listeners(self, call_id: str) -> Iterator[Subscription]:
        if self._all:
            yield from list(self._all)
        if (group := self._of_call.get(call_id)) is not None:
            yield from list(group)

    def _stamp(self) -> tuple[int, int]:
        ms = int(self.clock.wall() * 1000)
        if ms > self._ms:
            self._ms, self._n = ms, 0
        else:
            self._n += 1
        return self._ms, self._n


def _over(call: CallContext, seq: int, state: str, at: float) -> Event:
    status = status_of(call, closed=True)
    return the_end(call.call_id, seq, at, status=status, stream_id=call.stream_id, reason=call.end_reason, state=state)


def _read_id(text: str) -> tuple[int, int, str]:
    """Return the parts of an id; of what is none, an id that is too old for every ring."""
    ms, _, rest = text.partition("-")
    n, _, tag = rest.partition("-")
    if len(text) > 40 or not (ms.isdecimal() and n.isdecimal()):
        return 0, 0, ""
    return int(ms), int(n), tag


def _to_nobody(events: Sequence[tuple[str, int, int, str, Mapping[str, Any]]]) -> None:
    """There is no other node."""
