"""Nobody is heard: tells it once the line has been silent for a while, and again every while after."""

from __future__ import annotations

from collections.abc import Callable

from fsm.clock import Clock, TimerHandle

__all__ = ["IdleTimer"]


class IdleTimer:
    """Counts silence between `start` and `stop`. What is heard is told to it; it never looks at audio.

    Args:
        after: seconds of silence; 0 or less: never.
        on_idle: called with the milliseconds of silence so far.
    """

    def __init__(self, *, clock: Clock, after: float, on_idle: Callable[[int], None]) -> None:
        self._clock = clock
        self._after = after
        self._on_idle = on_idle
        self._running = False
        self._somebody_is_heard = False
        self._silent_since = 0.0
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Begin to count; goes on counting if it has begun."""
        if not self._running:
            self._running = True
            self._begin()

    def stop(self) -> None:
        """Count no more."""
        self._running = False
        self._cancel()

    def heard(self, somebody: bool) -> None:
        """Somebody is heard, or nobody is any more."""
        if somebody == self._somebody_is_heard:
            return
        self._somebody_is_heard = somebody
        self._begin()

    def _begin(self) -> None:
        self._cancel()
        if self._running and not self._somebody_is_heard and self._after > 0:
            self._silent_since = self._clock.now()
            self._timer = self._clock.call_at(self._silent_since + self._after, self._due)

    def _due(self) -> None:
        now = self._clock.now()
        self._timer = self._clock.call_at(now + self._after, self._due)
        self._on_idle(round((now - self._silent_since) * 1000))

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
