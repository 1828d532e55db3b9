"""The proxy does to a connection what its switches say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.tcp_proxy import TcpProxy


class Echo(asyncio.Protocol):
    """Sends back what it gets, and remembers it."""

    def __init__(self, heard: bytearray) -> None:
        self._heard = heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        self._transport.write(data)


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[TcpProxy, bytearray]]:
    heard = bytearray()
    server = await asyncio.get_running_loop().create_server(lambda: Echo(heard), "127.0.0.1", 0)
    try:
        async with TcpProxy(*server.sockets[0].getsockname()[:2]) as proxy:
            yield proxy, heard
        assert not proxy.links
    finally:
        server.close()


async def talk(proxy: TcpProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def test_it_passes_both_ways_and_closes_what_was_closed() -> None:
    async with echoing() as (proxy, _):
        reader, writer = await talk(proxy)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        (link,) = proxy.links
        writer.close()
        await link.gone.wait()


async def test_what_a_stall_keeps_back_arrives_afterwards() -> None:
    async with echoing() as (proxy, heard):
        reader, writer = await talk(proxy)
        proxy.stall()
        writer.write(b"hello")
        await proxy.asked()
        assert not heard
        proxy.mend()
        assert await reader.readexactly(5) == b"hello"
        writer.close()


async def test_a_swallowed_reply_is_of_a_request_that_was_carried_out() -> None:
    async with echoing() as (proxy, heard):
        reader, writer = await talk(proxy)
        proxy.swallow_replies()
        writer.write(b"hello")
        await proxy.swallowed()
        assert heard == b"hello"
        proxy.mend()
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        writer.close()


async def test_it_resets_after_so_many_bytes() -> None:
    async with echoing() as (proxy, heard):
        reader, writer = await talk(proxy)
        writer.write(b"hello")
        await reader.readexactly(5)
        proxy.reset_after(3)
        writer.write(b"12345")
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(5)
        assert heard == b"hello123"
        other, second = await talk(proxy)
        second.write(b"on")
        assert await other.readexactly(2) == b"on"
        writer.close()
        second.close()


async def test_who_refuses_takes_connections_on_the_same_port_again() -> None:
    async with echoing() as (proxy, _):
        reader, writer = await talk(proxy)
        writer.write(b"hello")
        await reader.readexactly(5)
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await talk(proxy)
        await proxy.accept()
        reader, writer = await talk(proxy)
        writer.write(b"back")
        assert await reader.readexactly(4) == b"back"
        writer.close()


async def test_a_delay_counts_in_both_directions_and_keeps_the_order() -> None:
    async with echoing() as (proxy, _):
        loop = asyncio.get_running_loop()
        proxy.delay = 0.1
        reader, writer = await talk(proxy)
        before = loop.time()
        for piece in (b"one ", b"two ", b"three"):
            writer.write(piece)
        assert await reader.readexactly(13) == b"one two three"
        assert loop.time() - before == pytest.approx(0.2, abs=0.01)
        writer.close()


async def test_a_client_of_a_server_that_is_gone_is_reset() -> None:
    async with TcpProxy("127.0.0.1", 1) as proxy:
        reader, writer = await talk(proxy)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
