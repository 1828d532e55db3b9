"""Nodes that talk over a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from adapters.bus.contract import NodeAway
from adapters.bus.redis import RedisBus, redis_bus
from adapters.settings import Settings
from adapters.stores.contract import StoreAway
from adapters.stores.redis_link import Link, Target
from fsm.errors import CallchartError
from tests.redis_server import RedisServer
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.real_time


class Ears:
    """Hears messages, and waits for them."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    def __call__(self, message: bytes) -> None:
        self._queue.put_nowait(message)

    async def next(self) -> bytes:
        return await self._queue.get()

    @property
    def silent(self) -> bool:
        return self._queue.empty()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("bus")) as one:
        yield one


@asynccontextmanager
async def nodes(port: int, *names: str, **options: Any) -> AsyncIterator[list[RedisBus]]:
    """Start nodes that talk over this port."""
    target = Target(url=f"redis://127.0.0.1:{port}", connect_within=0.2, answer_within=0.3)
    buses = [RedisBus(name, Link(target, keeps=False), **options) for name in names]
    try:
        await asyncio.gather(*(bus.start() for bus in buses))
        yield buses
    finally:
        await asyncio.gather(*(bus.aclose() for bus in buses))


async def test_what_is_published_reaches_all_others_in_order(server: RedisServer) -> None:
    async with nodes(server.port, "a", "b", "c") as (a, b, c):
        heard = {bus.node: Ears() for bus in (a, b, c)}
        for bus in (a, b, c):
            bus.listen(heard[bus.node])
        for number in range(500):
            a.publish(b"%d\nmore" % number)

        for node in "bc":
            assert [await heard[node].next() for _ in range(500)] == [b"%d\nmore" % number for number in range(500)]
        b.publish(b"last")
        assert await heard["a"].next() == b"last"
        assert heard["b"].silent


async def test_question_is_answered_by_the_node_that_was_asked(server: RedisServer) -> None:
    async with nodes(server.port, "a", "b", "c") as (a, b, c):
        for bus in (b, c):
            bus.serve(_says(bus.node))

        answers = await asyncio.gather(*(a.ask(node, {"op": "who", "n": n}) for n in range(20) for node in "bc"))

        assert answers == [{"node": node, "n": n} for n in range(20) for node in "bc"]


def _says(node: str) -> Any:
    async def answer(question: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"node": node, "n": question["n"]}

    return answer


async def test_asker_is_told_why_a_node_cannot_answer(server: RedisServer) -> None:
    async def answer(question: Mapping[str, Any]) -> Mapping[str, Any]:
        if question["op"] == "odd":
            raise ZeroDivisionError
        raise CallchartError("no call is called CA9")

    async with nodes(server.port, "a", "b", "c") as (a, b, _):
        b.serve(answer)

        with pytest.raises(CallchartError, match="no call is called CA9"):
            await a.ask("b", {"op": "end"})
        with pytest.raises(CallchartError, match="ZeroDivisionError"):
            await a.ask("b", {"op": "odd"})
        with pytest.raises(CallchartError, match="serves no questions"):
            await a.ask("c", {"op": "end"})


async def test_node_that_is_not_there_is_away_at_once(server: RedisServer) -> None:
    async with nodes(server.port, "a") as (a,):
        with pytest.raises(NodeAway, match="no such node listens"):
            await a.ask("b", {}, within=60)


async def test_node_that_does_not_answer_in_time_is_away(server: RedisServer) -> None:
    forever = asyncio.Event()

    async def answer(question: Mapping[str, Any]) -> Mapping[str, Any]:
        await forever.wait()
        return {}

    async with nodes(server.port, "a", "b") as (a, b):
        b.serve(answer)

        with pytest.raises(NodeAway, match=r"'b' did not answer in 0.05 s"):
            await a.ask("b", {}, within=0.05)


async def test_listener_that_fails_does_not_make_a_node_deaf(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    ears = Ears()

    def heard(message: bytes) -> None:
        if message == b"bad":
            raise ValueError
        ears(message)

    async with nodes(server.port, "a", "b") as (a, b):
        b.listen(heard)
        a.publish(b"bad")
        a.publish(b"good")

        assert await ears.next() == b"good"
    assert "message on the bus not taken" in caplog.text


async def test_prefixes_keep_deployments_apart(server: RedisServer) -> None:
    async with (
        nodes(server.port, "a", "b", prefix="one:") as (a, b),
        nodes(server.port, "c", "d", prefix="two:") as (c, d),
    ):
        ears, others = Ears(), Ears()
        b.listen(ears)
        d.listen(others)
        c.publish(b"to d")
        assert await others.next() == b"to d"
        a.publish(b"to b")
        assert await ears.next() == b"to b"


async def test_node_hears_again_once_redis_is_back(server: RedisServer) -> None:
    async with TcpProxy("127.0.0.1", server.port) as proxy, nodes(proxy.port, "b") as (b,):
        ears = Ears()
        b.listen(ears)
        proxy.cut()
        await proxy.linked()
        async with nodes(server.port, "a") as (a,):
            await b.listening()
            a.publish(b"back")

            assert await ears.next() == b"back"


async def test_what_cannot_be_sent_is_dropped_and_counted() -> None:
    async with nodes(1, "a") as (a,):
        a.publish(b"lost")
        with pytest.raises(NodeAway, match="the bus is away"):
            await a.ask("b", {}, within=60)

        assert a.dropped == 2


async def test_no_more_messages_wait_than_may() -> None:
    async with nodes(1, "a", waiting=3) as (a,):
        for _ in range(10):
            a.publish(b"x")

        assert a.dropped == 7


async def test_bus_of_a_cluster_talks_through_the_node_of_the_url(tmp_path: Path) -> None:
    with RedisServer(tmp_path, options={"requirepass": "secret"}) as one:
        settings = Settings(redis_url=one.url, redis_password="secret", redis_cluster=True)
        a, b = redis_bus(settings, "a"), redis_bus(settings, "b")
        try:
            await asyncio.gather(a.start(), b.start())
            b.serve(_says("b"))
            assert await a.ask("b", {"n": 1}) == {"node": "b", "n": 1}
        finally:
            await asyncio.gather(a.aclose(), b.aclose())


async def test_a_connection_that_is_lost_in_silence_is_told_as_lost_whatever_loop_finds_out(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing to a closed connection is an OSError to asyncio's own loop, and a RuntimeError to uvloop."""
    send = AbstractConnection.send_command

    async def closed(self: AbstractConnection, *command: Any, **more: Any) -> None:
        if command[0] == "PING":
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
        await send(self, *command, **more)

    monkeypatch.setattr(AbstractConnection, "send_command", closed)
    monkeypatch.setattr("adapters.stores.redis_link._QUIET", 0.01)
    link = Link(Target(url=f"redis://127.0.0.1:{server.port}"), keeps=False)

    async def listen() -> None:
        async with link.subscribed(b"news") as messages:
            async for _ in messages:
                pass

    with pytest.raises(StoreAway, match="handler is closed"):
        await listen()
    await link.aclose()
