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
    timer: Timer
    visit: int


class Waiting(Protocol):
    """Who is told of a due timer."""

    def due(self, due: Due) -> None: ...


class Timers:
    """Timers that fire in the order of their due times, each at its own.

    The clock is asked to call when the earliest is due, or sooner: a timer that is disarmed leaves the clock's call
    where it is, for most are disarmed long before they are due, and waking up for nothing costs little.
    """

    __slots__ = ("_clock", "_handle", "_heap", "_owner", "_wakes")

    def __init__(self, clock: Clock, owner: Waiting) -> None:
        self._clock = clock
        self._owner = owner
        self._handle: TimerHandle | None = None
        self._heap: list[Due] = []
        self._wakes = 0.0

    def __len__(self) -> int:
        return len(self._heap)

    def arm(self, timer: Timer, visit: int, when: float) -> None:
        """Let `timer` fire at `when`, in the clock's seconds, once `schedule` was called."""
        heappush(self._heap, Due(when, timer, visit))

    def schedule(self) -> None:
        """Have the clock call in time for the earliest; not at all if there is none."""
        if self._handle is not None:
            if self._heap and self._wakes <= self._heap[0].when:
                return
            self._handle.cancel()
            self._handle = None
        if self._heap:
            self._wakes = self._heap[0].when
            self._handle = self._clock.call_at(self._wakes, self)

    def disarm(self, nodes: Iterable[int]) -> None:
        """Forget the timers of these nodes."""
        left = [due for due in self._heap if due.timer.node not in nodes]
        if len(left) != len(self._heap):
            heapify(left)
            self._heap = left
            if not left:
                self.schedule()

    def left(self) -> list[tuple[int, str, float]]:
        """Return (node, key, seconds left) of each, the earliest first."""
        now = self._clock.now()
        return [(due.timer.node, due.timer.key, max(0.0, due.when - now)) for due in sorted(self._heap)]

    def __call__(self) -> None:
        """Fire what is due. The clock calls the timers themselves: a bound method for each idle call is memory too."""
        self._handle = None
        now = max(self._clock.now(), self._wakes)  # asyncio may call a hair early
        while self._heap and self._heap[0].when <= now:
            self._owner.due(heappop(self._heap))
        self.schedule()
