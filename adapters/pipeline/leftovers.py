"""Files of calls that the store has forgotten: what was said in a call is kept no longer than the call.

A node looks after its own folder; the store, which all nodes share, cannot know who has files of what it forgets.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from adapters.call_folder import call_folder
from adapters.pipeline.results import Results
from adapters.rounds import Rounds
from adapters.stores.contract import SessionStore, StoreAway
from fsm.clock import Clock

__all__ = ["Leftovers"]

log = logging.getLogger(__name__)


class Leftovers:
    """Deletes folders of calls.

    Args:
        retention: seconds that a folder outlives its last change, even if the store does not know its call: the store
            may have been replaced by an empty one.
        every: seconds between two looks.
    """

    def __init__(
        self,
        folder: Path,
        store: SessionStore,
        results: Results,
        *,
        clock: Clock,
        retention: float,
        every: float,
    ) -> None:
        self._folder = folder
        self._store = store
        self._results = results
        self._clock = clock
        self._retention = retention
        self._rounds = Rounds("leftovers", self._look, every=every)

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._rounds.start()

    async def aclose(self) -> None:
        """Stop. May be called without `start`, and twice."""
        await self._rounds.aclose()

    async def delete(self) -> int:
        """Delete what is old and whose call is forgotten; return how many calls had something.

        Damaged databases that were set aside beside the folder go, too, once nothing in them is younger.

        Raises:
            StoreAway: the store cannot tell which calls it has.
        """
        horizon = self._clock.wall() - self._retention
        await asyncio.to_thread(self._forget_damaged, horizon)
        old = await asyncio.to_thread(self._old, horizon)
        count = 0
        for call_id in old:
            if await self._store.get(call_id) is None:
                await asyncio.to_thread(self._results.forget, call_id)
                count += 1
        return count

    async def _look(self) -> None:
        with suppress(StoreAway):
            if count := await self.delete():
                log.info("files_forgotten", extra={"calls": count})

    def _forget_damaged(self, horizon: float) -> None:
        for path in self._folder.parent.glob("*.db.corrupt-*"):
            with suppress(OSError):  # in use, or gone
                if path.stat().st_mtime <= horizon:
                    path.unlink()

    def _old(self, horizon: float) -> list[str]:
        """Return the ids of calls whose folder has not changed since; one that is no call's is left alone."""
        old = [path for path, changed_at in _folders(self._folder) if changed_at <= horizon]
        ids = [(path, self._results.call_id(path)) for path in old]
        return [call_id for path, call_id in ids if call_id and call_folder(self._folder, call_id) == path]


def _folders(folder: Path) -> Iterator[tuple[Path, float]]:
    """Yield each folder in `folder`, and when it was changed, in seconds since the epoch."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path), entry.stat(follow_symlinks=False).st_mtime
    except OSError:  # there is none yet, or one went while we looked
        return
