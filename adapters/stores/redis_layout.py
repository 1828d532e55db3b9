"""Where in Redis what of a call lies, and how it reads. Pure.

call_session:CA1             its document, readable JSON, with a time to live
{call_session:CA1}:log       its log, a stream with ids `<fence>-<version>`; the braces keep it in the document's slot
{call_session:CA1}:lease     a hash: id, fence, owner, until when (ms), version, head, and where it belongs
{call_session:}:live ...     indices of all calls, sorted sets in a slot of their own: hints, rebuilt from the leases
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from adapters.stores.contract import Commit, Entry, Head, Kept
from adapters.stores.rules import merged

__all__ = [
    "CALLS", "DONE", "FAILED", "INITIATED", "LIVE", "OWED", "UNDELIVERED", "Layout", "commit_args", "read_entry",
    "read_kept",
]  # fmt: skip

CALLS, LIVE, INITIATED, FAILED, OWED, UNDELIVERED, DONE, CLAIMS = range(8)
"""Indices: every call, those that are not over, those of them that nobody has answered, those that are over by an
error (scores: when they began), those that somebody has to look after (score: when the lease is over, ms), those whose
post-call work is not handed over (score: when they ended), those to be forgotten (score: when, ms), those that were
claimed and not begun (score: when the claim is over, ms)."""
_NAMES = ("calls", "live", "initiated", "failed", "owed", "undelivered", "done", "claims")


class Layout:
    """Names of keys. A call's id may hold anything; braces in it must not move its keys to different slots."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.indices = tuple(f"{{{prefix}}}:{name}".encode() for name in _NAMES)
        self.marker = f"{{{prefix}}}:indexed".encode()
        self.probe = f"{{{prefix}}}:probe".encode()
        self.leases = f"{{{prefix}*}}:lease".encode()
        """A glob that matches every lease, and those of prefixes that begin with ours: the `id` in a lease tells."""

    def keys(self, call_id: str) -> tuple[bytes, bytes, bytes]:
        """Return the keys of a call's document, log and lease."""
        name = self.prefix + call_id.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
        key = name.encode("utf-8", "surrogatepass")
        return key, b"{%b}:log" % key, b"{%b}:lease" % key

    def call_id(self, lease: bytes) -> str:
        """Return the id of the call of this lease."""
        name = lease.decode("utf-8", "surrogatepass")[1 + len(self.prefix) : -len("}:lease")]
        return name.replace("%7B", "{").replace("%7D", "}").replace("%25", "%")


def commit_args(commit: Commit, ttl_ms: int, retention_ms: int) -> tuple[Any, ...]:
    """Return the arguments of `commit.lua`."""
    head = commit.head
    return (
        commit.call_id.encode("utf-8", "surrogatepass"),
        commit.owner,
        commit.fence,
        commit.first,
        b"1" if commit.rebase else b"0",
        commit.document,
        orjson.dumps(head),
        head.status,
        b"1" if head.settled else b"0",
        b"1" if head.handed_over else b"0",
        repr(head.created_at),
        repr(head.active_at),
        repr(head.ended_at),
        ttl_ms,
        retention_ms,
        *commit.entries,
    )


def read_kept(call_id: str, said: Sequence[Any] | None) -> Kept | None:
    """Return a call as the scripts tell it."""
    if said is None:
        return None
    document, head, version, fence, owner, left, active, handed = said
    return Kept(
        call_id,
        document,
        merged(Head(**orjson.loads(head)), active_at=float(active), handed_over=bool(handed)),
        int(version),
        int(fence),
        owner.decode(),
        int(left) / 1000,
    )


def read_entry(said: Sequence[Any]) -> Entry:
    """Return an entry of a stream."""
    fence, _, version = said[0].partition(b"-")
    return Entry(int(version), int(fence), said[1][1])
