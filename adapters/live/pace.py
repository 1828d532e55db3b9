"""How often somebody may do something: token buckets, one for each."""

from __future__ import annotations

from fsm.clock import Clock

__all__ = ["Pace"]

_REMEMBERED = 10_000  # buckets; the fullest are forgotten first


class Pace:
    """Allows `burst` at once, and `rate` in a second from then on; for each key by itself."""

    def __init__(self, clock: Clock, *, burst: int, rate: float) -> None:
        self._clock = clock
        self._burst = burst
        self._rate = rate
        self._left: dict[str, tuple[float, float]] = {}

    def allows(self, key: str = "") -> bool:
        """Whether one more is allowed now; it counts if so."""
        now = self._clock.now()
        left, at = self._left.get(key, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._rate)
        if len(self._left) >= _REMEMBERED and key not in self._left:
            self._forget(now)
        self._left[key] = (left - 1 if left >= 1 else left, now)
        return left >= 1

    def _forget(self, now: float) -> None:
        """Make room: a bucket that is full again is as good as none; if there is no such, forget the oldest half."""
        full = [key for key, (left, at) in self._left.items() if left + (now - at) * self._rate >= self._burst]
        for key in full or list(self._left)[: _REMEMBERED // 2]:
            del self._left[key]
