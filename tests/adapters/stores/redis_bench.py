"""A store in a real Redis, and its clock moved: what is said in times is put back by so much."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from adapters.stores.redis import RedisStore
from adapters.stores.redis_link import Link, Target
from tests.adapters.stores.bench import LONG, Bench
from tests.redis_server import RedisServer

__all__ = ["a_store", "opened"]

_LATER = """
local by = tonumber(ARGV[1])
for _, key in ipairs(redis.call('KEYS', '*')) do
  if key:match(':lease$') then
    local lease_until = redis.call('HGET', key, 'until')
    if lease_until then redis.call('HSET', key, 'until', string.format('%.0f', lease_until - by)) end
    local status, settled, handed, created, ended, expires = string.match(
      redis.call('HGET', key, 'placed') or '', '^(%a+) (%d) (%d) (%S+) (%S+) (%d+)$')
    if expires and expires ~= '0' then
      expires = string.format('%.0f', expires - by)
      redis.call('HSET', key, 'placed', table.concat({status, settled, handed, created, ended, expires}, ' '))
    end
  elseif key:match(':owed$') or key:match(':done$') or key:match(':claims$') then
    for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -by, id) end
  end
  local left = redis.call('PTTL', key)
  if left > 0 then redis.call('PEXPIRE', key, string.format('%.0f', left - by)) end
end
"""


@asynccontextmanager
async def a_store(server: RedisServer, *, cluster: bool = False, **options: Any) -> AsyncIterator[RedisStore]:
    """Open a store in a server, as it is."""
    names = ("retention", "session_ttl", "prefix")
    kept = {name: options.pop(name) for name in names if name in options}
    target: dict[str, Any] = {"url": server.url, "cluster": cluster} | options
    store = RedisStore(Link(Target(**target)), **kept)
    await store.start()
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def opened(server: RedisServer, *, cluster: bool = False, retention: float = LONG) -> AsyncIterator[Bench]:
    """Open a store in a server, emptied."""
    ahead = 0.0
    async with Redis(port=server.port) as admin:
        await admin.flushall()

        async def let_pass(seconds: float) -> None:
            nonlocal ahead
            ahead += seconds
            await admin.eval(_LATER, 0, str(round(seconds * 1000)))

        def now() -> float:
            return time.time() + ahead

        patient = {"connect_within": 5.0, "answer_within": 5.0}  # a busy machine is no absent Redis
        async with a_store(server, cluster=cluster, retention=retention, **patient) as store:
            yield Bench(store, let_pass, now)
