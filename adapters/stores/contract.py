"""What every store of calls offers. One conformance suite (tests/adapters/stores) holds each of them to it.

A call is kept as a *document*, readable JSON of what it is now (`document.py`), and a *log*, its journal: one entry per
version, from 1, without a gap. A commit appends entries and replaces the document in one atomic step.

Who may commit is told by a *fence*: a number that grows whenever a call changes hands. An owner holds a lease on its
call, by the store's clock; whoever takes the call over gets a higher fence, and what the former owner still writes is
refused (Kleppmann, "How to do distributed locking"; Gray and Cheriton, "Leases", SOSP 1989).

Every write is safe to repeat: one whose reply was lost is simply sent again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from fsm.errors import CallchartError

__all__ = [
    "CallRefused", "Claim", "Commit", "Entry", "Head", "Kept", "Outcome", "Page", "Refused", "SessionStore", "Status",
    "StoreAway", "StoreCounts", "Verdict",
]  # fmt: skip

Status = Literal["initiated", "active", "ended", "error"]
Verdict = Literal["applied", "repeated", "fenced", "gap", "refused"]
Refused = Literal["", "owned", "ended", "full"]


class StoreAway(CallchartError):
    """The store cannot be reached, or does not answer in time. What was asked may have been done all the same."""


class CallRefused(StoreAway):
    """The store is there, and cannot do this for this call: what it has under the call's name is not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a store must know of a document without reading it.

    Attributes:
        status: `ended` and `error` are over.
        settled: over, and nothing of it is left to do: nobody has to look after it any more.
        created_at, active_at, ended_at: seconds since the epoch; `ended_at` 0: not yet.
        handed_over: whether nothing in its outbox waits for the post-call work.
        durable: whether it must survive a power failure (a state was entered), or only a crash of the process.
    """

    status: Status
    state: str
    carrier: str = ""
    bot: str = ""
    caller: str = ""
    called: str = ""
    created_at: float
    active_at: float
    ended_at: float = 0.0
    settled: bool = False
    handed_over: bool = True
    durable: bool = True

    @property
    def over(self) -> bool:
        return self.status in ("ended", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One atomic step of one call.

    Attributes:
        owner: the node that commits.
        first: version of the first of `entries`; they follow each other. A document may change without entries: then
            `first` is the version after the last one.
        document: the call as of the last entry, JSON.
        rebase: append even if the log lacks what comes before (the store has lost it); still never past a fence.
    """

    call_id: str
    owner: str
    fence: int
    first: int
    entries: tuple[bytes, ...]
    document: bytes
    head: Head
    rebase: bool = False

    @property
    def version(self) -> int:
        """The call's version once this is applied."""
        return self.first + len(self.entries) - 1


class Outcome(NamedTuple):
    """What became of a commit.

    `applied`; `repeated`: all of it was there already (a part that was there is skipped, and the rest applied);
    `fenced`: somebody has a higher fence, nothing was written; `gap`: the log ends before `first - 1`, nothing was
    written; `refused`: this call cannot be written here, now or later, and other calls can. `version` and `fence` are
    the store's, afterwards.
    """

    verdict: Verdict
    version: int
    fence: int


class Claim(NamedTuple):
    """What became of the wish to own a call.

    Attributes:
        refused: empty if it was granted, else why not: `owned` by a node whose lease runs, `ended`, or `full`: it is
            new, and there are `max_active` calls already.
        fence: ours, or that of the owner.
        owner: who had it before (granted), or has it; empty: nobody.
        kept: the call as it is kept; None if it is not known. What was granted and is not kept is a new call.
    """

    refused: Refused
    fence: int
    owner: str
    kept: Kept | None

    @property
    def granted(self) -> bool:
        return not self.refused


class Kept(NamedTuple):
    """A call as a store has it.

    Attributes:
        document: JSON; None if only its log is left (then the log rebuilds it).
        head: as of the last commit, `active_at` as of the last touch.
        version: of the last entry of its log.
        fence: of its owner.
        owner: the node that holds its lease, or held it last.
        lease_left: seconds; negative: how long it has been over.
    """

    call_id: str
    document: bytes | None
    head: Head
    version: int
    fence: int
    owner: str
    lease_left: float


