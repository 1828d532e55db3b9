"""The `after` timers of one call: one handle on the clock for the earliest, a heap for the rest."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import NamedTuple, Protocol

from fsm.clock import Clock, TimerHandle
from fsm.compile import Timer

__all__ = ["Due", "Timers", "Waiting"]


class Due(NamedTuple):
    """A timer that runs; sorts by when it is due, then parents first, then document order."""

    when: float
    order: int
    timer: Timer
    node: int
    visit: int


class Waiting(Protocol):
    """Who is told of a due timer."""

    def due(self, due: Due) -> None: ...


class Timers:
    """Timers that fire in the order of their due times, each at its own."""

    __slots__ = ("_clock", "_handle", "_heap", "_owner")

    def __init__(self, clock: Clock, owner: Waiting) -> None:
        self._clock = clock
        self._owner = owner
        self._handle: TimerHandle | None = None
        self._heap: list[Due] = []

    def __len__(self) -> int:
        return len(self._heap)

    def arm(self, timer: Timer, node: int, visit: int, when: float) -> None:
        """Let `timer` fire at `when`, in the clock's seconds."""
        heappush(self._heap, Due(when, timer.order, timer, node, visit))
        if self._heap[0].timer is timer:
            self._reschedule()

    def disarm(self, nodes: Iterable[int]) -> None:
        """Forget the timers of these nodes."""
        left = [due for due in self._heap if due.node not in nodes]
        if len(left) != len(self._heap):
            heapify(left)
            self._heap = left
            self._reschedule()

    def left(self) -> list[tuple[int, str, float]]:
        """Return (node, key, seconds left) of each, the earliest first."""
        now = self._clock.now()
        return [(due.node, due.timer.key, max(0.0, due.when - now)) for due in sorted(self._heap)]

    def _reschedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._clock.call_at(self._heap[0].when, self._wake) if self._heap else None

    def _wake(self) -> None:
        self._handle = None
        now = self._clock.now()
        while self._heap and self._heap[0].when <= now:
            self._owner.due(heappop(self._heap))
        if self._handle is None:
            self._reschedule()
