"""Calls in the memory of this process, gone with it: for tests, and for whoever keeps nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from heapq import nlargest
from itertools import islice, pairwise

from adapters.stores.contract import Claim, Commit, Entry, Head, Kept, Outcome, Page, StoreCounts
from adapters.stores.rules import (
    NOBODY,
    Standing,
    is_done,
    judge_claim,
    judge_commit,
    merged,
    read_cursor,
    write_cursor,
)
from fsm.clock import Clock, TimerHandle

__all__ = ["MemoryStore"]

_EMPTY_CLAIM = 3600.0  # seconds that a claim without a commit is remembered after its lease


class _Log:
    """A call's entries: their bytes, and where another fence or a hole begins. A tuple each would double them."""

    __slots__ = ("records", "runs")

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.runs: list[tuple[int, int, int]] = []  # index of a run's first record, its version, its fence

    def append(self, version: int, fence: int, records: Sequence[bytes]) -> None:
        if not self.runs or self._next_version() != version or self.runs[-1][2] != fence:
            self.runs.append((len(self.records), version, fence))
        self.records.extend(records)

    def _next_version(self) -> int:
        index, version, _ = self.runs[-1]
        return version + len(self.records) - index

    def after(self, version: int) -> Iterator[Entry]:
        end_of_all = (len(self.records), 0, 0)
        for (index, first, fence), (end, _, _) in pairwise([*self.runs, end_of_all]):
            for at in range(index + max(0, version + 1 - first), end):
                yield Entry(first + at - index, fence, self.records[at])


class _Call:
    """What is kept of one call. Without a head it was only claimed."""

    __slots__ = ("document", "fence", "handed", "head", "lease_until", "log", "owner", "version")

    def __init__(self, owner: str, fence: int, lease_until: float) -> None:
        self.document = b""
        self.head: Head | None = None
        self.handed = False
        self.version = 0
        self.fence = fence
        self.owner = owner
        self.lease_until = lease_until
        self.log = _Log()

    @property
    def standing(self) -> Standing:
        return Standing(self.version, self.fence, self.owner)