class Entry(NamedTuple):
    """One entry of a log: a journal record, JSON."""

    version: int
    fence: int
    record: bytes


class Page(NamedTuple):
    """Some of the calls that were asked for; `next_cursor` asks for more, None: there are none."""

    calls: tuple[Kept, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCounts:
    """How many calls are kept; by status."""

    initiated: int = 0
    active: int = 0
    ended: int = 0
    error: int = 0

    @property
    def live(self) -> int:
        return self.initiated + self.active


class SessionStore(Protocol):
    """Keeps calls. Every method raises `StoreAway` if the store cannot be reached.

    A call that the store cannot read or write for what lies under its name does not keep others from it: `commit`
    says `refused`, what is about that call alone raises `CallRefused`, and what is about many leaves it out.
    """

    async def start(self) -> None:
        """Make ready to serve.

        Raises:
            SettingError: it must not be used as it is set up; the message says what to change.
        """
        ...

    async def aclose(self) -> None:
        """Write what is left and let go of files, threads and sockets. May be called twice."""
        ...

    # -- writing ---------------------------------------------------------------------------------

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Apply commits, each atomic by itself, in one go; in order where they are of one call.

        A call that is not known comes to exist by its first commit (`first == 1`, or `rebase`), owned by its `owner`.
        """
        ...

    async def claim(self, call_id: str, owner: str, *, lease: float, force: bool = False, max_active: int = 0) -> Claim:
        """Become the owner of a call for `lease` seconds, with a fence above all before.

        Granted for a call that is not known; for one that is live, or over and not settled, if no lease runs, or with
        `force` (a carrier proved that it brings this call). Who owns it already keeps its fence. A settled call is
        never granted, nor, with `force`, one that is over.

        Args:
            max_active: refuse a new call if so many live ones are kept; 0: no bound.
        """
        ...

    async def renew(self, owner: str, fences: Collection[tuple[str, int]], *, lease: float) -> list[str]:
        """Renew leases of (call id, fence), and the time that live calls are kept; return the ids of calls lost."""
        ...

    async def release(self, owner: str, call_id: str, fence: int) -> None:
        """Give a lease back. Nothing happens if somebody else has the call."""
        ...

    async def update_activity(self, call_id: str, at: float) -> bool:
        """Note that the call was active at `at`, seconds since the epoch; False if it is not known."""
        ...

    async def delete(self, call_id: str) -> bool:
        """Forget a call, document, log and lease; False if it was not known."""
        ...

    async def cleanup_expired(self) -> int:
        """Forget ended calls whose retention is over; return how many."""
        ...

    async def hand_over(self, call_id: str) -> bool:
        """Note that the call's outbox was handed to the post-call work; True for whoever does it first."""
        ...

    async def check_writes(self) -> None:
        """Return if changes are taken; a store that is full, or a replica of another, may be read all the same.

        Raises:
            StoreAway: they are not.
        """
        ...

    # -- reading ---------------------------------------------------------------------------------

    async def get(self, call_id: str, *, touch: bool = False) -> Kept | None:
        """Return a call; with `touch` it counts as active now."""
        ...

    async def log(self, call_id: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Return entries of a call's log, oldest first, from the one after version `after`."""
        ...

    async def list_active(self) -> list[str]:
        """Return the ids of all calls that are not over, oldest first."""
        ...

    async def find(
        self, *, live: bool | None = None, state: str = "", q: str = "", cursor: str = "", limit: int = 50
    ) -> Page:
        """Return calls, newest first.

        Args:
            live: only those that are not over (True) or over (False).
            state: only those in this state.
            q: only that of this id, or those whose caller or called begins with it.
            cursor: `next_cursor` of the page before.

        Raises:
            ValueError: the cursor is none of ours.
        """
        ...

    async def unsettled(self) -> list[Kept]:
        """Return calls that somebody has to look after and whose lease is over; their documents may be left out."""
        ...

    async def undelivered(self) -> list[str]:
        """Return ids of calls that are over and whose outbox was not handed over yet."""
        ...

    async def stats(self) -> StoreCounts:
        """Count what is kept."""
        ...

    def everything(self) -> AsyncIterator[Kept]:
        """Yield every call that is kept, for a backup."""
        ...
