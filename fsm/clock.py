"""Time, as a call sees it. Nothing in `fsm/` asks the system for the time in another way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Protocol

__all__ = ["Clock", "LoopClock", "TimerHandle"]


class TimerHandle(Protocol):
    """What `Clock.call_at` returns."""

    def cancel(self) -> None:
        """Forget the callback; harmless when it has run."""
        ...


class Clock(Protocol):
    """Seconds that only grow, and the time of day."""

    def now(self) -> float:
        """Return monotonic seconds."""
        ...

    def wall(self) -> float:
        """Return seconds since the epoch, UTC."""
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> TimerHandle:
        """Run `callback` once `now()` has reached `when`."""
        ...


class LoopClock:
    """The running event loop's own time. A loop with virtual time makes it, and so every call, virtual."""

    __slots__ = ("_context", "_loop", "_wall_offset")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._wall_offset = time.time() - self._loop.time()
        self._context = copy_context()  # shared by all timers: a copy for each would be a tenth of an idle call

    def now(self) -> float:
        return self._loop.time()

    def wall(self) -> float:
        return self._loop.time() + self._wall_offset

    def call_at(self, when: float, callback: Callable[[], None]) -> TimerHandle:
        return self._loop.call_at(when, callback, context=self._context)
