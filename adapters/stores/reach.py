"""Whether the store answers, as whoever writes to it sees it: told once when it goes away and once when it is back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from adapters.stores.contract import Commit, Outcome, SessionStore, StoreAway
from fsm.clock import Clock

__all__ = ["Reach"]

log = logging.getLogger(__name__)
_PROBE = 0.5  # seconds between two tries to reach a store that is away


class Reach:
    """A store that may be away.

    Args:
        patience: seconds that it may take for a batch; None: as long as it wants.
        instead: where commits go while it is away, for the log.

    Attributes:
        away: whether it could not be reached when it was last tried.
        try_at: by the clock, when to try next; of no meaning unless it is away.
    """

    def __init__(self, store: SessionStore, clock: Clock, *, patience: float | None, instead: str) -> None:
        self._store = store
        self._clock = clock
        self._patience = patience
        self._instead = instead
        self._since = 0.0
        self.away = False
        self.try_at = 0.0

    @property
    def is_due(self) -> bool:
        """Whether the store answers or may be tried again."""
        return not self.away or self._clock.now() >= self.try_at

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Commit to the store; what it has a gap before is sent again, to be taken in spite of it.

        Raises:
            StoreAway: it does not answer; whether it took the commits is not known.
        """
        try:
            async with asyncio.timeout(self._patience):
                outcomes = await self._store.commit(commits)
                if any(outcome.verdict == "gap" for outcome in outcomes):
                    outcomes = await self._insist(commits, outcomes)
        except TimeoutError as error:
            self.lost(f"no answer for {self._patience} s")
            raise StoreAway(f"no answer for {self._patience} s") from error
        except StoreAway as error:
            self.lost(str(error))
            raise
        except Exception as error:  # a store's own mistake must not end the writing
            if not self.away:
                log.exception("store_failed")
            self.lost(type(error).__name__)
            raise StoreAway(type(error).__name__) from error
        self._found()
        return outcomes

    async def _insist(self, commits: Sequence[Commit], outcomes: Sequence[Outcome]) -> list[Outcome]:
        gaps = [i for i, outcome in enumerate(outcomes) if outcome.verdict == "gap"]
        calls = list(dict.fromkeys(commits[i].call_id for i in gaps))
        log.warning("store_lost_entries", extra={"calls": len(calls), "call_id": calls[0]})
        again = dict(zip(gaps, await self._store.commit([replace(commits[i], rebase=True) for i in gaps]), strict=True))
        return [again.get(i, outcome) for i, outcome in enumerate(outcomes)]

    def lost(self, cause: str) -> None:
        """The store is not to be tried for a while."""
        self.try_at = self._clock.now() + _PROBE
        if not self.away:
            self.away, self._since = True, self._clock.now()
            log.error("store_away", extra={"cause": cause, "commits_go_to": self._instead})

    def _found(self) -> None:
        if self.away:
            self.away = False
            log.warning("store_back", extra={"away_s": round(self._clock.now() - self._since, 3)})
