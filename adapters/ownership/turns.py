"""One at a time for each call: who waits for the store meanwhile finds what the one before has done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Turns"]


class Turns:
    """A lock for every call that somebody is deciding about, and for no other."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def of(self, call_id: str) -> AsyncIterator[None]:
        """Wait until nobody else decides about this call."""
        lock = self._locks.setdefault(call_id, asyncio.Lock())
        self._waiting[call_id] = self._waiting.get(call_id, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[call_id] -= 1
            if not self._waiting[call_id]:
                del self._waiting[call_id], self._locks[call_id]
