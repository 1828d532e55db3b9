"""A Redis Cluster of several nodes: calls lie on all of them, their indices on one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from adapters.stores.breaker import Breaker
from adapters.stores.contract import StoreAway
from adapters.stores.redis import RedisStore
from adapters.stores.redis_link import Link, Target
from tests.adapters.stores.bench import LONG, a_commit, an_ended_head, claimed, committed
from tests.adapters.stores.redis_bench import a_store
from tests.redis_server import RedisServer

pytestmark = pytest.mark.real_time


@contextmanager
def three_nodes(folder: Path) -> Iterator[list[RedisServer]]:
    """Start a cluster of three nodes that share the slots."""
    with ExitStack() as stack:
        nodes = []
        for first, last in ((0, 5460), (5461, 10922), (10923, 16383)):
            own = folder / str(first)
            own.mkdir()
            nodes.append(stack.enter_context(RedisServer(own, cluster=True, slots=(first, last))))
        for node in nodes[1:]:
            nodes[0].meet(node)
        for node in nodes:
            node.wait_for("Cluster state changed: ok")
        yield nodes


async def test_cluster_of_three_nodes_keeps_calls_on_all_of_them_and_one_list(tmp_path: Path) -> None:
    with three_nodes(tmp_path) as nodes:
        async with a_store(nodes[1], cluster=True) as store:
            ids = [f"CA{number:03}" for number in range(200)]
            for call_id in ids[:20]:
                assert (await claimed(store, call_id, max_active=20)).granted
            assert (await claimed(store, "one more", max_active=20)).refused == "full"
            outcomes = await store.commit([a_commit(call_id, count=2) for call_id in ids])
            assert {outcome.verdict for outcome in outcomes} == {"applied"}
            assert all(b"lease" in b" ".join(node.call("KEYS", "*")) for node in nodes)

            assert await store.list_active() == ids
            assert {kept.call_id for kept in (await store.find(limit=500)).calls} == set(ids)
            assert len(await store.unsettled()) == 180
            assert await store.renew("node-a", [(call_id, 1) for call_id in ids], lease=LONG) == []
            assert await store.unsettled() == []
            over = [a_commit(call_id, 3, head=an_ended_head(handed_over=False)) for call_id in ids[:50]]
            await store.commit(over)
            assert sorted(await store.undelivered()) == ids[:50]
            for node in nodes:
                node.call("SCRIPT", "FLUSH")
            assert await store.hand_over("CA007")
            assert len(await store.undelivered()) == 49
            await store.cleanup_expired()
            counts = await store.stats()
            assert (counts.live, counts.ended) == (150, 50)
            assert [kept.version async for kept in store.everything()].count(3) == 50


async def test_call_of_a_node_that_died_before_its_indices_were_written_is_found(
    redis_cluster: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(moved: object) -> None:
        raise asyncio.CancelledError

    redis_cluster.call("FLUSHALL")
    async with a_store(redis_cluster, cluster=True) as store, a_store(redis_cluster, cluster=True) as other:
        monkeypatch.setattr(store, "_place", dies)
        with pytest.raises(asyncio.CancelledError):
            await committed(store)
        assert await other.list_active() == []

        assert [kept.call_id for kept in await other.unsettled()] == ["CA1"]


async def test_node_of_a_cluster_that_dies_is_away_and_found_again(tmp_path: Path) -> None:
    with three_nodes(tmp_path) as nodes:
        link = Link(
            Target(url=nodes[0].url, cluster=True, connect_within=1.0, answer_within=3.0), breaker=Breaker(first=0.0)
        )
        store = RedisStore(link)
        await store.start()
        ids = [f"CA{number:03}" for number in range(50)]
        await store.commit([a_commit(call_id) for call_id in ids])
        nodes[2].hold()
        with pytest.raises(StoreAway):
            await store.commit([a_commit(call_id, 2) for call_id in ids])
        assert store.away
        nodes[2].go_on()

        outcomes = await store.commit([a_commit(call_id, 2) for call_id in ids])

        assert {outcome.version for outcome in outcomes} == {2}
        await store.aclose()
