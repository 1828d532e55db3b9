"""Calls that are over: their metadata may still change, and they may be erased."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from adapters.calls.contract import Stale, Unreachable
from adapters.calls.shelf import Shelf, reachable
from adapters.calls.shown import metadata_patch
from adapters.stores.contract import Commit, Kept, SessionStore
from fsm.clock import Clock
from fsm.context import merged

__all__ = ["Forget", "OverCalls"]

_TRIES = 10
_PAUSE = 0.2  # seconds
Forget = Callable[[str], Awaitable[None]]
"""Deletes what this node has of a call; harmless where there is nothing."""


class OverCalls:
    """What may be done with a call that is over.

    Args:
        unwrite: deletes what is on its way to the store, so that nothing brings the call back.
        forget: stops the work on a call and deletes what was made of it; none of it begins again without the call.
    """

    def __init__(self, store: SessionStore, *, clock: Clock, unwrite: Forget, forget: Forget) -> None:
        self._store = store
        self._shelf = Shelf(store)
        self._clock = clock
        self._unwrite = unwrite
        self._forget = forget

    async def patch(self, call_id: str, metadata: Mapping[str, Any], version: int | None) -> dict[str, Any]:
        """Merge `metadata` into those of a call that is over; see `Calls.patch`.

        The change is an entry of the call's log, so that of two at once one is refused and begins again.
        """
        for _ in range(_TRIES):
            kept = await self._shelf.kept(call_id)
            if not kept.head.settled:  # its node has not written the last of it
                await asyncio.sleep(_PAUSE)
                continue
            shown = self._shelf.document(kept)
            current = int(shown["metadata_version"])
            if version is not None and version != current:
                raise Stale(f"the metadata of call {call_id} are of version {current}", current)
            news = metadata_patch(shown["metadata"], metadata)
            if not news:
                return {"metadata": shown["metadata"], "metadata_version": current}
            known = dict(merged(shown["metadata"], news))
            changed = {"metadata": known, "metadata_version": current + 1}
            with reachable():
                outcome = (await self._store.commit([self._amending(kept, shown, changed)]))[0]
            if outcome.verdict == "applied":
                return changed
        raise Unreachable(f"call {call_id} is still being written; try again")

    async def erase(self, call_id: str) -> None:
        """Delete everything of a call that the store or this node has."""
        with reachable():
            await self._unwrite(call_id)
            await self._store.delete(call_id)
        await self._forget(call_id)

    def _amending(self, kept: Kept, shown: Mapping[str, Any], changed: Mapping[str, Any]) -> Commit:
        record = {
            "seq": shown.get("seq", 0),
            "at": round(self._clock.wall(), 6),
            "call_id": kept.call_id,
            "amended": changed,
        }
        document = {**shown, **changed, "user_id": changed["metadata"].get("user_id")}
        return Commit(
            call_id=kept.call_id,
            owner=kept.owner,
            fence=kept.fence,
            first=kept.version + 1,
            entries=(orjson.dumps(record),),
            document=orjson.dumps(document),
            head=kept.head,
        )
