"""A store of a few calls that are over, for the work after them; and stages that a test controls."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from adapters.pipeline.contract import OverCall
from adapters.stores.contract import Entry, Head, Kept, SessionStore, StoreAway

__all__ = ["Counting", "Shelf", "a_shelf"]


class Shelf(SessionStore):
    """Calls that are over, or not yet so far as it knows. `away`: it cannot be reached."""

    def __init__(self) -> None:
        self.logs: dict[str, list[Entry]] = {}
        self.waiting: dict[str, None] = {}
        self.handed: list[str] = []
        self.away = False
        self.over = True
        self.changed = asyncio.Event()

    def add(self, call_id: str, *texts: str) -> None:
        """Keep a call in which this was said, one text a step; its outbox waits."""
        log = self.logs.setdefault(call_id, [])
        for text in texts:
            said = [{"role": "caller", "text": text}]
            record = {"seq": len(log) + 1, "at": 1.0, "event": "user.transcript", "data": {}, "said": said}
            log.append(Entry(len(log) + 1, 1, orjson.dumps(record)))
        self.waiting[call_id] = None

    async def until_handed_over(self, *call_ids: str) -> None:
        """Return once this was told of all of them."""
        while set(call_ids) - set(self.handed):
            self.changed.clear()
            await self.changed.wait()

    async def get(self, call_id: str, *, touch: bool = False) -> Kept | None:
        self._check()
        if call_id not in self.logs:
            return None
        head = Head(status="ended" if self.over else "active", state="any", created_at=1.0, active_at=2.0)
        document = orjson.dumps({"call_id": call_id})
        return Kept(call_id, document, head, len(self.logs[call_id]), 1, "n1", -1.0)

    async def log(self, call_id: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        self._check()
        return [entry for entry in self.logs.get(call_id, []) if entry.version > after][:limit]

    async def undelivered(self) -> list[str]:
        self._check()
        return list(self.waiting)

    async def hand_over(self, call_id: str) -> bool:
        self._check()
        self.handed.append(call_id)
        self.changed.set()
        return self.waiting.pop(call_id, "none") is None

    def _check(self) -> None:
        if self.away:
            raise StoreAway("nobody answers")


def a_shelf() -> Shelf:
    """Return a store that has no calls."""
    return Shelf()  # type: ignore[abstract]  # what the work after a call asks of a store is all there


class Counting:
    """A stage that notes what it was run for; it fails as often as it is told to, and waits while `gate` is closed."""

    def __init__(self, name: str = "count", *, fails: int = 0, makes: Any = None) -> None:
        self.name = name
        self.fails = fails
        self.makes = makes
        self.calls: list[OverCall] = []
        self.at_once = self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def run(self, call: OverCall) -> Any:
        self.calls.append(call)
        self.begun.set()
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if self.fails:
            self.fails -= 1
            raise RuntimeError("where is my order")
        return {"lines": len(call.lines)} if self.makes is None else self.makes