class MemoryStore:
    """A `SessionStore` that forgets.

    Args:
        max_sessions: calls that are kept. One more, and that which ended first is forgotten; never one that is live or
            has something left to do, so that there may be more for a while.
        retention: seconds that a call is kept after its end.
        cleanup_interval: seconds between two looks for calls whose retention is over.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        max_sessions: int = 1000,
        retention: float = 30 * 86400.0,
        cleanup_interval: float = 300.0,
    ) -> None:
        self._clock = clock
        self._max_sessions = max_sessions
        self._retention = retention
        self._cleanup_interval = cleanup_interval
        self._calls: dict[str, _Call] = {}
        self._claimed: set[str] = set()  # claimed, and nothing committed yet
        self._live: set[str] = set()
        self._done: dict[str, None] = {}  # in the order of their ends
        self._timer: TimerHandle | None = None

    async def start(self) -> None:
        if self._timer is None:
            self._arm()

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = self._clock.call_at(self._clock.now() + self._cleanup_interval, self._clean_up)

    def _clean_up(self) -> None:
        self._forget_expired()
        self._arm()

    # -- writing ---------------------------------------------------------------------------------

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        return [self._commit(commit) for commit in commits]

    def _commit(self, commit: Commit) -> Outcome:
        call = self._calls.get(commit.call_id)
        verdict, there = judge_commit(commit, call.standing if call else NOBODY)
        if verdict != "applied":
            return Outcome(verdict, call.version if call else 0, call.fence if call else 0)
        if call is None:
            call = self._calls[commit.call_id] = _Call(commit.owner, commit.fence, self._clock.now())
        elif commit.fence > call.fence:
            call.fence, call.owner, call.lease_until = commit.fence, commit.owner, self._clock.now()
        if there < len(commit.entries):
            call.log.append(commit.first + there, commit.fence, [_fitting(entry) for entry in commit.entries[there:]])
        call.version = commit.version
        call.document = _fitting(commit.document)
        self._set_head(commit.call_id, call, commit.head)
        return Outcome("applied", call.version, call.fence)

    def _set_head(self, call_id: str, call: _Call, head: Head) -> None:
        if call.head is not None:
            head = merged(head, active_at=call.head.active_at, handed_over=call.handed)
        call.head = head
        self._claimed.discard(call_id)
        if head.over:
            self._live.discard(call_id)
        else:
            self._live.add(call_id)
        if head.settled:
            call.lease_until = min(call.lease_until, self._clock.now())
        if is_done(head):
            self._done.setdefault(call_id)
        else:
            self._done.pop(call_id, None)
        self._evict()

    def _evict(self) -> None:
        while self._done and len(self._calls) - len(self._claimed) > self._max_sessions:
            self._forget(next(iter(self._done)))

    def _forget(self, call_id: str) -> bool:
        self._claimed.discard(call_id)
        self._live.discard(call_id)
        self._done.pop(call_id, None)
        call = self._calls.pop(call_id, None)
        return call is not None and call.head is not None

    async def claim(self, call_id: str, owner: str, *, lease: float, force: bool = False, max_active: int = 0) -> Claim:
        now = self._clock.now()
        call = self._calls.get(call_id)
        kept = self._kept(call_id, call) if call else None
        leased = call is not None and call.lease_until > now
        if call and (refused := judge_claim(call.head, call.standing, owner, leased=leased, force=force)):
            return Claim(refused, call.fence, call.owner, kept)
        if kept is None and max_active and self._active_besides(call_id, now) >= max_active:
            return Claim("full", call.fence if call else 0, call.owner if call else "", None)
        if call is None:
            call = self._calls[call_id] = _Call("", 0, now)
            self._claimed.add(call_id)
        before = call.owner
        if before != owner:
            call.fence, call.owner = call.fence + 1, owner
        call.lease_until = now + lease
        return Claim("", call.fence, before, self._kept(call_id, call))

    def _active_besides(self, call_id: str, now: float) -> int:
        """Count live calls, and those that were claimed and begin."""
        return len(self._live) + sum(
            self._calls[claimed].lease_until > now for claimed in self._claimed if claimed != call_id
        )

    async def renew(self, owner: str, fences: Collection[tuple[str, int]], *, lease: float) -> list[str]:
        now = self._clock.now()
        return [call_id for call_id, fence in fences if not self._renew(call_id, owner, fence, now + lease)]

    def _renew(self, call_id: str, owner: str, fence: int, until: float) -> bool:
        call = self._calls.get(call_id)
        if call is None:
            self._calls[call_id] = _Call(owner, fence, until)
            self._claimed.add(call_id)
            return True
        if fence < call.fence or (fence == call.fence and owner != call.owner):
            return False
        if call.head is None or not call.head.settled:
            call.fence, call.owner, call.lease_until = fence, owner, until
        return True

    async def release(self, owner: str, call_id: str, fence: int) -> None:
        call = self._calls.get(call_id)
        if call and (call.fence, call.owner) == (fence, owner):
            call.lease_until = min(call.lease_until, self._clock.now())

    async def update_activity(self, call_id: str, at: float) -> bool:
        call = self._calls.get(call_id)
        if call is None or call.head is None:
            return False
        call.head = merged(call.head, active_at=at, handed_over=False)
        return True

    async def delete(self, call_id: str) -> bool:
        return self._forget(call_id)

    async def cleanup_expired(self) -> int:
        return self._forget_expired()

    def _forget_expired(self) -> int:
        oldest = self._clock.now() - _EMPTY_CLAIM
        for call_id in [one for one in self._claimed if self._calls[one].lease_until < oldest]:
            self._forget(call_id)
        horizon = self._clock.wall() - self._retention
        expired = [call_id for call_id in self._done if _over_since(self._calls[call_id].head) <= horizon]
        return sum(self._forget(call_id) for call_id in expired)

    async def hand_over(self, call_id: str) -> bool:
        call = self._calls.get(call_id)
        if call is None or call.head is None or call.head.handed_over:
            return False
        call.handed = True
        self._set_head(call_id, call, call.head)
        return True

    async def check_writes(self) -> None:
        """It takes them."""

    # -- reading ---------------------------------------------------------------------------------

    def _kept(self, call_id: str, call: _Call) -> Kept | None:
        if call.head is None:
            return None
        left = call.lease_until - self._clock.now()
        return Kept(call_id, call.document, call.head, call.version, call.fence, call.owner, left)

    def _all(self) -> Iterator[tuple[str, _Call, Head]]:
        return ((call_id, call, call.head) for call_id, call in self._calls.items() if call.head is not None)

    async def get(self, call_id: str, *, touch: bool = False) -> Kept | None:
        if touch:
            await self.update_activity(call_id, self._clock.wall())
        call = self._calls.get(call_id)
        return self._kept(call_id, call) if call else None

    async def log(self, call_id: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        call = self._calls.get(call_id)
        entries = call.log.after(after) if call else iter(())
        return list(islice(entries, limit))

    async def list_active(self) -> list[str]:
        live = ((head.created_at, call_id) for call_id, _, head in self._all() if not head.over)
        return [call_id for _, call_id in sorted(live)]

    async def find(
        self, *, live: bool | None = None, state: str = "", q: str = "", cursor: str = "", limit: int = 50
    ) -> Page:
        before = read_cursor(cursor) if cursor else None
        wanted = (
            (head.created_at, call_id)
            for call_id, _, head in self._all()
            if (live is None or head.over != live)
            and (not state or head.state == state)
            and (not q or call_id == q or head.caller.startswith(q) or head.called.startswith(q))
            and (before is None or (head.created_at, call_id) < before)
        )
        found = nlargest(limit + 1, wanted)
        kept = (self._kept(call_id, self._calls[call_id]) for _, call_id in found[:limit])
        return Page(
            tuple(one for one in kept if one is not None),
            write_cursor(*found[limit - 1]) if len(found) > limit else None,
        )

    async def unsettled(self) -> list[Kept]:
        now = self._clock.now()
        found = [
            Kept(call_id, call.document, head, call.version, call.fence, call.owner, call.lease_until - now)
            for call_id, call, head in self._all()
            if call.lease_until <= now and not (head.over and head.settled)
        ]
        return sorted(found, key=lambda kept: (kept.head.created_at, kept.call_id))

    async def undelivered(self) -> list[str]:
        left = ((head.ended_at, call_id) for call_id, _, head in self._all() if head.over and not head.handed_over)
        return [call_id for _, call_id in sorted(left)]

    async def stats(self) -> StoreCounts:
        counts = dict.fromkeys(("initiated", "active", "ended", "error"), 0)
        for _, _, head in self._all():
            counts[head.status] += 1
        return StoreCounts(**counts)

    async def everything(self) -> AsyncIterator[Kept]:
        for call_id in list(self._calls):
            call = self._calls.get(call_id)
            if call is not None and (kept := self._kept(call_id, call)):
                yield kept


def _fitting(text: bytes) -> bytes:
    """Return a copy that takes no more room than it needs: orjson's bytes keep up to four times theirs."""
    return memoryview(text).tobytes()


def _over_since(head: Head | None) -> float:
    return (head.ended_at or head.active_at) if head else 0.0
