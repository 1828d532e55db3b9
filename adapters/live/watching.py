"""What one watcher is told: how things are now, then every event after that, without a gap and without a repetition.

A watcher that names the id it heard last is told what came after: from the hub's ring, or, for one call, from its
journal, or else how things are now. It listens before it asks, and drops what the answer already tells.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable
from typing import Any, NamedTuple

import orjson

from adapters.calls.contract import Calls, UnknownCall, Unreachable
from adapters.calls.export import line_json
from adapters.live.events import END, OWN, Event, Place, of_record, read_place, the_end
from adapters.live.hub import Hub, Placed, Subscription
from fsm.document import iso, timestamp

__all__ = ["HEARTBEAT", "AllCalls", "OneCall", "Told", "Watcher", "message"]

HEARTBEAT = 15.0
"""Seconds of silence after which a heartbeat is sent."""
_OVER = ("ended", "error")
_PAGE = 500  # journal records that are asked for at a time


class Told(NamedTuple):
    """One message, as JSON; `id` is empty where nothing can be resumed after."""

    id: str
    text: str
    kind: str = "event"
    """`event`, `snapshot` or `heartbeat`."""


def message(kind: str, call_id: str | None, data: Any, id: str = "") -> str:
    """Return a message that is no event of a call, as JSON."""
    said = {"type": kind, "call_id": call_id, "data": data}
    return orjson.dumps({"id": id, **said} if id else said, default=str).decode()


class Watcher(ABC):
    """What a connection tells; `start`, then iterate over `messages`, and `close` in any case."""

    def __init__(self, hub: Hub, calls: Calls, call_id: str | None, after: str) -> None:
        self.hub = hub
        self.calls = calls
        self.call_id = call_id
        self.after = after
        self.heard: Subscription = hub.subscribe(call_id)

    @abstractmethod
    async def start(self) -> bool:
        """Find out what is to be told; False: nothing is, and nothing will be.

        Raises:
            UnknownCall, Unreachable: see `Calls`.
        """

    @abstractmethod
    def messages(self) -> AsyncGenerator[Told, None]:
        """Yield what is to be told.

        Raises:
            Lagged, Closed, Unreachable: it cannot go on; whoever connects again, after the last id, misses nothing.
        """

    def close(self) -> None:
        """Stop to listen."""
        self.heard.close()

    def heartbeat(self) -> Told:
        """Return a sign of life."""
        at = iso(self.hub.clock.wall())
        return Told("", message("heartbeat", self.call_id, {"at": at}), "heartbeat")


class OneCall(Watcher):
    """Tells of one call, until it is over.

    Args:
        expected: the call is about to begin, so that it is no mistake if nobody knows it.
    """

    def __init__(self, hub: Hub, calls: Calls, call_id: str, after: str = "", *, expected: bool = False) -> None:
        super().__init__(hub, calls, call_id, after)
        self._id = call_id
        self._expected = expected
        self._place = Place(0, 0)
        self._first: list[Told] = []
        self._over = False

    async def start(self) -> bool:
        try:
            call: dict[str, Any] = await self.calls.get(self._id)
        except UnknownCall:
            if not self._expected:
                raise
            self._catch_up(self.hub.since_place(self._id, self._place) or ())
            return True
        last = read_place(self.after)
        missed = None if last is None else await self._missed(call, last)
        if last is None or missed is None:
            await self._snapshot(call)
        else:
            self._place = last
            self._catch_up(missed)
        return bool(self._first) or not self._over

    async def messages(self) -> AsyncGenerator[Told, None]:
        for told in self._first:
            yield told
        self._first = []
        while not self._over:
            placed = await self.heard.next(HEARTBEAT)
            if placed is None:
                yield self.heartbeat()
                continue
            for event in await self._with_lost(placed.event):
                if event.place > self._place:
                    yield self._told(event)

    def _catch_up(self, missed: Iterable[Placed]) -> None:
        self._first += [self._told(placed.event) for placed in missed if placed.event.place > self._place]

    def _told(self, event: Event) -> Told:
        self._place = event.place
        self._over = event.ends_call
        return Told(str(event.place), event.text(str(event.place)))

    async def _snapshot(self, call: dict[str, Any]) -> None:
        """Tell the call as it is; what was said after its document was made comes as events."""
        seq = int(call["seq"])
        lines = [line_json(line) for line in await self.calls.lines(self._id)]
        transcript = [line for line in lines if line["role"] == "segment" or line["seq"] <= seq]
        since = self.hub.since_place(self._id, Place(seq, OWN - 1)) or ()
        told_over = any(placed.event.ends_call for placed in since)
        self._over = bool(call["status"] in _OVER and (told_over or call["settled"]))
        self._place = Place(seq, END if self._over else OWN - 1)
        data = {"call": call, "transcript": transcript}
        self._first.append(Told(str(self._place), message("snapshot", self._id, data, str(self._place)), "snapshot"))

    async def _missed(self, call: dict[str, Any], last: Place) -> list[Placed] | None:
        """Return what came after `last`; None if it cannot be told."""
        if call["status"] in _OVER and last.n == END:  # told once, though its node may have died in the middle of it
            self._over = True
            return []
        if (known := self.hub.since_place(self._id, last)) is not None:
            return known
        if last.seq > call["seq"]:  # of a step that was lost with its node, before it was kept
            return None
        events = await self._recorded(last, call["seq"])
        if call["status"] in _OVER and call["settled"] and events is not None:
            events.append(_end_of(call))
        return None if events is None else [Placed(0, 0, event) for event in events if event.place > last]

    async def _with_lost(self, event: Event) -> list[Event]:
        """Return an event, with those before it that were lost between two nodes."""
        if self._place.seq and event.place.seq > self._place.seq + 1:
            lost = await self._recorded(self._place, event.place.seq - 1)
            return [*(lost or ()), event]
        return [event]

    async def _recorded(self, last: Place, until: int) -> list[Event] | None:
        """Return the events of the steps from that of `last` to `until`, from the journal; None if it lacks one."""
        events: list[Event] = []
        steps, after = set(), 0
        while True:
            records, following = await self.calls.journal(self._id, after=after, limit=_PAGE)
            for record in records:
                if "event" in record and last.seq <= record["seq"] <= until:
                    steps.add(record["seq"])
                    events += of_record(record)
            if following is None or (records and records[-1]["seq"] > until):
                break
            after = following
        return events if steps >= set(range(last.seq + 1, until + 1)) else None


class AllCalls(Watcher):
    """Tells of all calls, for ever."""

    def __init__(self, hub: Hub, calls: Calls, after: str = "") -> None:
        super().__init__(hub, calls, None, after)
        self._first: list[Told] = []
        self._known: dict[str, int] = {}

    async def start(self) -> bool:
        missed = self.hub.since(self.after) if self.after else None
        if missed is not None:
            self._first = [self._told(placed) for placed in missed]
            return True
        id = self.hub.latest_id()
        calls, _, complete = await self.calls.active()
        if not complete:
            raise Unreachable("the store does not answer: the calls of other nodes are not known; try again")
        self._known = {call["call_id"]: call["seq"] for call in calls if "seq" in call}
        self._first = [Told(id, message("snapshot", None, {"calls": calls}, id), "snapshot")]
        return True

    async def messages(self) -> AsyncGenerator[Told, None]:
        for told in self._first:
            yield told
        self._first = []
        while True:
            placed = await self.heard.next(HEARTBEAT)
            if placed is None:
                self._known = {}
                yield self.heartbeat()
            elif not self._is_known(placed.event):
                yield self._told(placed)

    def _told(self, placed: Placed) -> Told:
        id = self.hub.id_of(placed)
        return Told(id, placed.event.text(id))

    def _is_known(self, event: Event) -> bool:
        """Whether the snapshot told it already."""
        return event.place < (self._known.get(event.call_id, 0), END)


def _end_of(call: dict[str, Any]) -> Event:
    return the_end(
        call["call_id"],
        call["seq"],
        timestamp(call["ended_at"]),
        status=call["status"],
        stream_id=call["stream_id"],
        reason=call["end_reason"],
        state=call["state"],
    )
