"""Commits that wait on this machine's disk while the store is away: two stores of the same kind, no format of its own.

One holds what has to be replayed; the other what must not be, since another node has the call: it is kept for people.
"""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from adapters.stores.contract import Commit, Kept, SessionStore
from fsm.errors import SettingError

__all__ = ["Spool"]

_PAGE = 1000  # entries read at once
_MANY = 20_000  # entries that are replayed at once, but for those of a single call


class Spool:
    """Takes commits in, and gives them out again, call by call, the oldest call first.

    Args:
        store: what has to be replayed; nobody else uses it.
        aside: what was set aside.
        lock: a file that is locked as long as the spool is open: what a process holds is not for another one to replay.

    Attributes:
        left: ids of calls that a former process has left and that were not replayed yet.
        set_aside: calls that were set aside, ever.
    """

    def __init__(self, store: SessionStore, aside: SessionStore, *, lock: Path | None = None) -> None:
        self._store = store
        self._aside = aside
        self._lock = lock
        self._locked: IO[bytes] | None = None
        self._held: dict[str, float] = {}  # call id -> when the call was made
        self.left: set[str] = set()
        self.set_aside = 0

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._held

    async def start(self) -> None:
        """Find what a former process has left.

        Raises:
            SettingError: the files must not be used as they are, or another process uses them.
        """
        if self._lock is not None:
            self._locked = _locked(self._lock)
        await self._store.start()
        await self._aside.start()
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
            commits = await self._commits(kept) if kept is not None else ()
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
        await self._store.aclose()
        await self._aside.aclose()
        if self._locked is not None:
            self._locked.close()

    def forget(self, call_id: str) -> None:
        """Nothing of a call is held."""
        self._held.pop(call_id, None)
        self.left.discard(call_id)

    async def _commits(self, kept: Kept) -> tuple[Commit, ...]:
        """Return a call's entries; each page with the newest document, which the last one brings to its place."""
        assert kept.document is not None  # nothing in the spool's files expires
        commits: list[Commit] = []
        after = 0
        while entries := await self._store.log(kept.call_id, after=after, limit=_PAGE):
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
            after = entries[-1].version
        return tuple(commits)


def _locked(path: Path) -> IO[bytes]:
    """Return the file, locked until it is closed, or its process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise SettingError(
            f"CALLCHART_DATA_DIR: {path.parent} is the folder of another process that runs; give each its own"
        ) from error
    return file
