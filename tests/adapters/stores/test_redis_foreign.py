"""What lies in Redis under our names and is not ours: it costs the call of that name, and no other."""

from __future__ import annotations

import pytest

from adapters.stores.contract import CallRefused
from adapters.stores.redis import RedisStore
from adapters.stores.redis_link import Link, Target
from tests.adapters.stores.bench import LONG, a_commit, a_head, an_ended_head, claimed, committed, known, versions
from tests.adapters.stores.test_redis_faults import at
from tests.redis_server import RedisServer

pytestmark = pytest.mark.real_time


@pytest.fixture
def server(redis_alone: RedisServer) -> RedisServer:
    redis_alone.call("FLUSHALL")
    return redis_alone


FOREIGN = {
    "a log of another type": ("SET", "{call_session:bad}:log", "mine"),
    "a lease of another type": ("SET", "{call_session:bad}:lease", "mine"),
    "a lease that cannot be read": ("HSET", "{call_session:bad}:lease", "fence", "x", "version", "y"),
}


@pytest.mark.parametrize("command", FOREIGN.values(), ids=FOREIGN)
async def test_call_under_whose_name_lies_something_else_keeps_no_other_from_anything(
    server: RedisServer, command: tuple[str, ...]
) -> None:
    async with at(server.port, first=5.0) as store:
        await store.commit([a_commit("good"), a_commit("bad"), a_commit("due", head=an_ended_head())])
        server.call("DEL", "{call_session:bad}:log", "{call_session:bad}:lease")
        server.call(*command)

        outcomes = await store.commit([a_commit("bad", 2), a_commit("good", 2), a_commit("new")])
        lost = await store.renew("node-a", [("bad", 1), ("good", 1), ("new", 1)], lease=LONG)
        for call_id in ("good", "new"):
            await store.release("node-a", call_id, 1)
        with pytest.raises(CallRefused):
            await claimed(store, "bad")
        found = await store.find()

        assert [outcome.verdict for outcome in outcomes] == ["refused", "applied", "applied"]
        assert lost == []
        assert {kept.call_id for kept in found.calls} == {"good", "new", "due"}
        assert {kept.call_id for kept in await store.unsettled()} == {"good", "new"}
        assert await store.cleanup_expired() == 0
        assert [await versions(store, call_id) for call_id in ("good", "new")] == [[1, 2], [1]]
        assert not store.away


async def test_index_that_becomes_somebody_elses_keeps_no_call_from_being_written_and_is_told(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with at(server.port) as store:
        await store.commit([a_commit("old", head=a_head(status="initiated"))])
        server.call("DEL", "{call_session:}:live")
        server.call("SET", "{call_session:}:live", "mine")

        outcomes = await store.commit([a_commit("old", 2), a_commit("new"), a_commit("over", head=an_ended_head())])
        assert await store.renew("node-a", [("old", 1), ("new", 1)], lease=LONG) == []
        server.call("DEL", "{call_session:}:live")
        await store.renew("node-a", [("old", 1), ("new", 1)], lease=LONG)

        assert [outcome.verdict for outcome in outcomes] == ["applied"] * 3
        assert (store.away, "calls_not_indexed" in caplog.messages) == (False, True)
        assert sorted(await store.list_active()) == ["new", "old"]


async def test_document_of_another_type_is_written_over(server: RedisServer) -> None:
    async with at(server.port) as store:
        await store.commit([a_commit("CA1")])
        server.call("DEL", "call_session:CA1")
        server.call("LPUSH", "call_session:CA1", "mine")

        assert await committed(store, first=2) == ("applied", 2, 1)
        assert (await known(store)).document is not None


async def test_calls_of_a_prefix_that_begins_with_ours_are_not_taken_for_ours(server: RedisServer) -> None:
    other = RedisStore(Link(Target(url=server.url)), prefix="call_session:eu:")
    async with at(server.port) as store:
        await claimed(other, "CA1")
        await committed(other, "CA1")
        await claimed(other, "CA2")
        await committed(store, "ours")
        for key in server.call("KEYS", "{call_session:}:*"):
            server.call("DEL", key.decode())

        await store.cleanup_expired()

        assert await store.list_active() == ["ours"]
        assert [kept.call_id for kept in (await store.find()).calls] == ["ours"]
        assert await other.list_active() == ["CA1"]
    await other.aclose()
