"""Which Redis is used, which is refused, and what lies in it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from adapters.settings import Settings
from adapters.stores.breaker import Breaker
from adapters.stores.contract import StoreAway
from adapters.stores.redis import RedisStore, redis_store
from adapters.stores.redis_layout import Layout
from adapters.stores.redis_link import Link, Target
from adapters.stores.redis_scripts import load_scripts
from fsm.errors import SettingError
from tests.adapters.stores.bench import LONG, NOON, SHORT, a_commit, a_head, an_ended_head, claimed, committed, known
from tests.adapters.stores.redis_bench import a_store, opened
from tests.redis_server import RedisServer, free_port

pytestmark = pytest.mark.real_time


async def start(**settings: Any) -> RedisStore:
    """Start what these settings name, and close it again."""
    store = redis_store(Settings(**settings))
    try:
        await store.start()
        if not store.away:
            await committed(store)
            assert (await known(store)).version == 1
    finally:
        await store.aclose()
    return store


# -- which Redis --------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
async def test_redis_that_evicts_is_refused(tmp_path: Path, policy: str) -> None:
    with (
        RedisServer(tmp_path, options={"maxmemory-policy": policy}) as server,
        pytest.raises(SettingError, match=f"REDIS_URL: .*{policy}.*set maxmemory-policy to noeviction"),
    ):
        await start(redis_url=server.url)


async def test_redis_that_does_not_tell_its_configuration_is_asked_for_its_memory(tmp_path: Path) -> None:
    with RedisServer(
        tmp_path, options={"maxmemory-policy": "allkeys-lfu", "rename-command": "CONFIG hidden"}
    ) as server:
        with pytest.raises(SettingError, match="allkeys-lfu"):
            await start(redis_url=server.url)
        server.call("hidden", "SET", "maxmemory-policy", "noeviction")

        assert not (await start(redis_url=server.url)).away


async def test_redis_that_evicts_is_refused_at_first_contact_and_taken_once_it_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(tmp_path, options={"maxmemory-policy": "allkeys-lru"})
    store = RedisStore(Link(Target(url=server.url), breaker=Breaker(first=0.0)))
    await store.start()
    assert store.away
    with server:
        for _ in range(3):
            with pytest.raises(StoreAway, match="allkeys-lru"):
                await committed(store)
        assert "noeviction" in store.reason
        assert [record.message for record in caplog.records].count("redis must not be used") == 1
        server.call("CONFIG", "SET", "maxmemory-policy", "noeviction")

        assert (await committed(store)).verdict == "applied"
        assert not store.away
    await store.aclose()


async def test_redis_that_cannot_be_reached_is_away_and_no_error(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    store = RedisStore(Link(Target(url=server.url), breaker=Breaker(first=0.0)))
    await store.start()
    assert (store.away, "Connect" in store.reason) == (True, True)
    with server:
        assert (await committed(store)).verdict == "applied"
        assert not store.away
    await store.aclose()


async def test_a_large_batch_is_sent_in_parts_and_answered_in_order(
    redis_alone: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    send = AbstractConnection.send_packed_command

    async def noted(self: AbstractConnection, command: Any, *rest: Any, **more: Any) -> None:
        sent.append(len(command))
        await send(self, command, *rest, **more)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", noted)
    link = Link(Target(url=redis_alone.url), keeps=False)

    replies = await link.run([("ECHO", number) for number in range(100)])

    assert replies == [b"%d" % number for number in range(100)]
    assert sent[-4:] == [32, 32, 32, 4]
    await link.aclose()


async def test_password_is_taken_from_its_setting_or_the_url(tmp_path: Path) -> None:
    with RedisServer(tmp_path, options={"requirepass": "s3cret"}) as server:
        address = f"127.0.0.1:{server.port}"
        assert not (await start(redis_url=f"redis://{address}", redis_password="s3cret")).away
        assert not (await start(redis_url=f"redis://:s3cret@{address}")).away
        assert not (await start(redis_url=f"redis://:wrong@{address}", redis_password="s3cret")).away
        for settings in ({"redis_password": "wrong-one"}, {}):
            with pytest.raises(SettingError, match="REDIS_PASSWORD") as caught:
                await start(redis_url=f"redis://{address}", **settings)
            assert "wrong-one" not in str(caught.value)


async def test_database_is_taken_from_its_setting_or_the_url(redis_alone: RedisServer) -> None:
    redis_alone.call("FLUSHALL")
    await start(redis_url=f"{redis_alone.url}/3")
    await start(redis_url=f"{redis_alone.url}/3", redis_db=5)
    keyspace = redis_alone.call("INFO", "keyspace")
    assert sorted(keyspace) == ["db3", "db5"]
    with pytest.raises(SettingError, match="REDIS_DB"):
        await start(redis_url=redis_alone.url, redis_db=99)


async def test_index_that_is_not_ours_is_refused_with_its_name(redis_alone: RedisServer) -> None:
    redis_alone.call("FLUSHALL")
    redis_alone.call("SET", "{call_session:}:live", "mine")
    with pytest.raises(SettingError, match=r"SESSION_PREFIX: under \{call_session:\}:live .* \(string\)"):
        await start(redis_url=redis_alone.url)

    assert not (await start(redis_url=redis_alone.url, session_prefix="calls:")).away


async def test_cluster_has_no_databases(redis_cluster: RedisServer) -> None:
    with pytest.raises(SettingError, match="REDIS_DB: .* database 0"):
        redis_store(Settings(redis_url=redis_cluster.url, redis_cluster=True, redis_db=2))


async def test_cluster_that_cannot_be_reached_is_away(tmp_path: Path) -> None:
    store = await start(redis_url=f"redis://127.0.0.1:{free_port()}", redis_cluster=True)
    assert store.away


async def test_cluster_takes_a_password_too(tmp_path: Path) -> None:
    with RedisServer(tmp_path, cluster=True, options={"requirepass": "s3cret"}) as server:
        settings = {"redis_url": server.url, "redis_cluster": True}
        assert not (await start(**settings, redis_password="s3cret")).away
        with pytest.raises(SettingError, match="REDIS_PASSWORD"):
            await start(**settings)


async def test_host_whose_name_has_to_do_with_passwords_is_merely_away() -> None:
    assert (await start(redis_url="redis://noauth-wrongpass.invalid:6379")).away


@pytest.mark.parametrize("url", ["redis://:pa/ss#s3cret@host:6379", "redis://host:port"])
def test_url_that_cannot_be_read_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingError, match="REDIS_URL: cannot be read") as caught:
        redis_store(Settings(redis_url=url))
    assert "ss" not in str(caught.value).replace("password", "").replace("looks", "")


async def test_unix_socket_will_do(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with RedisServer(tmp_path, options={"unixsocket": str(path)}):
        assert not (await start(redis_url=f"unix://{path}")).away


async def test_sentinel_tells_where_the_server_is(tmp_path: Path) -> None:
    watcher = RedisServer(tmp_path)
    with RedisServer(tmp_path) as server:
        watcher.start_sentinel("calls", server)
        sentinels = (("127.0.0.1", free_port()), ("127.0.0.1", watcher.port))
        settings = {"redis_url": "redis://nowhere.invalid", "redis_sentinels": sentinels}
        try:
            assert not (await start(**settings, redis_sentinel_service="calls")).away
            assert server.call("EXISTS", "call_session:CA1") == 1
            assert (await start(**settings, redis_sentinel_service="others")).away
        finally:
            watcher.kill()


def test_store_without_its_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "adapters.stores.redis_link", raising=False)
    for name in [name for name in sys.modules if name.startswith("redis.")]:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(SettingError, match=r"CALLCHART_STORE.*pip install callchart\[redis\]"):
        redis_store(Settings())


# -- what lies in it ----------------------------------------------------------------------------------


async def test_keys_are_those_that_people_know(redis_alone: RedisServer) -> None:
    redis_alone.call("FLUSHALL")
    async with a_store(redis_alone, session_ttl=100, retention=500) as store:
        await committed(store, "CA1", count=2)
        await committed(store, "CA2", count=2, head=an_ended_head(ended_at=time.time()))

        assert json.loads(redis_alone.call("GET", "call_session:CA1")) == {"call_id": "CA1", "seq": 2}
        assert 90 < redis_alone.call("TTL", "call_session:CA1") <= 100
        assert redis_alone.call("TTL", "{call_session:CA1}:log") == -1
        assert redis_alone.call("TTL", "{call_session:CA1}:lease") == -1
        for key in ("call_session:CA2", "{call_session:CA2}:log", "{call_session:CA2}:lease"):
            assert 400 < redis_alone.call("TTL", key) <= 500
        assert [entry[0] for entry in redis_alone.call("XRANGE", "{call_session:CA1}:log", "-", "+")] == [
            b"1-1",
            b"1-2",
        ]


async def test_renewal_renews_the_document_too(redis_alone: RedisServer) -> None:
    redis_alone.call("FLUSHALL")
    async with a_store(redis_alone, session_ttl=100) as store:
        await claimed(store)
        await committed(store)
        redis_alone.call("EXPIRE", "call_session:CA1", "5")

        await store.renew("node-a", [("CA1", 1)], lease=LONG)

        assert redis_alone.call("TTL", "call_session:CA1") > 90


async def test_call_that_is_over_and_not_handed_over_keeps_its_log_however_long(redis_alone: RedisServer) -> None:
    redis_alone.call("FLUSHALL")
    async with a_store(redis_alone, retention=500) as store:
        await committed(store, head=an_ended_head(ended_at=time.time(), handed_over=False))
        assert redis_alone.call("TTL", "{call_session:CA1}:log") == -1

        await store.hand_over("CA1")

        assert 400 < redis_alone.call("TTL", "{call_session:CA1}:log") <= 500


async def test_claim_alone_goes_by_itself(redis_alone: RedisServer) -> None:
    redis_alone.call("FLUSHALL")
    async with a_store(redis_alone) as store:
        await claimed(store, lease=60)
        assert 3600 < redis_alone.call("TTL", "{call_session:CA1}:lease") <= 3660

        await committed(store)

        assert redis_alone.call("TTL", "{call_session:CA1}:lease") == -1


@pytest.mark.parametrize("cluster", [False, True])
async def test_claims_that_begin_count_as_active(
    redis_alone: RedisServer, redis_cluster: RedisServer, cluster: bool
) -> None:
    async with opened(redis_cluster if cluster else redis_alone, cluster=cluster) as bench:
        store = bench.store
        await committed(store, "live")
        await claimed(store, "begins", lease=15)

        assert (await claimed(store, "third", max_active=2)).refused == "full"
        assert (await claimed(store, "begins", lease=15, max_active=2)).granted
        assert (await claimed(store, "live", max_active=1)).granted
        await bench.let_pass(16)
        assert (await claimed(store, "third", max_active=2)).granted


async def test_expired_call_that_redis_let_go_is_counted_and_leaves_the_lists(redis_alone: RedisServer) -> None:
    async with opened(redis_alone, retention=SHORT) as bench:
        await committed(bench.store, head=an_ended_head(ended_at=NOON))
        for key in Layout("call_session:").keys("CA1"):
            redis_alone.call("DEL", key.decode())

        assert await bench.store.cleanup_expired() == 1
        assert (await bench.store.find()).calls == ()
        assert (await bench.store.stats()).ended == 0


@pytest.mark.parametrize("cluster", [False, True])
async def test_more_calls_than_fit_a_page_are_found(
    redis_alone: RedisServer, redis_cluster: RedisServer, cluster: bool
) -> None:
    async with opened(redis_cluster if cluster else redis_alone, cluster=cluster) as bench:
        heads = [a_head(created_at=NOON + number // 400, state=f"s{number % 7}") for number in range(1200)]
        await bench.store.commit([a_commit(f"CA{number}", head=head) for number, head in enumerate(heads)])

        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await bench.store.find(state="s3", limit=25, cursor=cursor)
            seen += [kept.call_id for kept in page.calls]
            cursor = page.next_cursor

        assert sorted(seen) == sorted(f"CA{number}" for number in range(1200) if number % 7 == 3)
        assert len(await bench.store.list_active()) == 1200


async def test_page_goes_on_behind_a_deleted_call_among_many_of_the_same_time(
    redis_alone: RedisServer,
) -> None:
    async with opened(redis_alone) as bench:
        ids = [f"CA{number:04}" for number in range(600)]
        await bench.store.commit([a_commit(call_id) for call_id in ids])
        first = await bench.store.find(limit=550)
        await bench.store.delete(first.calls[-1].call_id)

        rest = await bench.store.find(limit=100, cursor=first.next_cursor or "")

        assert [kept.call_id for kept in rest.calls] == ids[:50][::-1]


@pytest.mark.parametrize("call_id", ["CA1", "a{b}c", "{", "}", "%7B", "{}", "späte Öse", "", "a}:lease"])
def test_keys_of_a_call_share_a_slot_and_tell_its_id(call_id: str) -> None:
    from redis.crc import key_slot

    layout = Layout("call_session:")
    document, log, lease = layout.keys(call_id)

    assert key_slot(document) == key_slot(log) == key_slot(lease)
    assert layout.call_id(lease) == call_id
    assert len({key_slot(index) for index in layout.indices}) == 1


def test_every_script_has_another_name() -> None:
    scripts = load_scripts()

    assert {"commit", "claim", "renew", "kept", "log"} <= set(scripts)
    assert len({script.sha for script in scripts.values()}) == len(scripts)


async def test_two_nodes_that_claim_a_call_at_once_get_one_owner(redis_alone: RedisServer) -> None:
    async with opened(redis_alone) as bench, a_store(redis_alone) as other:
        claims = await asyncio.gather(
            *(claimed(store, "CA1", name) for store, name in ((bench.store, "a"), (other, "b")) for _ in range(5))
        )

        assert len({claim.fence for claim in claims if claim.granted}) == 1
        assert sum(claim.granted for claim in claims) == 5
