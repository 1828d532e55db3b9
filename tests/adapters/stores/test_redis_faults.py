"""Redis as it fails: killed, held, full, forgetful, and behind a network that loses what it was given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.exceptions import NoScriptError

from adapters.stores.breaker import Breaker
from adapters.stores.contract import StoreAway
from adapters.stores.redis import RedisStore
from adapters.stores.redis_link import Link, Target, _to_repeat
from tests.adapters.stores.bench import LONG, a_commit, a_head, an_ended_head, claimed, committed, known, versions
from tests.adapters.stores.redis_bench import a_store
from tests.redis_server import RedisServer
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.real_time


@pytest.fixture
def server(redis_alone: RedisServer) -> RedisServer:
    redis_alone.call("FLUSHALL")
    redis_alone.call("SCRIPT", "FLUSH")
    return redis_alone


@asynccontextmanager
async def at(port: int, *, first: float = 0.0, **options: float) -> AsyncIterator[RedisStore]:
    """Open a store on this port that gives up soon, and tries again at once unless `first` says otherwise."""
    target = Target(
        url=f"redis://127.0.0.1:{port}",
        connect_within=options.get("connect_within", 0.5),
        answer_within=options.get("answer_within", 0.5),
    )
    store = RedisStore(Link(target, breaker=Breaker(first=first)))
    await store.start()
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def proxied(server: RedisServer, **options: float) -> AsyncIterator[tuple[TcpProxy, RedisStore]]:
    async with TcpProxy("127.0.0.1", server.port) as proxy, at(proxy.port, **options) as store:
        yield proxy, store


# -- the network --------------------------------------------------------------------------------------


async def test_commit_whose_reply_was_lost_is_there_and_is_sent_again_without_harm(server: RedisServer) -> None:
    async with proxied(server) as (proxy, store):
        await committed(store)
        proxy.swallow_replies()
        with pytest.raises(StoreAway):
            await committed(store, first=2, count=3)
        await proxy.swallowed()
        proxy.mend()

        again = await committed(store, first=2, count=3)

        assert again == ("repeated", 4, 1)
        assert await versions(store) == [1, 2, 3, 4]


async def test_claim_whose_reply_was_lost_keeps_its_fence(server: RedisServer) -> None:
    async with proxied(server) as (proxy, store):
        proxy.swallow_replies()
        with pytest.raises(StoreAway):
            await claimed(store)
        await proxy.swallowed()
        proxy.mend()

        claim = await claimed(store)

        assert (claim.granted, claim.fence) == (True, 1)


async def test_replies_are_never_mixed_up_after_a_time_out(server: RedisServer) -> None:
    async with proxied(server) as (proxy, store):
        await store.commit([a_commit("CA1"), a_commit("CA2", count=2), a_commit("CA3", count=3)])
        proxy.stall()
        asked = [asyncio.create_task(store.get(call_id)) for call_id in ("CA1", "CA2", "CA3")]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(result, StoreAway) for result in results)
        proxy.mend()

        for _ in range(3):
            kept = [await known(store, call_id) for call_id in ("CA3", "CA1", "CA2")]
            assert [(one.call_id, one.version) for one in kept] == [("CA3", 3), ("CA1", 1), ("CA2", 2)]


async def test_question_that_is_given_up_leaves_no_reply_for_the_next(server: RedisServer) -> None:
    async with proxied(server, answer_within=5.0) as (proxy, store):
        await store.commit([a_commit("CA1"), a_commit("CA2", count=2)])
        proxy.stall()
        asked = asyncio.create_task(store.get("CA1"))
        await proxy.asked()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        proxy.mend()

        assert (await known(store, "CA2")).version == 2
        assert not store.away


@pytest.mark.parametrize("count", [1, 700, 40_000, 100_000])
async def test_reset_in_mid_pipeline_loses_nothing_that_was_acknowledged(server: RedisServer, count: int) -> None:
    commits = [a_commit(f"CA{number}", document=b'"%s"' % (b"x" * 2000)) for number in range(60)]
    async with proxied(server, answer_within=5.0) as (proxy, store):
        await committed(store, "warm")
        proxy.reset_after(count)
        with pytest.raises(StoreAway):
            await store.commit(commits)

        outcomes = await store.commit(commits)

        assert all(outcome.verdict in ("applied", "repeated") and outcome.version == 1 for outcome in outcomes)
        for number in range(60):
            assert await versions(store, f"CA{number}") == [1]
        assert len(await store.list_active()) == 61


async def test_latency_of_200_ms_is_borne_by_the_ordinary_time_outs(server: RedisServer) -> None:
    defaults = Target()
    async with TcpProxy("127.0.0.1", server.port) as proxy:
        proxy.delay = 0.1
        within = {"connect_within": defaults.connect_within, "answer_within": defaults.answer_within}
        async with at(proxy.port, **within) as store:
            outcomes = await store.commit([a_commit(f"CA{number}") for number in range(200)])

            assert {outcome.verdict for outcome in outcomes} == {"applied"}
            assert not store.away


async def test_while_it_is_away_calls_fail_at_once_until_a_probe_succeeds(server: RedisServer) -> None:
    async with proxied(server, first=3600.0) as (proxy, store):
        await committed(store)
        proxy.refuse()
        with pytest.raises(StoreAway):
            await known(store)
        assert (store.away, "redis" in store.reason) == (True, True)

        await proxy.accept()
        for _ in range(100):
            with pytest.raises(StoreAway):
                await known(store)
        assert not proxy.links


async def test_it_comes_back_by_itself(server: RedisServer) -> None:
    async with proxied(server) as (proxy, store):
        await committed(store)
        proxy.refuse()
        with pytest.raises(StoreAway):
            await known(store)
        await proxy.accept()

        assert (await known(store)).version == 1
        assert (store.away, store.reason) == (False, "")


# -- the server ---------------------------------------------------------------------------------------


async def test_acknowledged_commits_survive_a_kill(tmp_path: Path) -> None:
    with RedisServer(tmp_path, aof=True) as server:
        async with at(server.port) as store:
            outcomes = await store.commit([a_commit(f"CA{number}", count=3) for number in range(50)])
            assert {outcome.verdict for outcome in outcomes} == {"applied"}
            await claimed(store, "CA7", "node-b", force=True)
            await committed(store, "CA7", first=4, owner="node-b", fence=2, head=an_ended_head(handed_over=False))
            server.kill()
            with pytest.raises(StoreAway):
                await known(store)
            server.start()

            assert await versions(store, "CA0") == [1, 2, 3]
            kept = await known(store, "CA7")
            assert (kept.version, kept.fence, kept.owner, kept.head.status) == (4, 2, "node-b", "ended")
            assert len(await store.list_active()) == 49
            assert await store.undelivered() == ["CA7"]


async def test_held_server_costs_one_time_out_and_what_it_then_does_is_not_done_twice(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with at(server.port) as store:
            await committed(store)
            server.hold()
            with pytest.raises(StoreAway):
                await committed(store, first=2)
            server.go_on()

            assert (await committed(store, first=2)).version == 2
            assert await versions(store) == [1, 2]


async def test_paused_server_is_away_and_comes_back(server: RedisServer) -> None:
    async with at(server.port) as store:
        await committed(store)
        server.call("CLIENT", "PAUSE", "60000", "WRITE")
        with pytest.raises(StoreAway):
            await committed(store, first=2)
        server.call("CLIENT", "UNPAUSE")

        await committed(store, first=2)
        assert await versions(store) == [1, 2]


async def test_full_server_refuses_whole_commits_and_takes_them_once_there_is_room(tmp_path: Path) -> None:
    document = b'"%s"' % (b"x" * 100_000)
    with RedisServer(tmp_path) as server:
        async with at(server.port) as store:
            await claimed(store)
            await committed(store, document=document)
            server.call("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(StoreAway, match="maxmemory"):
                await committed(store, first=2, document=document)
            with pytest.raises(StoreAway, match="maxmemory"):
                await committed(store, "CA2", document=document)
            server.call("CONFIG", "SET", "maxmemory", "0")

            assert await versions(store) == [1]
            assert await store.get("CA2") is None
            assert await store.list_active() == ["CA1"]
            assert (await committed(store, first=2)).verdict == "applied"


@pytest.mark.parametrize("forgets", [("SCRIPT", "FLUSH"), ("SCRIPT", "FLUSH", "ASYNC")])
async def test_scripts_are_loaded_again_when_a_server_has_forgotten_them(
    server: RedisServer, forgets: tuple[str, ...]
) -> None:
    async with at(server.port) as store:
        await committed(store)
        server.call(*forgets)
        commits = [a_commit("CA1", 2), a_commit("CA2"), a_commit("CA1", 3), a_commit("CA2", 2)]

        outcomes = await store.commit(commits)

        assert [tuple(outcome) for outcome in outcomes] == [
            ("applied", 2, 1), ("applied", 1, 1), ("applied", 3, 1), ("applied", 2, 1),
        ]  # fmt: skip
        assert not store.away


async def test_script_lost_in_mid_pipeline_is_asked_for_again_alone(server: RedisServer) -> None:
    async with at(server.port) as store:
        await committed(store)
        link = store._link
        kept = link.script("kept", store._layout.keys("CA1"), b"0", "")
        commit = store._commit(a_commit("CA1", 2))

        first, flushed, last = await link.run([commit, ("SCRIPT", "FLUSH"), kept])

        assert (first[0], flushed, int(last[0][2])) == (b"applied", b"OK", 2)


def test_what_comes_behind_a_lost_script_of_the_same_call_is_repeated_with_it() -> None:
    commands = [("EVALSHA", b"sha", 3, key) for key in (b"one", b"other", b"one", b"third")]
    replies = [NoScriptError("NOSCRIPT"), [b"applied"], [b"gap"], [b"applied"]]

    assert _to_repeat(commands, replies) == [0, 2]


@pytest.mark.parametrize(
    ("ill", "well"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ],
    ids=["full", "a replica"],
)
async def test_server_that_is_read_and_takes_nothing_is_told(
    server: RedisServer, ill: tuple[str, ...], well: tuple[str, ...]
) -> None:
    async with at(server.port) as store:
        await store.check_writes()
        server.call(*ill)
        try:
            assert await store.unsettled() == []
            with pytest.raises(StoreAway):
                await store.check_writes()
        finally:
            server.call(*well)
        await store.check_writes()


async def test_server_that_lost_everything_gets_leases_and_calls_again(server: RedisServer) -> None:
    async with at(server.port) as store:
        await claimed(store)
        await committed(store, count=5)
        server.call("FLUSHALL")

        assert await store.renew("node-a", [("CA1", 1)], lease=LONG) == []
        assert (await claimed(store, owner="node-b")).refused == "owned"
        assert (await committed(store, first=6)).verdict == "gap"
        assert (await committed(store, first=6, rebase=True)) == ("applied", 6, 1)
        assert await store.list_active() == ["CA1"]


async def test_lost_indices_are_rebuilt_from_the_leases(server: RedisServer) -> None:
    async with at(server.port) as store:
        await committed(store, "live")
        await committed(store, "ended", head=an_ended_head(handed_over=False))
        await committed(store, "{odd} 50%", head=a_head(status="initiated"))
        before = await store.stats()
        for key in server.call("KEYS", "{call_session:}:*"):
            server.call("DEL", key.decode())
        assert await store.list_active() == []

        await store.cleanup_expired()

        assert sorted(await store.list_active()) == ["live", "{odd} 50%"]
        assert await store.undelivered() == ["ended"]
        assert await store.stats() == before


async def test_document_that_was_lost_is_told_and_the_log_is_there(server: RedisServer) -> None:
    async with at(server.port) as store:
        await committed(store, count=2)
        server.call("DEL", "call_session:CA1")

        kept = await known(store)

        assert (kept.document, kept.version) == (None, 2)
        assert await versions(store) == [1, 2]


async def test_lease_that_was_lost_does_not_let_an_older_owner_write(server: RedisServer) -> None:
    async with at(server.port) as store:
        await committed(store, count=3, fence=4, owner="node-b")
        server.call("DEL", "{call_session:CA1}:lease")

        assert (await committed(store, first=4, fence=3)).verdict == "fenced"
        assert (await committed(store, first=4, fence=4, owner="node-b")) == ("applied", 4, 4)


async def test_stores_in_one_server_with_other_prefixes_know_nothing_of_each_other(server: RedisServer) -> None:
    async with a_store(server, prefix="one:") as one, a_store(server, prefix="other:") as other:
        await committed(one)

        assert await other.get("CA1") is None
        assert await other.list_active() == []


async def test_after_a_failover_the_sentinel_tells_where_to_go_on(tmp_path: Path) -> None:
    for name in ("one", "other", "watcher"):
        (tmp_path / name).mkdir()
    with RedisServer(tmp_path / "one") as one, RedisServer(tmp_path / "other") as other:
        watcher = RedisServer(tmp_path / "watcher")
        other.follow(one)
        try:
            watcher.start_sentinel("calls", one)
            target = Target(sentinels=(("127.0.0.1", watcher.port),), sentinel_service="calls")
            store = RedisStore(Link(target, breaker=Breaker(first=0.0)))
            await store.start()
            await committed(store)
            one.call("WAIT", "1", "0")
            other.call("REPLICAOF", "NO", "ONE")
            one.call("REPLICAOF", "127.0.0.1", str(other.port))
            watcher.call("SENTINEL", "REMOVE", "calls")
            watcher.call("SENTINEL", "MONITOR", "calls", "127.0.0.1", str(other.port), "1")
            with suppress(StoreAway):  # the connection to the server that was demoted
                await committed(store, first=2)

            assert await versions(store) in ([1], [1, 2])
            assert (await committed(store, first=2)).version == 2
            assert other.call("XLEN", "{call_session:CA1}:log") == 2
            await store.aclose()
        finally:
            watcher.kill()
