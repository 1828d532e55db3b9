"""What tests of stores share: calls to keep, and a store to keep them in."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.stores.contract import Claim, Commit, Head, Kept, Outcome, SessionStore

__all__ = [
    "LONG", "NOON", "SHORT", "Bench", "Opens", "a_commit", "a_head", "an_ended_head", "claimed", "committed", "known",
    "versions",
]  # fmt: skip

LONG = 600.0
"""Seconds of a lease that outlasts every test."""
SHORT = 0.05
"""Seconds of a lease that a test lets run out."""
NOON = float(int(time.time()))
"""When the calls of these tests began, seconds since the epoch: just now, since a store may count by the wall clock."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A store under test, started, with an empty stock.

    Attributes:
        let_pass: lets seconds of the store's clock pass.
        now: the store's time of day, seconds since the epoch.
    """

    store: SessionStore
    let_pass: Callable[[float], Awaitable[None]]
    now: Callable[[], float]


class Opens:
    """What a suite needs: a way to open the store it is about."""

    def opened(self, folder: Path, *, retention: float = LONG) -> AbstractAsyncContextManager[Bench]:
        """Open a store with nothing in it. It keeps ended calls for `retention` seconds, its files in `folder`."""
        raise LookupError(f"{type(self).__name__} does not say how its store is opened")


def a_head(**changes: Any) -> Head:
    """Return the head of a live call."""
    facts: dict[str, Any] = {
        "status": "active",
        "state": "listening",
        "carrier": "twilio",
        "bot": "desk",
        "caller": "+4930111",
        "called": "+4930999",
        "created_at": NOON,
        "active_at": NOON,
    }
    return Head(**facts | changes)


def an_ended_head(**changes: Any) -> Head:
    """Return the head of a call that is over, settled and handed over."""
    facts = {"status": "ended", "state": "closed", "settled": True, "ended_at": NOON + 60}
    return a_head(**facts | changes)


def a_commit(
    call_id: str = "CA1",
    first: int = 1,
    count: int = 1,
    *,
    owner: str = "node-a",
    fence: int = 1,
    head: Head | None = None,
    document: bytes = b"",
    rebase: bool = False,
) -> Commit:
    """Return a commit of `count` entries from version `first`."""
    versions = range(first, first + count)
    return Commit(
        call_id=call_id,
        owner=owner,
        fence=fence,
        first=first,
        entries=tuple(b'{"seq":%d,"by":"%s"}' % (version, owner.encode()) for version in versions),
        document=document or b'{"call_id":"%s","seq":%d}' % (call_id.encode(), first + count - 1),
        head=head or a_head(),
        rebase=rebase,
    )


async def committed(store: SessionStore, *args: Any, **facts: Any) -> Outcome:
    """Commit what `a_commit` makes of the arguments."""
    (outcome,) = await store.commit([a_commit(*args, **facts)])
    return outcome


async def claimed(store: SessionStore, call_id: str = "CA1", owner: str = "node-a", **how: Any) -> Claim:
    """Claim a call for long."""
    return await store.claim(call_id, owner, **{"lease": LONG} | how)


async def known(store: SessionStore, call_id: str = "CA1") -> Kept:
    """Return a call that must be kept."""
    kept = await store.get(call_id)
    assert kept is not None, f"{call_id} is not kept"
    return kept


async def versions(store: SessionStore, call_id: str = "CA1") -> list[int]:
    """Return the versions in a call's log."""
    return [entry.version for entry in await store.log(call_id)]
