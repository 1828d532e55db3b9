"""A circuit breaker: what has just failed is not waited for again.

Closed, everything is tried. A failure opens it: until a time-out has passed everything fails at once, then one attempt
is let through as a probe; if that fails as well, the time-out doubles, up to a bound (Nygard, "Release It!"). Time-outs
are drawn at random from their upper half, so that the nodes of a deployment do not come back all at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adapters.stores.contract import StoreAway

__all__ = ["Breaker"]


class Breaker:
    """Decides whether something is tried.

    Args:
        first, longest: seconds that it stays open, after a first failure and after many.
        now: seconds of any clock that only grows.
        draw: a random number from 0 to 1.

    Attributes:
        reason: of the last failure; empty while closed.
    """

    def __init__(
        self,
        *,
        first: float = 0.25,
        longest: float = 5.0,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.reason = ""
        self._first = first
        self._longest = longest
        self._now = now
        self._draw = draw
        self._failures = 0
        self._open_until = 0.0
        self._probing = False

    @property
    def away(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Try something; `StoreAway` from inside counts as a failure, anything else that is raised as no answer.

        Raises:
            StoreAway: at once, it is not to be tried now.
        """
        probe = self.away
        if probe:
            if self._probing or self._now() < self._open_until:
                raise StoreAway(self.reason)
            self._probing = True
        try:
            yield
        except StoreAway as away:
            if probe or not self._failures:  # not one more that was under way when the first one failed
                self._fail(str(away))
            raise
        else:
            self._failures, self.reason = 0, ""
        finally:
            if probe:
                self._probing = False

    def _fail(self, reason: str) -> None:
        self.reason = reason
        length = min(self._longest, self._first * 2**self._failures)
        self._failures = min(self._failures + 1, 64)
        self._open_until = self._now() + length * (0.5 + self._draw() / 2)
