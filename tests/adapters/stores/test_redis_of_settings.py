"""A store in Redis as the settings name it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from adapters.settings import Settings
from adapters.stores.redis import redis_store
from fsm.errors import SettingError
from tests.adapters.stores.bench import an_ended_head, committed
from tests.redis_server import RedisServer

pytestmark = pytest.mark.real_time


async def test_keys_and_how_long_they_last_are_those_of_the_settings(redis_alone: RedisServer) -> None:
    redis_alone.call("FLUSHALL")
    store = redis_store(Settings(redis_url=redis_alone.url, session_prefix="shop:", session_ttl=100.0, retention=500.0))
    await store.start()

    await committed(store, "CA1")
    await committed(store, "CA2", head=an_ended_head(ended_at=time.time()))

    assert 90 < redis_alone.call("TTL", "shop:CA1") <= 100
    assert 400 < redis_alone.call("TTL", "shop:CA2") <= 500
    assert redis_alone.call("EXISTS", "{shop:CA1}:log", "call_session:CA1") == 1
    await store.aclose()


async def test_document_of_a_call_whose_work_waits_is_kept_as_long_as_any_that_has_ended(
    redis_alone: RedisServer,
) -> None:
    redis_alone.call("FLUSHALL")
    store = redis_store(Settings(redis_url=redis_alone.url, session_ttl=100.0, retention=500.0))
    await store.start()

    await committed(store, head=an_ended_head(ended_at=time.time(), handed_over=False, settled=False))

    assert 400 < redis_alone.call("TTL", "call_session:CA1") <= 500
    await store.aclose()


async def refused(**settings: Any) -> str:
    """Return why the store that these settings name cannot be used."""
    store = redis_store(Settings(**settings))
    try:
        with pytest.raises(SettingError) as wrong:
            await store.start()
    finally:
        await store.aclose()
    return str(wrong.value)


async def test_cluster_that_is_used_as_one_server_is_refused_and_so_is_one_server_as_a_cluster(
    redis_alone: RedisServer, redis_cluster: RedisServer
) -> None:
    assert await refused(redis_url=redis_cluster.url) == (
        "REDIS_CLUSTER: the Redis of REDIS_URL is a cluster; set REDIS_CLUSTER=on"
    )
    assert await refused(redis_url=redis_alone.url, redis_cluster=True) == (
        "REDIS_CLUSTER: the Redis of REDIS_URL is no cluster; set REDIS_CLUSTER=off"
    )


async def test_server_that_is_no_sentinel_is_refused(redis_alone: RedisServer) -> None:
    why = await refused(redis_sentinels=(("127.0.0.1", redis_alone.port),))

    assert why.startswith("REDIS_SENTINELS: there is a Redis, and no sentinel; ")
