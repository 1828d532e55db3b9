"""Sees to calls that nobody has: their node has died, and their carrier does not come back.

A carrier is waited for as long as its chart waits for a lost one, counted while this node is up: a server's own
downtime does not count. A call that is over and only lacks its closing actions is not waited for.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from adapters.ownership.keeper import Keeper
from adapters.rounds import Rounds
from adapters.stores.contract import CallRefused, Kept, SessionStore, StoreAway
from fsm.clock import Clock

__all__ = ["Reaper"]

log = logging.getLogger(__name__)


class Reaper:
    """Looks at calls without an owner, every `every` seconds, and forgets ended ones every `cleanup_interval`.

    Args:
        recover: sees to a call that nobody has; False if that cannot be.
        window: for how many seconds the carrier of a call is waited for.
    """

    def __init__(
        self,
        *,
        store: SessionStore,
        keeper: Keeper,
        clock: Clock,
        recover: Callable[[str], Awaitable[bool]],
        window: Callable[[Kept], float],
        every: float,
        cleanup_interval: float,
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._clock = clock
        self._recover = recover
        self._window = window
        self._every = every
        self._cleanup_interval = cleanup_interval
        self._seen: dict[str, float] = {}
        """Since when each call without an owner has been seen, in the clock's seconds."""
        self._rounds = (
            Rounds("reaper", self.look, every=every, at_once=True),
            Rounds("clean-up", self._clean_up, every=cleanup_interval),
        )

    async def start(self) -> None:
        """Begin to look; the first time at once."""
        for rounds in self._rounds:
            rounds.start()

    async def aclose(self) -> None:
        """Stop."""
        for rounds in self._rounds:
            await rounds.aclose()

    async def look(self) -> None:
        """See to what has been without an owner for too long. While the store is away, or takes nothing, nothing is."""
        try:
            left = await self._keeper.ask(self._store.unsettled(), within=self._every)
            if left:
                await self._keeper.ask(self._store.check_writes())
            now = self._clock.now()
            self._seen = {kept.call_id: self._seen.get(kept.call_id, now) for kept in left}
            for kept in left:
                if now - self._seen[kept.call_id] >= self._window(kept):
                    await self._see_to(kept)
        except StoreAway:
            self._seen.clear()  # their owners cannot renew either: they get the whole time to do it

    async def _see_to(self, kept: Kept) -> None:
        try:
            if await self._recover(kept.call_id):
                log.warning("call_recovered", extra={"call_id": kept.call_id, "owner": kept.owner})
        except CallRefused as refused:
            log.error("orphan_not_recovered", extra={"call_id": kept.call_id, "why": str(refused)})  # noqa: TRY400  # as said
        except StoreAway:
            raise
        except Exception:  # one call, whatever stands in its document, must not keep the others open
            log.exception("orphan_not_recovered", extra={"call_id": kept.call_id})

    async def _clean_up(self) -> None:
        with suppress(StoreAway):
            if forgotten := await self._keeper.ask(self._store.cleanup_expired(), within=self._cleanup_interval):
                log.info("calls_forgotten", extra={"count": forgotten})
