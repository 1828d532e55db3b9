"""Work that is done again and again until it is stopped. A mistake in one round does not end the rounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

__all__ = ["Rounds"]

log = logging.getLogger(__name__)


class Rounds:
    """A task that does `work` every so often.

    Args:
        name: of the work, for the log.
        every: seconds from the end of a round to the next one.
        at_once: whether the first round begins with `start`, or `every` seconds later.
    """

    def __init__(
        self, name: str, work: Callable[[], Awaitable[object]], *, every: float, at_once: bool = False
    ) -> None:
        self._name = name
        self._work = work
        self._every = every
        self._at_once = at_once
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; nothing happens if it has begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._go_on(), name=self._name)

    async def aclose(self) -> None:
        """Stop, in the middle of a round, too; may be called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _go_on(self) -> None:
        if not self._at_once:
            await asyncio.sleep(self._every)
        while True:
            try:
                await self._work()
            except Exception:  # calls are looked after in the next round, whatever went wrong in this one
                log.exception("round_failed", extra={"work": self._name})
            await asyncio.sleep(self._every)
