"""Journals in Redis, as they grow: what a test waits for when it must know that a step is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import orjson
from redis import asyncio as aioredis

from adapters.settings import Settings
from adapters.stores.contract import SessionStore
from adapters.stores.redis import redis_store

__all__ = ["RedisLog"]


class RedisLog:
    """Reads one Redis server, beside the nodes.

    Attributes:
        store: the calls that are kept there.
    """

    store: SessionStore

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        self._client = aioredis.Redis.from_url(self._url, socket_timeout=None)  # whoever waits says how long
        self.store = redis_store(Settings(redis_url=self._url, store="redis"))
        await self.store.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.store.aclose()
        await self._client.aclose()

    async def until(self, call_id: str, happened: Callable[[Sequence[Mapping[str, Any]]], bool]) -> None:
        """Return once the records of a call's journal are as they should be."""
        key = f"{{call_session:{call_id}}}:log"
        while True:
            entries = await self.store.log(call_id, limit=100_000)
            if happened([orjson.loads(entry.record) for entry in entries]):
                return
            last = f"{entries[-1].fence}-{entries[-1].version}" if entries else "0-0"
            await self._client.xread({key: last}, block=0)  # until there is one after it
