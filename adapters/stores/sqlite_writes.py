"""What is written to the SQLite file. Each function runs inside a transaction, and may run again if that is undone."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from adapters.stores.contract import Claim, Commit, Head, Kept, Outcome
from adapters.stores.rules import NOBODY, Standing, judge_claim, judge_commit, merged
from adapters.stores.sqlite_reads import read_call

__all__ = ["Leases", "expire", "forget", "forget_claims", "hand_over", "note_activity", "write_commit"]

_EMPTY_CLAIM = 3600.0  # seconds that a claim without a commit is remembered after its lease

_STANDING = """
    SELECT version, fence, owner, lease_until, active_at, handed, settled
    FROM owners LEFT JOIN calls ON calls.call_id = owners.call_id WHERE owners.call_id = ?"""
_OWN = """
    INSERT INTO owners (call_id, fence, owner, lease_until, kept) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (call_id) DO UPDATE SET fence = excluded.fence, owner = excluded.owner,
        lease_until = excluded.lease_until, kept = excluded.kept"""
_CALL = """
    INSERT INTO calls (call_id, version, status, over, state, carrier, bot, caller, called, created_at, active_at,
        ended_at, settled, handed_over, handed, durable, document)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (call_id) DO UPDATE SET version = excluded.version, status = excluded.status, over = excluded.over,
        state = excluded.state, carrier = excluded.carrier, bot = excluded.bot, caller = excluded.caller,
        called = excluded.called, created_at = excluded.created_at, active_at = excluded.active_at,
        ended_at = excluded.ended_at, settled = excluded.settled, handed_over = excluded.handed_over,
        durable = excluded.durable, document = excluded.document"""


def write_commit(db: sqlite3.Connection, commit: Commit, now: float) -> Outcome:
    """Apply one commit, or say why not."""
    row = db.execute(_STANDING, (commit.call_id,)).fetchone()
    version, fence, owner, lease_until, active_at, handed, _ = row or (*NOBODY, now, None, None, None)
    standing = Standing(version or 0, fence, owner)
    verdict, there = judge_commit(commit, standing)
    if verdict != "applied":
        return Outcome(verdict, standing.version, fence)
    head = commit.head
    until = now if commit.fence > fence else min(lease_until, now) if head.settled else lease_until
    if version is None or commit.fence > fence or until != lease_until:
        db.execute(_OWN, (commit.call_id, commit.fence, commit.owner, until, True))
    if active_at is not None:
        head = merged(head, active_at=active_at, handed_over=bool(handed))
    fresh = enumerate(commit.entries[there:], commit.first + there)
    db.executemany(
        "INSERT INTO log (call_id, version, fence, record) VALUES (?, ?, ?, ?)",
        [(commit.call_id, at, commit.fence, record) for at, record in fresh],
    )
    db.execute(_CALL, _call_row(commit, head))
    return Outcome("applied", commit.version, commit.fence)


def _call_row(commit: Commit, head: Head) -> tuple[Any, ...]:
    return (
        commit.call_id,
        commit.version,
        head.status,
        head.over,
        head.state,
        head.carrier,
        head.bot,
        head.caller,
        head.called,
        head.created_at,
        head.active_at,
        head.ended_at,
        head.settled,
        head.handed_over,
        False,
        head.durable,
        commit.document,
    )


@dataclass(frozen=True, slots=True)
class Leases:
    """Who has which call, and until when, as of `now`."""

    db: sqlite3.Connection
    now: float

    def claim(self, call_id: str, owner: str, lease: float, *, force: bool, max_active: int) -> Claim:
        """Give a call to `owner`, or say why not."""
        kept = read_call(self.db, call_id, self.now)
        row = self.db.execute(_STANDING, (call_id,)).fetchone()
        fence, before, until = row[1:4] if row else (0, "", 0.0)
        standing = Standing(kept.version if kept else 0, fence, before)
        refused = judge_claim(kept.head if kept else None, standing, owner, leased=until > self.now, force=force)
        if not refused and kept is None and max_active and self._active_besides(call_id) >= max_active:
            refused = "full"
        if refused:
            return Claim(refused, fence, before, kept)
        if before != owner:
            fence += 1
        self._own(call_id, owner, fence, lease, kept)
        return Claim("", fence, before, kept and kept._replace(fence=fence, owner=owner, lease_left=lease))

    def _own(self, call_id: str, owner: str, fence: int, lease: float, kept: Kept | None) -> None:
        self.db.execute(_OWN, (call_id, fence, owner, self.now + lease, kept is not None))

    def _active_besides(self, call_id: str) -> int:
        """Count live calls, and those that were claimed and begin."""
        sql = """SELECT (SELECT count(*) FROM calls WHERE settled = 0 AND over = 0)
            + (SELECT count(*) FROM owners WHERE kept = 0 AND lease_until > ? AND call_id <> ?)"""
        (count,) = self.db.execute(sql, (self.now, call_id)).fetchone()
        return int(count)

    def renew(self, call_id: str, owner: str, fence: int, lease: float) -> bool:
        """Let a lease run on; False if somebody else has the call."""
        row = self.db.execute(_STANDING, (call_id,)).fetchone()
        version, known, before, *_, settled = row or (None, 0, owner, None)
        if fence < known or (fence == known and owner != before):
            return False
        if not settled:
            self.db.execute(_OWN, (call_id, fence, owner, self.now + lease, version is not None))
        return True

    def release(self, call_id: str, owner: str, fence: int) -> None:
        """End a lease."""
        sql = "UPDATE owners SET lease_until = min(lease_until, ?) WHERE call_id = ? AND owner = ? AND fence = ?"
        self.db.execute(sql, (self.now, call_id, owner, fence))


def note_activity(db: sqlite3.Connection, call_id: str, at: float) -> bool:
    """Note that a call was active at `at`."""
    known = db.execute("SELECT active_at FROM calls WHERE call_id = ?", (call_id,)).fetchone()
    if known and known[0] < at:
        db.execute("UPDATE calls SET active_at = ? WHERE call_id = ?", (at, call_id))
    return known is not None


def hand_over(db: sqlite3.Connection, call_id: str) -> bool:
    """Note that a call's outbox was handed over; True for the first time."""
    sql = "UPDATE calls SET handed_over = 1, handed = 1 WHERE call_id = ? AND handed_over = 0"
    return db.execute(sql, (call_id,)).rowcount > 0


def forget(db: sqlite3.Connection, call_id: str) -> bool:
    """Delete all of a call; False if there was none."""
    db.execute("DELETE FROM log WHERE call_id = ?", (call_id,))
    db.execute("DELETE FROM owners WHERE call_id = ?", (call_id,))
    return db.execute("DELETE FROM calls WHERE call_id = ?", (call_id,)).rowcount > 0


def expire(db: sqlite3.Connection, horizon: float, limit: int) -> int:
    """Delete up to `limit` calls that ended before `horizon` and have nothing left to do; return how many."""
    sql = """SELECT call_id FROM calls WHERE over = 1 AND settled = 1 AND handed_over = 1 AND ended_at <= ?
        AND (ended_at > 0 OR active_at <= ?) LIMIT ?"""
    return sum(forget(db, call_id) for (call_id,) in db.execute(sql, (horizon, horizon, limit)).fetchall())


def forget_claims(db: sqlite3.Connection, now: float) -> None:
    """Delete claims that led to no commit."""
    db.execute("DELETE FROM owners WHERE kept = 0 AND lease_until < ?", (now - _EMPTY_CLAIM,))
