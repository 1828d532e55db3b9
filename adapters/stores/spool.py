"""Commits that wait on this machine's disk while the store is away: two stores of the same kind, no format of its own.

One holds what has to be replayed; the other what must not be, since another node has the call: it is kept for people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from adapters.stores.contract import Commit, Kept, SessionStore
from adapters.stores.paging import log_pages
from adapters.stores.spool_folder import SpoolFiles, SpoolFolder

__all__ = ["Spool"]

_MANY = 20_000  # entries that are replayed at once, but for those of a single call


class Spool:
    """Takes commits in, and gives them out again, call by call, the oldest call first.

    Args:
        files: nobody else uses them; or the folder of the spools of this machine: one that is free is taken, and what
            dead processes have left in theirs is moved to it.

    Attributes:
        left: ids of calls that a former process has left and that were not replayed yet.
        set_aside: calls that were set aside, ever.
    """

    def __init__(self, files: SpoolFiles | SpoolFolder) -> None:
        self._folder = files if isinstance(files, SpoolFolder) else None
        self._files = None if isinstance(files, SpoolFolder) else files
        self._held: dict[str, float] = {}  # call id -> when the call was made
        self._waited: dict[str, asyncio.Event] = {}
        self.left: set[str] = set()
        self.set_aside = 0

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._held

    async def start(self) -> None:
        """Find what a former process has left.

        Raises:
            SettingError: the files must not be used as they are.
        """
        if self._folder is not None:
            self._files = self._folder.take()
        await self._store.start()
        await self._aside.start()
        if self._folder is not None:
            for other in self._folder.left():
                await self._move(other.waiting)
        async for kept in self._store.everything():
            self._held[kept.call_id] = kept.head.created_at
        self.left = set(self._held)
        counts = await self._aside.stats()
        self.set_aside = counts.initiated + counts.active + counts.ended + counts.error

    async def put(self, commits: Sequence[Commit]) -> None:
        """Keep commits until the store is back; in order where they are of one call.

        Raises:
            StoreAway: the disk does not take them.
        """
        outcomes = await self._store.commit([replace(commit, rebase=True) for commit in commits])
        refused = [c for c, outcome in zip(commits, outcomes, strict=True) if outcome.verdict in ("fenced", "gap")]
        for commit, outcome in zip(commits, outcomes, strict=True):
            if outcome.verdict in ("applied", "repeated"):
                self._held.setdefault(commit.call_id, commit.head.created_at)
        for commit in refused:  # a newer owner's commits lie here: this one has lost the call
            await self.put_aside(commit)

    async def oldest(self, count: int) -> list[tuple[Commit, ...]]:
        """Return what is kept of the oldest calls, at most `count`; each call's commits in order."""
        found: list[tuple[Commit, ...]] = []
        entries = 0
        for call_id in sorted(self._held, key=self._held.__getitem__)[:count]:
            kept = await self._store.get(call_id)
            commits = await self._commits(kept, self._store) if kept is not None else ()
            if commits:
                found.append(commits)
            else:
                self.forget(call_id)
            entries += sum(len(commit.entries) for commit in commits)
            if entries >= _MANY:
                break
        return found

    async def replayed(self, call_id: str) -> None:
        """Forget a call: the store has it."""
        await self._store.delete(call_id)
        self.forget(call_id)

    async def put_aside(self, commit: Commit) -> None:
        """Keep what must not reach the store."""
        known = await self._aside.get(commit.call_id)
        if known is None:
            self.set_aside += 1
        elif known.fence > commit.fence or known.owner != commit.owner:
            commit = replace(commit, fence=known.fence + 1)
        await self._aside.commit([replace(commit, rebase=True)])

    async def erase(self, call_id: str) -> None:
        """Forget everything of a call."""
        await self._store.delete(call_id)
        if await self._aside.delete(call_id):
            self.set_aside -= 1
        self.forget(call_id)

    async def aclose(self) -> None:
        """Write what is left and let go of the files; may be called twice."""
        if self._files is not None:
            await self._store.aclose()
            await self._aside.aclose()
        if self._folder is not None:
            self._folder.close()

    def forget(self, call_id: str) -> None:
        """Nothing of a call is held."""
        self._held.pop(call_id, None)
        self.left.discard(call_id)
        if (waited := self._waited.pop(call_id, None)) is not None:
            waited.set()

    async def without(self, call_id: str) -> None:
        """Return once nothing of a call is held."""
        if call_id in self._held:
            await self._waited.setdefault(call_id, asyncio.Event()).wait()

    @property
    def _store(self) -> SessionStore:
        assert self._files is not None  # it was started
        return self._files.waiting

    @property
    def _aside(self) -> SessionStore:
        assert self._files is not None
        return self._files.aside

    async def _move(self, other: SessionStore) -> None:
        """Take over what waits in another spool."""
        await other.start()
        try:
            for kept in [kept async for kept in other.everything()]:
                await self.put(await self._commits(kept, other))
                await other.delete(kept.call_id)
        finally:
            await other.aclose()

    async def _commits(self, kept: Kept, store: SessionStore) -> tuple[Commit, ...]:
        """Return a call's entries; each page with the newest document, which the last one brings to its place."""
        assert kept.document is not None  # nothing in the spool's files expires
        commits: list[Commit] = []
        async for entries in log_pages(store, kept.call_id):
            start = 0
            for i in range(1, len(entries) + 1):  # a commit has no hole, although a log may
                if i == len(entries) or entries[i].version != entries[i - 1].version + 1:
                    run = entries[start:i]
                    commits.append(
                        Commit(
                            call_id=kept.call_id,
                            owner=kept.owner,
                            fence=kept.fence,
                            first=run[0].version,
                            entries=tuple(entry.record for entry in run),
                            document=kept.document,
                            head=kept.head,
                        )
                    )
                    start = i
        return tuple(commits)
