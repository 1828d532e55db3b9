"""The store in Redis, on one server and in a cluster: as every store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.adapters.stores.bench import LONG, Bench
from tests.adapters.stores.conformance import StoreConformance
from tests.adapters.stores.redis_bench import opened
from tests.redis_server import RedisServer

pytestmark = pytest.mark.real_time


class TestRedis(StoreConformance):
    run = staticmethod(asyncio.run)
    examples = 30

    @pytest.fixture(autouse=True)
    def _server(self, redis_alone: RedisServer) -> None:
        self.server = redis_alone

    @asynccontextmanager
    async def opened(self, folder: Path, *, retention: float = LONG) -> AsyncIterator[Bench]:
        async with opened(self.server, retention=retention) as bench:
            yield bench


class TestRedisCluster(StoreConformance):
    run = staticmethod(asyncio.run)
    examples = 10

    @pytest.fixture(autouse=True)
    def _server(self, redis_cluster: RedisServer) -> None:
        self.server = redis_cluster

    @asynccontextmanager
    async def opened(self, folder: Path, *, retention: float = LONG) -> AsyncIterator[Bench]:
        async with opened(self.server, cluster=True, retention=retention) as bench:
            yield bench
