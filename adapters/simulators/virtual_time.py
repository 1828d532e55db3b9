"""An event loop whose time jumps: a two-minute silence costs nothing, and sockets on loopback stay real.

Time stands still while anything can run or any socket is readable, and jumps to the next timer when nothing is. Work
handed to threads counts as running. Everything that asks the loop for the time (`asyncio.sleep`, `asyncio.timeout`,
`fsm.clock.LoopClock`) follows.

How it works: the loop asks its selector to wait for I/O until the next timer is due. Ours looks for I/O once, for a
blink so that what the kernel still carries can arrive, and otherwise moves the loop's time forward by that wait.

With a `speed` it does not jump but takes its time: at most so many seconds of the loop in one of the wall clock.
Time never passes while something is computed: a slow machine makes a slow call, and never a stuttering one.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

__all__ = ["VirtualLoop", "run"]

T = TypeVar("T")
_BLINK = 0.0002  # real seconds that bytes on loopback are given to arrive before time jumps

_HAIR = 1e-6


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop that never waits for time, or waits `speed` times less."""

    def __init__(self, speed: float = math.inf) -> None:
        self.now = 0.0
        self.speed = speed
        self.working = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]  # typeshed's variadic form
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        self.working += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._worked)
        return future

    def jump(self, seconds: float) -> None:
        """Move time on, never to a hair before the timer that is waited for: it would run early, over and over."""
        now = self.now + seconds
        due: float = self._scheduled[0].when() if self._scheduled else now  # type: ignore[attr-defined]  # asyncio's heap
        self.now = due if 0 < due - now < _HAIR else now

    def _worked(self, future: asyncio.Future[Any]) -> None:
        self.working -= 1


class _JumpingSelector(selectors.BaseSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()
        self._began = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return self._real.select(0)
        if timeout is None or self._loop.working:
            return self._real.select(None)
        early = self._early(timeout)
        ready = self._wait(early)
        if not ready:
            self._loop.jump(timeout)
        elif early:
            self._loop.now += min(timeout, (early - self._early(timeout)) * self._loop.speed)
        return ready

    def _early(self, timeout: float) -> float:
        """Return how many real seconds it is too early for what is due in `timeout` seconds of the loop."""
        if self._loop.speed == math.inf:
            return 0.0
        due = (self._loop.now + timeout) / self._loop.speed
        return max(0.0, due - (time.monotonic() - self._began))

    def _wait(self, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for I/O for so long; for a blink at least, if there is a socket besides the one that wakes the loop."""
        if seconds > _BLINK:
            return self._real.select(seconds)
        ready = self._real.select(0)
        if not ready and len(self._real.get_map()) > 1:
            time.sleep(_BLINK)  # epoll would wait for a whole millisecond
            ready = self._real.select(0)
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None, speed: float = math.inf) -> T:
    """Run `main` in virtual time, like `asyncio.run`."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(speed), debug=debug) as runner:
        return runner.run(main)
