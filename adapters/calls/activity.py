"""When each call of this node was last active, and the end of those in which nothing happens any more.

Active is a call in which a side speaks, a key is pressed, a segment comes, or which an operator's API touches; audio
frames are not activity, or an open line would be. A call without any for `CALL_SESSION_TIMEOUT` is told so
(`call.over_limit {limit: inactivity}`), and its chart decides. Time during which no node served it does not count.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from adapters.stores.contract import Kept
from fsm.clock import Clock, TimerHandle
from fsm.document import Facts
from fsm.observe import Observer
from fsm.session import Session
from fsm.step import Step
from fsm.triggers import CallOverLimit

__all__ = ["Activity"]

_ACTIVE = frozenset(
    {"init", "call.started", "call.resumed", "call.dtmf", "user.speaking", "user.silent", "user.transcript",
     "reply.started", "reply.finished", "playback.finished", "segment.received"}
)  # fmt: skip


class _Entry:
    """One call; `since` is in the clock's seconds, `at` and `ended_at` in those since the epoch."""

    __slots__ = ("at", "audio", "ended_at", "session", "since")

    def __init__(self, at: float, since: float, audio: Mapping[str, Any]) -> None:
        self.at = at
        self.since = since
        self.ended_at = 0.0
        self.audio = audio
        self.session: Session | None = None


class Activity(Observer):
    """Calls in the order of their last activity, so that one timer serves all of them.

    Args:
        timeout: seconds without activity after which a call is told that it is over its limit.

    Attributes:
        on_restore: told, too, of a call that is about to be resumed here.
    """

    def __init__(self, *, clock: Clock, timeout: float) -> None:
        self.on_restore: Callable[[Kept], None] = lambda kept: None
        self._clock = clock
        self._timeout = timeout
        self._calls: OrderedDict[str, _Entry] = OrderedDict()
        self._over: WeakKeyDictionary[Session, _Entry] = WeakKeyDictionary()
        """Calls that are over and that somebody still has to write down."""
        self._timer: TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._calls)

    def touch(self, call_id: str) -> None:
        """The call is active now: an API asked something of it."""
        entry = self._calls.get(call_id)
        if entry is not None:
            entry.at, entry.since = self._clock.wall(), self._clock.now()
            self._calls.move_to_end(call_id)

    def facts(self, session: Session) -> Facts:
        """Return what is known of a call beside its context, for its document."""
        entry = self._over.get(session) or self._calls.get(session.call_id)
        if entry is None:
            return Facts(settled=session.settled)
        return Facts(
            active_at=entry.at,
            ended_at=entry.ended_at,
            settled=session.settled,
            audio=_sum(entry.audio, session.ports.audio()),
        )

    def restore(self, kept: Kept) -> None:
        """Go on from what is kept of a call that is about to be resumed here. Its time-out begins anew."""
        self.on_restore(kept)
        audio = orjson.loads(kept.document).get("audio") if kept.document else None
        self._calls[kept.call_id] = _Entry(kept.head.active_at, self._clock.now(), audio or {})
        self._calls.move_to_end(kept.call_id)
        self._watch()

    def aclose(self) -> None:
        """Watch no call any more."""
        self._calls.clear()
        self._disarm()

    # -- Observer --------------------------------------------------------------------------------

    def on_commit(self, session: Session, step: Step) -> None:
        entry = self._calls.get(session.call_id)
        if entry is None:
            entry = _Entry(self._clock.wall(), self._clock.now(), {})
            self._calls[session.call_id] = entry
            self._watch()
        elif step.trigger.name in _ACTIVE:
            self.touch(session.call_id)
        entry.session = session
        if step.row.final:
            entry.ended_at = entry.ended_at or self._clock.wall()

    def on_settled(self, session: Session) -> None:
        entry = self._calls.pop(session.call_id, None)
        if entry is not None:
            entry.session = None
            self._over[session] = entry
        if not self._calls:
            self._disarm()

    # -- the time-out ----------------------------------------------------------------------------

    def _watch(self) -> None:
        """Wait for the call that was active longest ago."""
        if self._timer is None and self._calls:
            oldest = next(iter(self._calls.values()))
            self._timer = self._clock.call_at(oldest.since + self._timeout, self._look)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._clock.now()
        while self._calls:
            call_id, entry = next(iter(self._calls.items()))
            if now < entry.since + self._timeout:
                break
            if entry.session is None:  # it was to be resumed, and was not
                del self._calls[call_id]
                continue
            entry.since = now  # a chart that goes on is told again
            self._calls.move_to_end(call_id)
            entry.session.post(CallOverLimit(limit="inactivity"))
        self._watch()


def _sum(before: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what came in all, here and where the call was before."""
    return {name: round(before.get(name, 0) + value, 3) for name, value in now.items()} if before else now
