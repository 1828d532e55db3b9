"""Calls as the store has them: what is shown of those that no node answers for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from adapters.calls.contract import UnknownCall, Unreachable
from adapters.calls.lines import Transcript
from adapters.calls.shown import summary
from adapters.calls.transcripts import read_transcript
from adapters.stores.contract import Kept, Page, SessionStore, StoreAway
from fsm.document import SCHEMA, iso

__all__ = ["Shelf", "reachable"]

_PAGE = 200


@contextmanager
def reachable() -> Iterator[None]:
    """Raise `Unreachable` where the store does not answer."""
    try:
        yield
    except StoreAway as away:
        raise Unreachable(f"the store does not answer: {away}; try again") from away


class Shelf:
    """A store, read for operators. Every method raises `Unreachable`."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def kept(self, call_id: str) -> Kept:
        """Return a call. Raises UnknownCall."""
        with reachable():
            kept = await self._store.get(call_id)
        if kept is None:
            raise UnknownCall(f"there is no call {call_id!r}")
        return kept

    async def transcript(self, kept: Kept) -> Transcript:
        """Return what was said in a call."""
        with reachable():
            return await read_transcript(self._store, kept.call_id, began=kept.head.created_at)

    async def summary(self, kept: Kept, *, words: bool) -> dict[str, Any]:
        """Return the short form of a call."""
        return summary(self.document(kept), await self.transcript(kept), words=words)

    async def live(self) -> list[Kept]:
        """Return every call that is not over, newest first."""
        found: list[Kept] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await self.page(live=True, cursor=cursor, limit=_PAGE)
            found += page.calls
            cursor = page.next_cursor
        return found

    async def page(
        self, *, live: bool | None = None, state: str = "", q: str = "", cursor: str = "", limit: int = 50
    ) -> Page:
        """See `SessionStore.find`."""
        with reachable():
            return await self._store.find(live=live, state=state, q=q, cursor=cursor, limit=limit)

    async def journal(self, call_id: str, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
        """See `Calls.journal`."""
        with reachable():
            entries = await self._store.log(call_id, after=after, limit=limit)
        records = [{**orjson.loads(entry.record), "version": entry.version} for entry in entries]
        return records, entries[-1].version if len(entries) == limit else None

    def document(self, kept: Kept) -> dict[str, Any]:
        """Return a call's document; of one of which only the log is left, what its head tells."""
        head = kept.head
        touched = {"last_activity": iso(head.active_at)}
        if kept.document is not None:
            return {**orjson.loads(kept.document), **touched}
        over_at = head.ended_at or head.active_at
        return {
            "schema": SCHEMA,
            "call_id": kept.call_id,
            "status": head.status,
            "state": head.state,
            "carrier": head.carrier,
            "bot": head.bot,
            "caller": head.caller,
            "called": head.called,
            "created_at": iso(head.created_at),
            "ended_at": iso(head.ended_at),
            "duration": round(max(0.0, over_at - head.created_at), 3),
            "metadata": {},
            "metadata_version": 0,
            "audio": {},
            "settled": head.settled,
            **touched,
        }
