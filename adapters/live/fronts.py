"""Which browser front belongs to which call, and what waits for calls that have not come yet.

A front waits for a call by its id, by the number that is called, or by a token that the call will show in its
parameters. Whoever opens a call asks `claim` what waits for it, and posts that before `call.started`: so it is known
before the model's session starts, and no other call ever gets it.

What waits is shared with the other nodes, best effort: a call may come to any node. Two calls to one number that begin
on two nodes in the same instant may both get what waits for that number; what waits by id or token goes to one call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from fsm.clock import Clock, TimerHandle
from fsm.errors import CallchartError
from fsm.triggers import SessionConfigured

__all__ = ["TOKEN_PARAMETERS", "By", "Front", "Fronts", "Key", "TooMany"]

log = logging.getLogger(__name__)
By: TypeAlias = Literal["call_id", "called", "token"]
TOKEN_PARAMETERS = ("front_token", "frontToken")
"""Parameters of a carrier's stream that show a front's token."""
_LASTS = 600.0  # seconds that a configuration waits for its call
_MOST = 1_000  # calls that are waited for
_JOB = ("instructions", "voice", "language")


class TooMany(CallchartError):
    """So many calls are waited for that no more can be."""


class Key(NamedTuple):
    """Which call is waited for."""

    by: By
    value: str


class Front(Protocol):
    """One connected front; its methods only enqueue."""

    def bound(self, call_id: str, by: By) -> None:
        """It has got its call."""
        ...

    def dropped(self, why: Literal["expired", "replaced"]) -> None:
        """The configuration that it left will reach no call."""
        ...

    def cleared(self) -> None:
        """All start from a clean state: it is to go."""
        ...


@dataclass(slots=True, eq=False)
class _Waiting:
    """Fronts and a configuration that wait for one call.

    Attributes:
        author: who left the configuration, if it is connected here.
        elsewhere: the configuration was left at another node.
    """

    fronts: dict[Front, None] = field(default_factory=dict)
    job: dict[str, Any] | None = None
    author: Front | None = None
    elsewhere: bool = False
    timer: TimerHandle | None = None


class Fronts:
    """All that waits on this node, and what is known of the others.

    Args:
        lasts: seconds that a configuration waits for its call.

    Attributes:
        publish: told what the other nodes must know; the owner of the bus sets it.
    """

    def __init__(self, *, clock: Clock, lasts: float = _LASTS) -> None:
        self.publish = _to_nobody
        self.lasts = lasts
        self._clock = clock
        self._waiting: dict[Key, _Waiting] = {}

    @property
    def waiting(self) -> int:
        """How many calls are waited for."""
        return len(self._waiting)

    @property
    def unclaimed(self) -> int:
        """How many configurations wait for a call."""
        return sum(entry.job is not None for entry in self._waiting.values())

    # -- fronts ----------------------------------------------------------------------------------

    def wait(self, front: Front, key: Key) -> None:
        """Have `front` bound to the call of `key` when it comes.

        Raises:
            TooMany
        """
        self._entry(key).fronts[front] = None

    def leave(self, front: Front, key: Key) -> None:
        """Forget a front; what it left for its call stays until it is claimed or too old."""
        if (entry := self._waiting.get(key)) is not None:
            entry.fronts.pop(front, None)
            if entry.author is front:
                entry.author = None
            self._tidy(key, entry)

    def configure(self, front: Front | None, key: Key, job: Mapping[str, Any]) -> float:
        """Keep a configuration for the call of `key`; return how long it waits, in seconds.

        What one front sends piece by piece is one configuration; that of another front replaces it.

        Raises:
            TooMany
        """
        entry = self._entry(key)
        if entry.job is not None and front is not None and entry.author is front:
            job = _merged(entry.job, job)
        elif entry.author is not None and entry.author is not front:
            entry.author.dropped("replaced")
        self._keep(key, entry, dict(job), front, elsewhere=False)
        self.publish({"front": "left", "by": key.by, "value": key.value, "job": entry.job, "lasts": self.lasts})
        return self.lasts

    # -- calls -----------------------------------------------------------------------------------

    def claim(
        self, call_id: str, *, called: str = "", parameters: Mapping[str, str] | None = None
    ) -> SessionConfigured | None:
        """Bind the fronts that wait for this call, and return what they want of it, used up with that.

        May be asked more than once, whenever more is known of the call: when it is announced, when its first socket
        comes. What was left by token outdoes what was left by id, and that what was left by number.

        Args:
            parameters: what the carrier's stream says of itself; may show a token.
        """
        keys = [Key("called", called), Key("call_id", call_id)]
        keys += [Key("token", shown) for name in TOKEN_PARAMETERS if (shown := (parameters or {}).get(name, ""))]
        job: dict[str, Any] = {}
        for key in keys:
            entry = self._waiting.get(key) if key.value else None
            if entry is not None:
                job = _merged(job, entry.job or {})
                self._take(key, entry, call_id)
                self.publish({"front": "claimed", "by": key.by, "value": key.value, "call_id": call_id})
        return SessionConfigured(**job) if job else None

    def clear(self) -> None:
        """Forget everything that waits, on every node; the fronts that wait are told to go."""
        self._clear()
        self.publish({"front": "clear"})

    # -- other nodes -----------------------------------------------------------------------------

    def hello(self) -> None:
        """Ask the other nodes what waits at them."""
        self.publish({"front": "hello"})

    def heard(self, said: Mapping[str, Any]) -> None:
        """Take what another node's `publish` was told."""
        match said:
            case {"front": "left", "by": by, "value": value, "job": dict(job), "lasts": lasts}:
                self._left_elsewhere(Key(by, value), job, float(lasts))
            case {"front": "claimed", "by": by, "value": value, "call_id": str(call_id)}:
                if (entry := self._waiting.get(Key(by, value))) is not None:
                    self._take(Key(by, value), entry, call_id)
            case {"front": "clear"}:
                self._clear()
            case {"front": "hello"}:
                self._tell_all()
            case _:  # of a newer version
                pass

    def _left_elsewhere(self, key: Key, job: dict[str, Any], lasts: float) -> None:
        try:
            entry = self._entry(key)
        except TooMany:
            log.warning("front_not_shared", extra={"by": key.by})
            return
        if entry.author is not None:
            entry.author.dropped("replaced")
        self._keep(key, entry, job, None, elsewhere=True, lasts=lasts)

    def _tell_all(self) -> None:
        for key, entry in self._waiting.items():
            if entry.job is not None and not entry.elsewhere:
                self.publish({"front": "left", "by": key.by, "value": key.value, "job": entry.job, "lasts": self.lasts})

    # -- inside ----------------------------------------------------------------------------------

    def _entry(self, key: Key) -> _Waiting:
        entry = self._waiting.get(key)
        if entry is None:
            if len(self._waiting) >= _MOST:
                raise TooMany(f"{_MOST} calls are waited for already; try again later")
            entry = self._waiting[key] = _Waiting()
        return entry

    def _keep(
        self,
        key: Key,
        entry: _Waiting,
        job: dict[str, Any],
        author: Front | None,
        *,
        elsewhere: bool,
        lasts: float = 0.0,
    ) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
        entry.job, entry.author, entry.elsewhere = job, author, elsewhere
        due = self._clock.now() + (lasts or self.lasts)
        entry.timer = self._clock.call_at(due, lambda: self._expired(key, entry))

    def _expired(self, key: Key, entry: _Waiting) -> None:
        author = entry.author
        self._forget_job(key, entry)
        if author is not None:
            author.dropped("expired")

    def _forget_job(self, key: Key, entry: _Waiting) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
        entry.job = entry.author = entry.timer = None
        self._tidy(key, entry)

    def _tidy(self, key: Key, entry: _Waiting) -> None:
        if not entry.fronts and entry.job is None and self._waiting.get(key) is entry:
            del self._waiting[key]

    def _take(self, key: Key, entry: _Waiting, call_id: str) -> None:
        """The call of `key` has come."""
        fronts, entry.fronts = entry.fronts, {}
        self._forget_job(key, entry)
        for front in fronts:
            front.bound(call_id, key.by)

    def _clear(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for entry in waiting.values():
            if entry.timer is not None:
                entry.timer.cancel()
            for front in entry.fronts:
                front.cleared()


def _merged(job: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with what another one says; what it leaves out stays."""
    merged: dict[str, Any] = {name: more[name] for name in _JOB if more.get(name) is not None}
    kept = {name: job[name] for name in _JOB if job.get(name) is not None}
    metadata = {**job.get("metadata", {}), **more.get("metadata", {})}
    return {**kept, **merged, **({"metadata": metadata} if metadata else {})}


def _to_nobody(said: Mapping[str, Any]) -> None:
    """There is no other node."""
