"""What is asked of the SQLite file, and its rows as values. What comes from outside is a parameter, never SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from adapters.stores.contract import Entry, Head, Kept

__all__ = ["Search", "read_call", "read_calls", "read_found", "read_log"]

_CALLS = """
    SELECT calls.call_id, calls.document, calls.version, owners.fence, owners.owner, owners.lease_until,
        status, state, carrier, bot, caller, called, created_at, active_at, ended_at, settled, handed_over, durable
    FROM calls JOIN owners ON owners.call_id = calls.call_id WHERE """
_LAST = "\U0010ffff"  # comes after whatever a text may go on with


class Search(NamedTuple):
    """What `find` was asked for; `before` is the (created at, call id) of the last call seen."""

    live: bool | None
    state: str
    q: str
    before: tuple[float, str] | None
    limit: int


def read_calls(db: sqlite3.Connection, where: str, values: Sequence[Any], now: float) -> list[Kept]:
    """Return the calls that `where` says; it may go on with an order and a limit."""
    return [_kept(row, now) for row in db.execute(_CALLS + where, values).fetchall()]


def read_call(db: sqlite3.Connection, call_id: str, now: float) -> Kept | None:
    """Return one call."""
    return next(iter(read_calls(db, "calls.call_id = ?", (call_id,), now)), None)


def read_found(db: sqlite3.Connection, search: Search, now: float) -> list[Kept]:
    """Return what was searched, newest first."""
    terms: list[str] = []
    values: list[Any] = []
    if search.live is not None:
        terms.append("over = ?")
        values.append(not search.live)
    if search.state:
        terms.append("state = ?")
        values.append(search.state)
    if search.q:
        # Compared as ranges, not with LIKE: it would take % and _ for wildcards, and pass the indices by.
        terms.append("(calls.call_id = ? OR (caller >= ? AND caller < ?) OR (called >= ? AND called < ?))")
        values += [search.q, search.q, search.q + _LAST, search.q, search.q + _LAST]
    if search.before:
        terms.append("(created_at, calls.call_id) < (?, ?)")
        values += search.before
    where = " AND ".join(terms) or "true"
    return read_calls(db, f"{where} ORDER BY created_at DESC, calls.call_id DESC LIMIT ?", (*values, search.limit), now)


def read_log(db: sqlite3.Connection, call_id: str, after: int, limit: int) -> list[Entry]:
    """Return entries of a log."""
    sql = "SELECT version, fence, record FROM log WHERE call_id = ? AND version > ? ORDER BY version LIMIT ?"
    return [Entry(*row) for row in db.execute(sql, (call_id, after, limit)).fetchall()]


def _kept(row: Sequence[Any], now: float) -> Kept:
    call_id, document, version, fence, owner, lease_until = row[:6]
    status, state, carrier, bot, caller, called, created_at, active_at, ended_at, settled, handed_over, durable = row[
        6:
    ]
    head = Head(
        status=status,
        state=state,
        carrier=carrier,
        bot=bot,
        caller=caller,
        called=called,
        created_at=created_at,
        active_at=active_at,
        ended_at=ended_at,
        settled=bool(settled),
        handed_over=bool(handed_over),
        durable=bool(durable),
    )
    return Kept(call_id, document, head, version, fence, owner, lease_until - now)
